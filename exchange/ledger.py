"""Money in and out of accounts that no order moves: credits, transfers, withdrawals, fee shares.

Rule: every atom that enters, leaves or changes owner outside a trade does so in this file.
Spec: docs/spec/exchange.md#money, #fees
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exchange.accounts import Balance
from exchange.operations import Transfer, Withdraw, decode_amount
from exchange.outcome import FROM_FEES, FROM_REWARDS, Share, Withdrawal
from exchange.reasons import Reason
from exchange.state import State
from primitives.abi import encode_words
from primitives.keccak import keccak256
from primitives.merkle import leaf_hash

COMPANY_PERCENT: Final = 20
DEVELOPMENT_PERCENT: Final = 10
VALIDATORS_PERCENT: Final = 100 - COMPANY_PERCENT - DEVELOPMENT_PERCENT
REWARDS: Final = keccak256(b"OmniBazaar rewards")[12:]
"""Account that the vault credits block rewards to; nobody has its key."""
NOBODY: Final = bytes(20)
"""The zero address: sending there is taken for a mistake."""
OK = int(Reason.OK)
UNKNOWN_ASSET = int(Reason.UNKNOWN_ASSET)
BELOW_MINIMUM = int(Reason.BELOW_MINIMUM)
BAD_TRANSFER = int(Reason.BAD_TRANSFER)
VAULT_FROZEN = int(Reason.VAULT_FROZEN)
INSUFFICIENT_FUNDS = int(Reason.INSUFFICIENT_FUNDS)


def credit(state: State, owner: bytes, sub: int, asset: int, amount: int) -> Balance:
    """Add free atoms to an account, which is opened if it is new."""
    assert amount >= 0
    balance = state.open_account(owner).open_balance(sub, asset)
    balance.free += amount
    touch(state, balance)
    return balance


def touch(state: State, balance: Balance) -> None:
    """Note that a balance changed in this block."""
    if not balance.touched:
        balance.touched = True
        state.log.touched.append(balance)


def process_transfer(state: State, owner: bytes, sub: int, op: Transfer) -> int:
    """Move free funds to an account or sub-account. Returns a reason code."""
    amount = decode_amount(op.amount)
    if op.asset >= len(state.assets):
        return UNKNOWN_ASSET
    if amount == 0 or op.to == NOBODY or (op.to == owner and op.to_sub == sub):
        return BAD_TRANSFER
    if state.is_frozen(op.asset):
        return VAULT_FROZEN
    if amount < state.assets[op.asset].terms.transfer_minimum and op.to != owner:
        return BELOW_MINIMUM
    source = state.by_address[owner].get_balance(sub, op.asset)
    if source is None or source.free < amount:
        return INSUFFICIENT_FUNDS
    source.free -= amount
    touch(state, source)
    credit(state, op.to, op.to_sub, op.asset, amount)
    return OK


def process_withdrawal(state: State, owner: bytes, sub: int, op: Withdraw, action_id: bytes) -> int:
    """Take free funds off the ledger and append the claim to the withdrawals tree."""
    amount = decode_amount(op.amount)
    if op.asset >= len(state.assets):
        return UNKNOWN_ASSET
    asset = state.assets[op.asset]
    if amount == 0 or op.to in (NOBODY, asset.token) or (asset.chain_id, op.to) in state.vaults:
        return BAD_TRANSFER  # the vault could never pay these
    if state.is_frozen(op.asset):
        return VAULT_FROZEN
    if amount < asset.terms.withdrawal_minimum:
        return BELOW_MINIMUM
    account = state.by_address[owner]
    source = account.get_balance(sub, op.asset)
    if source is None or source.free < amount:
        return INSUFFICIENT_FUNDS
    source.free -= amount
    touch(state, source)
    state.withdrawn[op.asset] += amount
    index = state.withdrawals.size
    place = (asset.chain_id, asset.vault)
    leaf = compute_withdrawal_leaf(index, place, asset.token, amount, op.to)
    state.withdrawals.append(leaf)
    state.log.withdrawals.append(
        Withdrawal(index, account.number, sub, op.asset, amount, op.to, action_id)
    )
    return OK


def compute_withdrawal_leaf(
    index: int, place: tuple[int, bytes], token: bytes, amount: int, to: bytes
) -> bytes:
    """Compute the leaf that the contract of the vault at `place` rebuilds from a claim."""
    chain_id, vault = place
    return leaf_hash(encode_words(index, chain_id, vault, token, amount, to))


def compute_shares(total: int) -> tuple[int, int, int]:
    """Split a cumulative fee total into (validators, company, development); they add up to it
    exactly.
    """
    company = total * COMPANY_PERCENT // 100
    development = total * DEVELOPMENT_PERCENT // 100
    return total - company - development, company, development


def share_fees(state: State, committee: Sequence[tuple[bytes, int, bytes]]) -> None:
    """Credit the validators' part by committee weight; what does not divide stays for the next
    time.

    They are credited 70 % rounded down, which never falls: what the treasuries' roundings leave
    falls by an atom where both of them gain one.
    """
    weight = sum(member[1] for member in committee)
    if weight == 0:
        return
    for asset in range(len(state.assets)):
        pool = state.fees[asset] * VALIDATORS_PERCENT // 100 - state.fees_shared[asset]
        assert pool >= 0
        for _, member_weight, payout in committee:
            amount = pool * member_weight // weight
            if amount == 0:
                continue
            balance = credit(state, payout, 0, asset, amount)
            state.fees_shared[asset] += amount
            state.log.shares.append(Share(balance.account.number, asset, amount, FROM_FEES))


def share_rewards(state: State, committee: Sequence[tuple[bytes, int, bytes]]) -> None:
    """Share what the rewards account has by weight; what does not divide stays for the next time.

    Whatever anybody transfers to that account is shared in the same way.
    """
    weight = sum(member[1] for member in committee)
    account = state.by_address.get(REWARDS)
    if weight == 0 or account is None:
        return
    for source in tuple(account.entries):
        pool = source.free
        for _, member_weight, payout in committee:
            amount = pool * member_weight // weight
            if amount == 0 or payout == REWARDS:
                continue
            source.free -= amount
            touch(state, source)
            number = credit(state, payout, 0, source.asset, amount).account.number
            state.log.shares.append(Share(number, source.asset, amount, FROM_REWARDS))
        assert source.free >= 0
