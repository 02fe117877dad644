"""Work out all that a closed vault owes one account, as calls that anybody may make later.

Rule: a payment is calldata that names its receiver and is valid against exactly one state root; the
file of them holds no secret.
Spec: docs/spec/settlement.md §6; docs/how-to/escape.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from contracts.escape import (
    EscapeClaim,
    RefundClaim,
    VaultCursor,
    encode_escape,
    encode_refund,
)
from contracts.settlement_calls import encode_withdraw
from contracts.settlement_types import Deposit, StateWords, WithdrawalClaim
from exchange.ledger import compute_withdrawal_leaf
from exchange.roots import compute_roots, escape_proof, list_fee_rows
from exchange.state import State
from node.network_file import Chain, NetworkFile
from node.replica.ledger import Ledger
from node.settlement.checkpointer import to_fee_totals
from primitives.address import to_checksum
from primitives.errors import ConfigError, InvalidMessage

FILE_BYTES_MAX = 64 << 20
Hex = Annotated[str, Meta(pattern="^0x([0-9a-f]{2})*$")]
Digits = Annotated[str, Meta(pattern="^[0-9]{1,78}$")]


class Payment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that the vault owes."""

    kind: Literal["balance", "refund", "withdrawal"]
    number: Annotated[int, Meta(ge=0)]  # key of the entry, id of the deposit, index of the leaf
    symbol: str
    sub: int = 0
    amount: Digits  # atoms
    to: str
    calldata: Hex


class PaymentFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one account is owed by one vault under one root."""

    version: Literal[1] = 1
    network_id: Hex
    chain_id: int
    vault: str
    height: int  # executed height of the root
    state_root: Hex
    owner: str
    payments: tuple[Payment, ...]


def read_payments(data: bytes) -> PaymentFile:
    """Read a file of payments. Raises ConfigError."""
    try:
        if len(data) > FILE_BYTES_MAX:
            raise msgspec.ValidationError("too large")
        return msgspec.json.decode(data, type=PaymentFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(
            f"this is no file of escape proofs: {error}",
            fix="make one with `omnibazaar wallet escape-proof`",
        ) from None


def write_payments(file: PaymentFile) -> bytes:
    """Write the file, for people to look into as well."""
    return msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"


def make_payments(
    network: NetworkFile,
    ledger: Ledger,
    chain: Chain,
    owner: bytes,
    *,
    deposits: Iterable[Deposit] = (),
    withdrawals: Iterable[tuple[int, int, int, bytes]] = (),
) -> PaymentFile:
    """Return everything that a vault owes an account under the ledger's root.

    `deposits` are those of the owner that the vault has seen; `withdrawals` are (index, asset id,
    amount, receiver). Raises InvalidMessage for a withdrawal that the root does not know.
    """
    state = ledger.state
    words = _words(state)
    payments = [
        *_balances(state, words, chain, owner),
        *(_withdrawal(state, words, chain, one) for one in withdrawals),
        *_refunds(state, words, chain, owner, deposits),
    ]
    return PaymentFile(
        network_id="0x" + network.network_id.hex(),
        chain_id=chain.chain_id,
        vault=to_checksum(chain.vault_bytes),
        height=state.height,
        state_root="0x" + ledger.roots.state.hex(),
        owner=to_checksum(owner),
        payments=tuple(payments),
    )


def _words(state: State) -> StateWords:
    roots = compute_roots(state)
    return StateWords(
        height=roots.height,
        accounts=roots.accounts,
        withdrawals=roots.withdrawals,
        deposits=roots.deposits,
        fills=roots.fills,
        effects=roots.effects,
        rest=roots.rest,
    )


def _balances(state: State, words: StateWords, chain: Chain, owner: bytes) -> Iterable[Payment]:
    fees = to_fee_totals(list_fee_rows(state))
    account = state.by_address.get(owner)
    for balance in () if account is None else account.entries:
        asset = state.assets[balance.asset]
        ours = (asset.chain_id, asset.vault) == (chain.chain_id, chain.vault_bytes)
        if not ours or not balance.free + balance.held:
            continue
        proof = escape_proof(state, owner, balance.sub, balance.asset)
        assert proof is not None, "the entry is there"
        claim = EscapeClaim(
            words=words,
            account=proof.account,
            owner=owner,
            rest_hash=proof.rest_hash,
            account_siblings=tuple(proof.account_siblings),
            entry=proof.entry,
            sub=proof.sub,
            asset=proof.asset,
            free=proof.free,
            held=proof.held,
            entry_siblings=tuple(proof.entry_siblings),
            fees=fees,
        )
        yield Payment(
            kind="balance",
            number=claim.account << 16 | claim.entry,
            symbol=asset.name,
            sub=balance.sub,
            amount=str(balance.free + balance.held),
            to=to_checksum(owner),
            calldata=_hex(encode_escape(claim, owner)),
        )


def _withdrawal(
    state: State, words: StateWords, chain: Chain, one: tuple[int, int, int, bytes]
) -> Payment:
    index, asset_id, amount, to = one
    if index >= state.withdrawals.size or asset_id >= len(state.assets):
        raise InvalidMessage(f"the accepted root knows no withdrawal {index}")
    token = state.assets[asset_id].token
    place = (chain.chain_id, chain.vault_bytes)
    if state.withdrawals.leaf(index) != compute_withdrawal_leaf(index, place, token, amount, to):
        raise InvalidMessage(f"withdrawal {index} is not what was said of it")
    claim = WithdrawalClaim(
        words=words,
        index=index,
        token=token,
        amount=amount,
        to=to,
        siblings=tuple(state.withdrawals.proof_at(index, state.withdrawals.size)),
    )
    return Payment(
        kind="withdrawal",
        number=index,
        symbol=state.assets[asset_id].name,
        amount=str(amount),
        to=to_checksum(to),
        calldata=_hex(encode_withdraw(claim)),
    )


def _refunds(
    state: State,
    words: StateWords,
    chain: Chain,
    owner: bytes,
    deposits: Iterable[Deposit],
) -> Iterable[Payment]:
    cursors = tuple(
        VaultCursor(chain_id=chain_id, vault=vault, credited=cursor.credited)
        for (chain_id, vault), cursor in state.vaults.items()
    )
    names = {asset.token: asset.name for asset in state.assets if asset.chain_id == chain.chain_id}
    cursor = state.vaults.get((chain.chain_id, chain.vault_bytes))
    credited = 0 if cursor is None else cursor.credited
    for deposit in deposits:
        if deposit.id < credited or deposit.depositor != owner:
            continue
        claim = RefundClaim(
            words=words,
            cursors=cursors,
            id=deposit.id,
            token=deposit.token,
            depositor=deposit.depositor,
            beneficiary=deposit.beneficiary,
            amount=deposit.amount,
        )
        yield Payment(
            kind="refund",
            number=deposit.id,
            symbol=names.get(deposit.token, to_checksum(deposit.token)),
            amount=str(deposit.amount),
            to=to_checksum(owner),
            calldata=_hex(encode_refund(claim, owner)),
        )


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def describe_payments(file: PaymentFile) -> list[dict[str, Any]]:
    """Return the payments without their calldata."""
    return [
        {
            "kind": one.kind,
            "number": one.number,
            "asset": one.symbol,
            "sub": one.sub,
            "amount": one.amount,
            "to": one.to,
        }
        for one in file.payments
    ]
