"""Compute the words of the state root, and the proofs that contracts check against them.

Rule: every hash over the state is defined here; the contracts' `LedgerProof.sol` is its
counterpart.
Spec: docs/spec/exchange.md#roots
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from exchange.accounts import Account, Balance
from exchange.limits import BALANCE_TREE_DEPTH, ENTRIES_WITHOUT_NODES_MAX
from exchange.operations import encode_amount
from exchange.outcome import FeeRow, Fill, StateRoots
from exchange.state import State
from primitives.abi import encode_words
from primitives.keccak import keccak256
from primitives.merkle import EMPTY_LEAF, EMPTY_ROOTS, leaf_hash

_encoder: Final = msgspec.msgpack.Encoder()
WORD_END: Final = 1 << 256
NO_REST: Final = bytes(32)
"""The account leaf's last word, for positions that no asset entry holds; none exist yet."""


class EscapeProof(NamedTuple):
    """Everything `Settlement.escape` needs to pay one entry, against the state root of one
    height.
    """

    words: StateRoots
    account: int
    owner: bytes
    rest_hash: bytes
    account_siblings: list[bytes]
    entry: int
    sub: int
    asset: int
    free: int
    held: int
    entry_siblings: list[bytes]


def compute_entry_leaf(balance: Balance) -> bytes:
    """Hash one balance: keccak(0x00 ‖ sub ‖ asset ‖ free ‖ held)."""
    free = balance.free
    held = balance.held
    assert 0 <= free < WORD_END
    assert 0 <= held < WORD_END
    words = ((balance.sub << 256 | balance.asset) << 256 | free) << 256 | held
    return keccak256(words.to_bytes(129, "big"))


def compute_balances_root(leaves: Sequence[bytes]) -> bytes:
    """Hash an account's entries by position into a tree of depth 16."""
    row = list(leaves)
    height = 0
    while len(row) > 1:
        if len(row) & 1:
            row.append(EMPTY_ROOTS[height])
        row = [keccak256(row[i] + row[i + 1]) for i in range(0, len(row), 2)]
        height += 1
    return _lift(row[0], height)


def _lift(root: bytes, height: int) -> bytes:
    """Return the root at the full depth of a tree that has nothing beside this subtree."""
    for empty in EMPTY_ROOTS[height:BALANCE_TREE_DEPTH]:
        root = keccak256(root + empty)
    return root


def compute_account_leaf(account: Account) -> bytes:
    """Hash an account: keccak(0x00 ‖ owner ‖ balances root ‖ rest hash)."""
    return _hash_account(account, compute_balances_root(account.leaves))


def _hash_account(account: Account, balances_root: bytes) -> bytes:
    return keccak256(bytes(13) + account.owner + balances_root + NO_REST)


def update_balances_root(account: Account, positions: Sequence[int]) -> bytes:
    """Hash an account's entries, of which those at `positions` changed or are new.

    An account of many entries keeps its inner nodes, so that this costs the paths alone.
    """
    leaves = account.leaves
    if len(leaves) <= ENTRIES_WITHOUT_NODES_MAX:
        return compute_balances_root(leaves)
    height = (len(leaves) - 1).bit_length()
    width = 1 << height
    nodes = account.nodes
    if len(nodes) == 2 * width:
        for position in positions:
            nodes[width + position] = leaves[position]
        dirty = {width + position for position in positions}
        while width > 1:
            width >>= 1
            dirty = {node >> 1 for node in dirty}
            for node in dirty:
                nodes[node] = keccak256(nodes[2 * node] + nodes[2 * node + 1])
    else:  # it is new or has become higher
        nodes = account.nodes = [*[b""] * width, *leaves, *[EMPTY_LEAF] * (width - len(leaves))]
        for node in range(width - 1, 0, -1):
            nodes[node] = keccak256(nodes[2 * node] + nodes[2 * node + 1])
    return _lift(nodes[1], height)


def update_accounts(state: State) -> None:
    """Bring the accounts tree up to date with the balances touched in this block."""
    dirty: dict[int, list[int]] = {}
    for balance in state.log.touched:
        balance.touched = False
        account = balance.account
        position = balance.position
        account.leaves[position] = compute_entry_leaf(balance)
        positions = dirty.get(account.number)
        if positions is None:
            dirty[account.number] = [position]
        else:
            positions.append(position)
    leaves = {}
    for number, positions in dirty.items():
        account = state.accounts[number]
        leaves[number] = _hash_account(account, update_balances_root(account, positions))
    state.accounts_tree.update(leaves)


def update_running_words(state: State) -> None:
    """Chain this block's fills and statuses to the running words."""
    log = state.log
    if log.fills:
        state.fills_word = keccak256(state.fills_word + encode_fills(log.fills))
    seen = state.participation
    if log.receipts or log.resolutions or log.commits or seen != NO_REST:
        effects = _encoder.encode((state.height, log.receipts, log.resolutions, log.commits, seen))
        state.effects_word = keccak256(state.effects_word + effects)


def encode_fills(fills: Sequence[Fill]) -> bytes:
    """Encode fills for hashing; fees are amounts of 16 bytes, for they may exceed 64 bits."""
    return _encoder.encode(
        [
            (
                fill.market,
                fill.price,
                fill.size,
                fill.taker_side,
                fill.maker_order,
                fill.maker_account,
                fill.maker_sub,
                encode_amount(fill.maker_fee),
                fill.maker_left,
                fill.taker_order,
                fill.taker_account,
                fill.taker_sub,
                encode_amount(fill.taker_fee),
                fill.taker_left,
                fill.action_id,
                fill.batch,
            )
            for fill in fills
        ]
    )


def compute_deposits_word(state: State) -> bytes:
    """Hash (chain id, vault, deposits credited) of every vault: those of the genesis in order of
    the first asset in them, then those that assets moved to, in order of moves.
    """
    words: list[int | bytes] = []
    for (chain_id, vault), cursor in state.vaults.items():
        words += [chain_id, vault, cursor.credited]
    return keccak256(encode_words(*words))


def compute_roots(state: State) -> StateRoots:
    """Collect the seven words as of the state's height."""
    return StateRoots(
        state.height,
        state.accounts_tree.root,
        state.withdrawals.root,
        compute_deposits_word(state),
        state.fills_word,
        state.effects_word,
        state.rest_word,
    )


def compute_state_root(roots: StateRoots) -> bytes:
    """Hash the seven words."""
    return keccak256(
        encode_words(
            roots.height,
            roots.accounts,
            roots.withdrawals,
            roots.deposits,
            roots.fills,
            roots.effects,
            roots.rest,
        )
    )


def compute_fees_root(state: State) -> bytes:
    """Hash the five words of every fee row."""
    return hash_fee_rows(list_fee_rows(state))


def hash_fee_rows(rows: Sequence[FeeRow]) -> bytes:
    """Hash the five words of every row."""
    return keccak256(
        b"".join([_lay_out(r.chain_id, r.vault, r.token, r.total, r.owed) for r in rows])
    )


@lru_cache(maxsize=1024)
def _lay_out(chain_id: int, vault: bytes, token: bytes, total: int, owed: int) -> bytes:
    """Lay out the words of a fee row; those of most assets are the same block after block."""
    return encode_words(chain_id, vault, token, total, owed)


def list_fee_rows(state: State) -> tuple[FeeRow, ...]:
    """List the cumulative fees of every asset with its vault, in order of asset ids; then those of
    every vault that assets have left, in order of moves.
    """
    rows = [FeeRow(a.chain_id, a.vault, a.token, state.fees[a.id], 0) for a in state.assets]
    rows += [FeeRow(r.chain_id, r.vault, r.token, r.fees, r.owed) for r in state.retired]
    return tuple(rows)


def withdrawal_proof(state: State, index: int, count: int) -> list[bytes]:
    """Prove a withdrawal against the tree as it was with `count` leaves. Raises IndexError."""
    return state.withdrawals.proof_at(index, count)


def escape_proof(state: State, owner: bytes, sub: int, asset: int) -> EscapeProof | None:
    """Prove one balance against this state's root; None if there is no such entry."""
    account = state.by_address.get(owner)
    balance = None if account is None else account.get_balance(sub, asset)
    if account is None or balance is None:
        return None
    assert account.leaves[balance.position] == leaf_hash(
        encode_words(sub, asset, balance.free, balance.held)
    )
    return EscapeProof(
        compute_roots(state),
        account.number,
        owner,
        NO_REST,
        state.accounts_tree.proof(account.number),
        balance.position,
        sub,
        asset,
        balance.free,
        balance.held,
        _prove_entry(account.leaves, balance.position),
    )


def _prove_entry(leaves: Sequence[bytes], position: int) -> list[bytes]:
    proof = []
    row = list(leaves)
    for height in range(BALANCE_TREE_DEPTH):
        empty = EMPTY_ROOTS[height]
        if len(row) & 1:
            row.append(empty)
        proof.append(row[position ^ 1])
        row = [keccak256(row[i] + row[i + 1]) for i in range(0, len(row), 2)]
        position >>= 1
    return proof
