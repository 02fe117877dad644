"""Keep binary keccak Merkle trees whose proofs a contract can check.

Rule: an inner node is keccak(left ‖ right) of 64 bytes; a leaf's preimage starts with a zero
byte and is never 64 bytes long, so neither is taken for the other. No leaf is 32 zero bytes.
Spec: docs/spec/encoding.md §6 (Merkle trees).
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from primitives.errors import InvalidMessage, LimitExceeded
from primitives.keccak import keccak256
from primitives.limits import TREE_DEPTH_MAX, TREE_LEAVES_MAX

EMPTY_LEAF: Final = bytes(32)


def _empty_roots() -> tuple[bytes, ...]:
    roots = [EMPTY_LEAF]
    for _ in range(TREE_DEPTH_MAX):
        roots.append(keccak256(roots[-1] + roots[-1]))
    return tuple(roots)


EMPTY_ROOTS: Final = _empty_roots()
"""EMPTY_ROOTS[h] is the root of a subtree of height h without any leaf."""


def leaf_hash(record: bytes) -> bytes:
    """Return keccak(0x00 ‖ record)."""
    assert len(record) != 63, "a leaf must not have the length of an inner node"
    return keccak256(b"\0" + record)


class DenseTree:
    """A tree of fixed depth over indices 0, 1, …; only what lies below the highest index is stored.

    `_levels[h]` holds the nodes of height h in one bytearray. It ends with the first level of one
    node; every level below has an even number of nodes, so that a pair is always one slice.
    """

    __slots__ = ("_levels", "_root", "depth", "size")

    def __init__(self, depth: int = 32, leaves: Sequence[bytes] = ()) -> None:
        """Make a tree of `depth` levels over `leaves` (32 bytes each)."""
        assert 0 < depth <= TREE_DEPTH_MAX
        self.depth = depth
        self.size = 0  # highest index ever set, plus one
        self._levels: list[bytearray] = [bytearray()]
        self._root = EMPTY_ROOTS[depth]
        self.update(dict(enumerate(leaves)))

    @property
    def root(self) -> bytes:
        """Return the 32-byte root."""
        return self._root

    def update(self, leaves: Mapping[int, bytes]) -> bytes:
        """Replace leaves by index and return the new root; every inner node is hashed once.

        Raises LimitExceeded for an index that the tree or the memory cannot hold.
        """
        if not leaves:
            return self._root
        highest = max(leaves)
        assert min(leaves) >= 0
        if highest >> self.depth or highest >= TREE_LEAVES_MAX:
            raise LimitExceeded(f"no leaf {highest} in a tree of depth {self.depth}")
        dirty = set(leaves)
        if highest >= self.size:
            if self.size:
                dirty.add(0)  # the new upper levels stand on the path above the first leaf
            self._grow(highest + 1)
        row = self._levels[0]
        for index, leaf in leaves.items():
            assert len(leaf) == 32, "a leaf is 32 bytes"
            row[32 * index : 32 * index + 32] = leaf
        self._rehash(dirty)
        return self._root

    def _grow(self, size: int) -> None:
        """Lay out all levels for `size` leaves, filled with empty subtrees."""
        self.size = size
        width, height = size, 0
        while True:
            if height == len(self._levels):
                self._levels.append(bytearray())
            row = self._levels[height]
            even = width + (width & 1) if width > 1 else 1
            row += EMPTY_ROOTS[height] * (even - len(row) // 32)
            if width == 1:
                return
            width, height = (width + 1) >> 1, height + 1

    def _rehash(self, dirty: set[int]) -> None:
        """Recompute all ancestors of the dirty leaves."""
        levels = self._levels
        for height in range(len(levels) - 1):
            low, high = levels[height], levels[height + 1]
            dirty = {index >> 1 for index in dirty}
            for index in dirty:
                high[32 * index : 32 * index + 32] = keccak256(low[64 * index : 64 * index + 64])
        node = bytes(levels[-1])
        for height in range(len(levels) - 1, self.depth):
            node = keccak256(node + EMPTY_ROOTS[height])
        self._root = node

    def leaf(self, index: int) -> bytes:
        """Return one leaf; beyond the last it is empty."""
        return self._node(0, index)

    def proof(self, index: int) -> list[bytes]:
        """Return the siblings from the leaf's level upwards, `depth` of them. Raises IndexError."""
        if not 0 <= index < self.size:
            raise IndexError("no such leaf")
        return [self._node(height, index >> height ^ 1) for height in range(self.depth)]

    def _node(self, height: int, index: int) -> bytes:
        row = self._levels[height] if height < len(self._levels) else b""
        return bytes(row[32 * index : 32 * index + 32]) or EMPTY_ROOTS[height]


class AppendTree:
    """A tree that only grows, with roots and proofs as of any earlier size.

    `_levels[h]` holds the finished subtrees of height h. An append hashes two nodes on average; the
    one path of unfinished subtrees (the frontier) is hashed when a root or a proof is asked for.
    """

    __slots__ = ("_levels", "_root", "depth", "size")

    def __init__(self, depth: int = 32, leaves: Sequence[bytes] = ()) -> None:
        """Make a tree of `depth` levels over `leaves` (32 bytes each)."""
        assert 0 < depth <= TREE_DEPTH_MAX
        self.depth = depth
        self.size = 0
        self._levels: list[bytearray] = [bytearray()]
        self._root = (0, EMPTY_ROOTS[depth])  # size and its root, as last asked for
        self.extend(leaves)

    @property
    def root(self) -> bytes:
        """Return the root over all leaves."""
        if self._root[0] != self.size:
            self._root = (self.size, self.root_at(self.size))
        return self._root[1]

    def append(self, leaf: bytes) -> int:
        """Add a leaf and return its index. Raises LimitExceeded when the tree is full."""
        assert len(leaf) == 32, "a leaf is 32 bytes"
        index = self.size
        if index + 1 >= 1 << self.depth or index >= TREE_LEAVES_MAX:
            raise LimitExceeded(f"a tree of depth {self.depth} is full at {index} leaves")
        self._levels[0] += leaf
        self.size = index + 1
        height = 0
        while index >> height & 1:
            pair = self._levels[height][-64:]
            height += 1
            if height == len(self._levels):
                self._levels.append(bytearray())
            self._levels[height] += keccak256(pair)
        return index

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add many leaves."""
        for leaf in leaves:
            self.append(leaf)

    def leaf(self, index: int) -> bytes:
        """Return one leaf. Raises IndexError."""
        if not 0 <= index < self.size:
            raise IndexError("no such leaf")
        return self._finished(0, index)

    def root_at(self, count: int) -> bytes:
        """Return the root when there were `count` leaves. Raises IndexError."""
        return self._frontier(count)[self.depth]

    def proof_at(self, index: int, count: int) -> list[bytes]:
        """Return the proof of a leaf against `root_at(count)`. Raises IndexError."""
        frontier = self._frontier(count)
        if not 0 <= index < count:
            raise IndexError("no such leaf at that size")
        proof = []
        for height in range(self.depth):
            sibling, unfinished = index >> height ^ 1, count >> height
            if sibling < unfinished:
                proof.append(self._finished(height, sibling))
            else:
                proof.append((frontier if sibling == unfinished else EMPTY_ROOTS)[height])
        return proof

    def _frontier(self, count: int) -> list[bytes]:
        """Return, per height, the subtree that `count` leaves leave unfinished."""
        if not 0 <= count <= self.size:
            raise IndexError("the tree never had that size")
        nodes = [EMPTY_LEAF]
        for height in range(self.depth):
            finished = count >> height
            if finished & 1:
                left = self._finished(height, finished - 1)
                nodes.append(keccak256(left + nodes[height]))
            elif nodes[height] == EMPTY_ROOTS[height]:
                nodes.append(EMPTY_ROOTS[height + 1])
            else:
                nodes.append(keccak256(nodes[height] + EMPTY_ROOTS[height]))
        return nodes

    def _finished(self, height: int, index: int) -> bytes:
        return bytes(self._levels[height][32 * index : 32 * index + 32])


def root_from_proof(leaf: bytes, index: int, proof: Sequence[bytes]) -> bytes:
    """Compute the root a proof leads to, as a contract does. Raises InvalidMessage if malformed."""
    if len(proof) > TREE_DEPTH_MAX or not 0 <= index < 1 << len(proof):
        raise InvalidMessage("a Merkle proof has a sibling per bit of the index")
    if len(leaf) != 32 or any(len(sibling) != 32 for sibling in proof):
        raise InvalidMessage("the nodes of a Merkle proof are 32 bytes")
    node = leaf
    for height, sibling in enumerate(proof):
        node = keccak256(sibling + node) if index >> height & 1 else keccak256(node + sibling)
    return node


def verify_proof(root: bytes, leaf: bytes, index: int, proof: Sequence[bytes]) -> None:
    """Raise InvalidMessage unless the leaf stands at `index` under `root`."""
    if root_from_proof(leaf, index, proof) != root:
        raise InvalidMessage("the Merkle proof leads to another root")
