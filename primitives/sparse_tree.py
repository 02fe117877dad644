"""Keep a binary keccak Merkle tree whose leaves come and go anywhere.

Rule: only nodes above a present leaf are stored, so an emptied subtree costs nothing and the
highest index costs nothing either. Equal leaves give the root of a `DenseTree` of that depth.
Spec: docs/spec/encoding.md §6 (Merkle trees).
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Mapping

from primitives.errors import LimitExceeded
from primitives.keccak import keccak256
from primitives.limits import TREE_DEPTH_MAX
from primitives.merkle import EMPTY_LEAF, EMPTY_ROOTS


class SparseTree:
    """A tree of fixed depth over indices 0 … 2**depth - 1.

    `_levels[h]` holds the nodes of height h, up to the first height at which all leaves there ever
    were lie below one node; from there up the path is hashed without being kept.
    """

    __slots__ = ("_levels", "_root", "depth")

    def __init__(self, depth: int) -> None:
        """Make an empty tree."""
        assert 0 < depth <= TREE_DEPTH_MAX
        self.depth: int = depth
        self._levels: list[dict[int, bytes]] = [{}]
        self._root: bytes = EMPTY_ROOTS[depth]

    @property
    def root(self) -> bytes:
        """Return the 32-byte root."""
        return self._root

    @property
    def size(self) -> int:
        """Return the number of leaves present."""
        return len(self._levels[0])

    def update(self, leaves: Mapping[int, bytes]) -> bytes:
        """Set leaves by index, an empty one (32 zero bytes) to remove it; return the new root.

        Every inner node is hashed once. Raises LimitExceeded for an index beyond the tree.
        """
        if not leaves:
            return self._root
        row = self._levels[0]
        for index, leaf in leaves.items():
            assert len(leaf) == 32, "a leaf is 32 bytes"
            if index < 0 or index >> self.depth:
                raise LimitExceeded(f"no leaf {index} in a tree of depth {self.depth}")
            if leaf == EMPTY_LEAF:
                row.pop(index, None)
            else:
                row[index] = leaf
        grown = max(leaves).bit_length() + 1 - len(self._levels)
        if grown > 0:
            self._grow(grown)
        dirty = list(leaves)
        top = len(self._levels) - 1
        for height in range(top):
            dirty = self._rehash(height, dirty)
        node = self._levels[top].get(0, EMPTY_ROOTS[top])
        for empty in EMPTY_ROOTS[top : self.depth]:
            node = keccak256(node + empty)
        self._root = node
        return node

    def _grow(self, count: int) -> None:
        """Keep so many levels more; what there is lies below the first node of each."""
        for _ in range(count):
            self._levels.append({})
            self._rehash(len(self._levels) - 2, [0])

    def _rehash(self, height: int, dirty: list[int]) -> list[int]:
        """Recompute the parents of nodes of one height; returns their indices."""
        low = self._levels[height]
        high = self._levels[height + 1]
        empty = EMPTY_ROOTS[height]
        parents = list(dict.fromkeys([index >> 1 for index in dirty]))
        for parent in parents:
            left = low.get(2 * parent)
            right = low.get(2 * parent + 1)
            if left is None and right is None:
                high.pop(parent, None)
            else:
                high[parent] = keccak256((left or empty) + (right or empty))
        return parents
