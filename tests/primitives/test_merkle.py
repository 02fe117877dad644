"""Facts about `primitives.merkle`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primitives.errors import InvalidMessage, LimitExceeded
from primitives.keccak import keccak256
from primitives.merkle import (
    EMPTY_LEAF,
    EMPTY_ROOTS,
    AppendTree,
    DenseTree,
    leaf_hash,
    root_from_proof,
    verify_proof,
)

leaf_values = st.binary(min_size=32, max_size=32)
LEAVES = [leaf_hash(bytes([i])) for i in range(100)]


def plain_root(leaves: list[bytes], depth: int) -> bytes:
    """The definition, without any shortcut."""
    row = leaves + [EMPTY_LEAF] * (2**depth - len(leaves))
    while len(row) > 1:
        row = [keccak256(row[i] + row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


def test_the_empty_tree_has_the_root_of_the_deposit_contract_recipe():
    """The same zero hashes as an OpenZeppelin or deposit-contract tree of keccak."""
    assert (
        EMPTY_ROOTS[1].hex() == "ad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5"
    )
    assert (
        EMPTY_ROOTS[2].hex() == "b4c11951957c6f8f642c4af61cd6b24640fec6dc7fc607ee8206a99e92410d30"
    )
    assert DenseTree().root == AppendTree().root == EMPTY_ROOTS[32]


def test_a_leaf_cannot_be_taken_for_an_inner_node():
    with pytest.raises(AssertionError):
        leaf_hash(bytes(63))
    assert leaf_hash(b"x") == keccak256(b"\0x")


@given(st.lists(st.dictionaries(st.integers(0, 63), leaf_values, max_size=8), max_size=6))
def test_a_dense_tree_has_the_root_of_the_definition_and_proofs_for_all(updates):
    tree, leaves = DenseTree(6), [EMPTY_LEAF] * 64
    for update in updates:
        for index, leaf in update.items():
            leaves[index] = leaf
        assert tree.update(update) == tree.root == plain_root(leaves, 6)
    assert tree.size == max((index + 1 for update in updates for index in update), default=0)
    for index in range(tree.size):
        assert tree.leaf(index) == leaves[index]
        verify_proof(tree.root, leaves[index], index, tree.proof(index))


@given(st.integers(0, 31), st.data())
def test_an_append_tree_knows_every_earlier_root_and_proof(size, data):
    leaves = LEAVES[:size]
    tree = AppendTree(5)
    roots = [tree.root]
    for index, leaf in enumerate(leaves):
        assert tree.append(leaf) == index
        if data.draw(st.booleans()):
            assert tree.root == plain_root(leaves[: index + 1], 5)
        roots.append(plain_root(leaves[: index + 1], 5))
    for count in range(size + 1):
        assert tree.root_at(count) == roots[count]
        for index in range(count):
            verify_proof(roots[count], leaves[index], index, tree.proof_at(index, count))


def test_both_trees_agree_at_full_depth():
    dense, append = DenseTree(32, LEAVES), AppendTree(32, LEAVES)
    assert dense.root == append.root
    for index in (0, 1, 63, 64, 99):
        assert dense.proof(index) == append.proof_at(index, 100)
        assert len(dense.proof(index)) == 32


def test_a_proof_holds_for_one_leaf_one_index_and_one_root_only():
    tree = DenseTree(8, LEAVES)
    proof = tree.proof(5)
    verify_proof(tree.root, LEAVES[5], 5, proof)
    changed = [bytes(32), *proof[1:]]
    for root, leaf, index, siblings in [
        (EMPTY_ROOTS[8], LEAVES[5], 5, proof),
        (tree.root, LEAVES[6], 5, proof),
        (tree.root, LEAVES[5], 4, proof),
        (tree.root, LEAVES[5], 5 + 256, proof),  # the same path in a deeper tree
        (tree.root, LEAVES[5], -251, proof),
        (tree.root, LEAVES[5], 5, proof[:-1]),
        (tree.root, LEAVES[5], 5, [*proof, bytes(32)]),
        (tree.root, LEAVES[5], 5, changed),
        (tree.root, LEAVES[5], 5, [*proof[:-1], b"short"]),
        (tree.root, b"short", 5, proof),
        (tree.root, LEAVES[5], 5, []),
        (tree.root, LEAVES[5], 5, [bytes(32)] * 1000),
    ]:
        with pytest.raises(InvalidMessage):
            verify_proof(root, leaf, index, siblings)


def test_an_inner_node_is_not_accepted_as_a_leaf_of_the_full_tree():
    tree = DenseTree(8, LEAVES)
    inner = keccak256(LEAVES[4] + LEAVES[5])
    assert (
        root_from_proof(inner, 2, tree.proof(5)[1:]) == tree.root
    )  # why a verifier fixes the depth
    with pytest.raises(InvalidMessage):
        verify_proof(tree.root, inner, 5, tree.proof(5))


def test_indices_that_the_tree_cannot_hold_are_refused():
    with pytest.raises(LimitExceeded):
        DenseTree(8).update({256: EMPTY_LEAF})
    with pytest.raises(LimitExceeded):
        DenseTree(32).update({2**31: EMPTY_LEAF})
    with pytest.raises(IndexError):
        DenseTree(8, LEAVES).proof(100)
    full = AppendTree(3, LEAVES[:7])
    with pytest.raises(LimitExceeded):
        full.append(LEAVES[7])
    for index, count in [(7, 7), (-1, 7), (0, 8), (3, 3)]:
        with pytest.raises(IndexError):
            full.proof_at(index, count)
