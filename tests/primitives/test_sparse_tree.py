"""A sparse tree has the root of a dense one and stores nothing for what is gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primitives.errors import LimitExceeded
from primitives.merkle import EMPTY_LEAF, EMPTY_ROOTS, DenseTree
from primitives.sparse_tree import SparseTree

LEAF = st.one_of(st.just(EMPTY_LEAF), st.binary(min_size=32, max_size=32))


@given(st.lists(st.dictionaries(st.integers(0, 70), LEAF), max_size=12))
def test_root_is_that_of_a_dense_tree(updates: list[dict[int, bytes]]) -> None:
    dense, sparse = DenseTree(9), SparseTree(9)
    present: dict[int, bytes] = {}
    for leaves in updates:
        assert sparse.update(leaves) == dense.update(leaves) == sparse.root
        present.update(leaves)
    assert sparse.size == sum(leaf != EMPTY_LEAF for leaf in present.values())


def test_removed_leaves_leave_nothing_behind() -> None:
    tree = SparseTree(44)
    far = (1 << 44) - 1
    root = tree.update({0: b"\1" * 32, far: b"\2" * 32})
    assert root != EMPTY_ROOTS[44]
    tree.update({0: EMPTY_LEAF, far: EMPTY_LEAF, 5: EMPTY_LEAF})
    assert tree.root == EMPTY_ROOTS[44]
    assert not any(tree._levels)
    assert tree.update({far: b"\2" * 32, 0: b"\1" * 32}) == root


@pytest.mark.parametrize("index", [-1, 16])
def test_index_beyond_the_tree_is_refused(index: int) -> None:
    with pytest.raises(LimitExceeded):
        SparseTree(4).update({index: b"\1" * 32})
