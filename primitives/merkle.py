"""Keep binary keccak Merkle trees whose proofs a contract can check.

Rule: an inner node is keccak(left ‖ right) of 64 bytes; a leaf's preimage starts with a zero byte and is
never 64 bytes long, so neither can be taken for the other. An absent leaf is 32 zero bytes.
Spec: docs/spec/exchange.md (Roots). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from primitives.errors import InvalidMessage
from primitives.keccak import keccak256
from primitives.limits import TREE_DEPTH_MAX

EMPTY_LEAF = bytes(32)


def _empty_roots() -> tuple[bytes, ...]:
    roots = [EMPTY_LEAF]
    for _ in range(TREE_DEPTH_MAX):
        roots.append(keccak256(roots[-1] + roots[-1]))
    return tuple(roots)


EMPTY_ROOTS = _empty_roots()
"""EMPTY_ROOTS[h] is the root of a subtree of height h without any leaf."""


def leaf_hash(record: bytes) -> bytes:
    """Return keccak(0x00 ‖ record)."""
    assert len(record) != 63, "a leaf must not have the length of an inner node"
    return keccak256(b"\0" + record)


class DenseTree:
    """A tree of fixed depth over indices 0, 1, …; only what lies below the highest index is stored."""

    __slots__ = ("_levels", "depth", "size")

    def __init__(self, depth: int = 32) -> None:
        assert 0 < depth <= TREE_DEPTH_MAX
        self.depth = depth
        self.size = 0  # highest index ever set, plus one
        self._levels = [bytearray() for _ in range(depth + 1)]

    @property
    def root(self) -> bytes:
        """Return the 32-byte root."""
        top = self._levels[self.depth]
        return bytes(top) if top else EMPTY_ROOTS[self.depth]

    def update(self, leaves: Mapping[int, bytes]) -> bytes:
        """Replace leaves by index and return the new root; every inner node is hashed once."""
        if not leaves:
            return self.root
        row = self._levels[0]
        highest = max(leaves)
        assert min(leaves) >= 0
        assert highest >> self.depth == 0, "index beyond the tree"
        if highest >= self.size:
            row.extend(bytes(32 * (highest + 1 - len(row) // 32)))
            self.size = highest + 1
        for index, leaf in leaves.items():
            assert len(leaf) == 32, "a leaf is 32 bytes"
            row[32 * index : 32 * index + 32] = leaf
        dirty = set(leaves)
        for height in range(self.depth):
            dirty = {index >> 1 for index in dirty}
            self._rehash(height, dirty)
        return self.root

    def _rehash(self, height: int, parents: set[int]) -> None:
        low, high = self._levels[height], self._levels[height + 1]
        empty = EMPTY_ROOTS[height]
        count = (len(low) // 32 + 1) // 2
        while len(high) < 32 * count:
            high.extend(EMPTY_ROOTS[height + 1])
        for parent in parents:
            pair = bytes(low[64 * parent : 64 * parent + 64])
            if len(pair) < 64:
                pair += empty
            high[32 * parent : 32 * parent + 32] = keccak256(pair)

    def leaf(self, index: int) -> bytes:
        """Return one leaf."""
        return self._node(0, index)

    def proof(self, index: int) -> list[bytes]:
        """Return the siblings from the leaf's level upwards, `depth` of them."""
        if not 0 <= index < self.size:
            raise IndexError("no such leaf")
        return [self._node(height, index >> height ^ 1) for height in range(self.depth)]

    def _node(self, height: int, index: int) -> bytes:
        row = self._levels[height]
        node = bytes(row[32 * index : 32 * index + 32])
        return node or EMPTY_ROOTS[height]


class AppendTree:
    """A tree that only grows, with roots and proofs as of any earlier size."""

    __slots__ = ("_tree",)

    def __init__(self, depth: int = 32) -> None:
        self._tree = DenseTree(depth)

    @property
    def size(self) -> int:
        """Return the number of leaves."""
        return self._tree.size

    @property
    def root(self) -> bytes:
        """Return the root over all leaves."""
        return self._tree.root

    def append(self, leaf: bytes) -> int:
        """Add a leaf and return its index."""
        index = self._tree.size
        self._tree.update({index: leaf})
        return index

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add many leaves, hashing every inner node once."""
        start = self._tree.size
        self._tree.update({start + i: leaf for i, leaf in enumerate(leaves)})

    def leaf(self, index: int) -> bytes:
        """Return one leaf."""
        return self._tree.leaf(index)

    def root_at(self, count: int) -> bytes:
        """Return the root when there were `count` leaves."""
        return self._node_at(self._tree.depth, 0, self._checked(count))

    def proof_at(self, index: int, count: int) -> list[bytes]:
        """Return the proof of a leaf against `root_at(count)`."""
        if not 0 <= index < self._checked(count):
            raise IndexError("no such leaf at that size")
        return [self._node_at(h, index >> h ^ 1, count) for h in range(self._tree.depth)]

    def _checked(self, count: int) -> int:
        if not 0 <= count <= self._tree.size:
            raise IndexError("the tree never had that size")
        return count

    def _node_at(self, height: int, index: int, count: int) -> bytes:
        first = index << height
        if first >= count:
            return EMPTY_ROOTS[height]
        if first + (1 << height) <= count:
            return self._tree._node(height, index)
        left = self._node_at(height - 1, 2 * index, count)
        return keccak256(left + self._node_at(height - 1, 2 * index + 1, count))


def root_from_proof(leaf: bytes, index: int, proof: Sequence[bytes]) -> bytes:
    """Compute the root a proof leads to, as a contract does."""
    node = leaf
    for height, sibling in enumerate(proof):
        node = keccak256(sibling + node) if index >> height & 1 else keccak256(node + sibling)
    return node


def verify_proof(root: bytes, leaf: bytes, index: int, proof: Sequence[bytes]) -> None:
    """Raise InvalidMessage unless the leaf stands at `index` under `root`."""
    if any(len(sibling) != 32 for sibling in proof) or not 0 <= index < 1 << len(proof):
        raise InvalidMessage("a malformed Merkle proof")
    if root_from_proof(leaf, index, proof) != root:
        raise InvalidMessage("the Merkle proof leads to another root")
