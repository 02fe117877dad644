"""A relay takes what is signed and pays, alters nothing, and a dead one is followed by the next."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from contracts.errors import ContractRefused
from contracts.settlement_types import StateWords, Submission, WithdrawalClaim
from exchange.state import State
from node.settlement.relay import DONE, REFUSED, ChainRelay, Relay
from node.settlement.relay_desk import RelayDesk
from primitives.errors import (
    InvalidMessage,
    InvalidSignature,
    TransientError,
)
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey
from primitives.vault_orders import (
    NO_PERMIT,
    ClaimFee,
    DepositOrder,
    compute_claim_fee_digest,
    compute_deposit_digest,
)
from tests.node.test_network_file import make

ALICE = PrivateKey(keccak256(b"alice"))
MALLORY = PrivateKey(keccak256(b"mallory"))
NETWORK = make()
STATE = State(NETWORK.exchange)
CHAIN = NETWORK.chains[0]
WHERE = (CHAIN.chain_id, CHAIN.vault_bytes)
TOKEN = NETWORK.exchange.assets[0].token_bytes
NOW_S = 1_000_000
ZERO = bytes(32)
WORDS = StateWords(
    height=1, accounts=ZERO, withdrawals=ZERO, deposits=ZERO, fills=ZERO, effects=ZERO, rest=ZERO
)
CLAIM = WithdrawalClaim(
    words=WORDS, index=7, token=TOKEN, amount=1_000, to=ALICE.address, siblings=(ZERO,) * 32
)
FEE = ClaimFee(index=7, atoms=50, deadline_s=NOW_S + 3_600)
ORDER = DepositOrder(
    depositor=ALICE.address,
    token=TOKEN,
    amount=1_000,
    fee=50,
    beneficiary=ALICE.address,
    nonce=1,
    deadline_s=NOW_S + 3_600,
)
PLACE: dict[str, Any] = {
    "network_id": NETWORK.network_id,
    "chain_id": CHAIN.chain_id,
    "vault": CHAIN.vault_bytes,
}


class Vault:
    """What the relay's client would do."""

    def __init__(self, *answers: Exception | Submission) -> None:
        self.answers = list(answers)
        self.brought: list[tuple[Any, ...]] = []

    def gas_balance(self) -> int:
        return 1

    def withdraw_for_fee(self, *arguments: Any) -> Submission:
        return self._answer(arguments)

    def deposit_by_order(self, *arguments: Any) -> Submission:
        return self._answer(arguments)

    def _answer(self, arguments: tuple[Any, ...]) -> Submission:
        self.brought.append(arguments)
        answer = self.answers.pop(0) if self.answers else Submission.DONE
        if isinstance(answer, Exception):
            raise answer
        return answer


def open_relay(vault: Vault, fees: tuple[str, ...] = ("USDX:50",)) -> Relay:
    relay = Relay(NETWORK, fees, lambda: NOW_S, lambda: STATE.assets)
    limiter = trio.CapacityLimiter(1)
    room = ChainRelay(CHAIN, vault, limiter, MALLORY.address)  # type: ignore[arg-type]
    relay.rooms[WHERE] = room
    return relay


def sign_claim(fee: ClaimFee = FEE, key: PrivateKey = ALICE) -> bytes:
    return key.sign(compute_claim_fee_digest(fee, **PLACE))


def sign_order(order: DepositOrder = ORDER, key: PrivateKey = ALICE) -> bytes:
    return key.sign(compute_deposit_digest(order, **PLACE))


async def run(relay: Relay) -> None:
    """Let everything that waits be done."""
    async with trio.open_nursery() as nursery:
        for room in relay.rooms.values():
            nursery.start_soon(room.run)
        with trio.fail_after(60):
            while any(job.state == "waiting" for job in relay.jobs.values()):
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def test_what_is_brought_is_what_was_signed() -> None:
    vault = Vault()
    relay = open_relay(vault)
    claim = relay.add_claim(*WHERE, CLAIM, FEE, sign_claim())
    deposit = relay.add_deposit(*WHERE, ORDER, sign_order(), NO_PERMIT)
    await run(relay)
    assert (claim.state, deposit.state) == (DONE, DONE)
    assert vault.brought == [(CLAIM, FEE, sign_claim()), (ORDER, sign_order(), NO_PERMIT)]
    assert relay.rooms[WHERE].is_healthy


async def test_nobody_signs_for_somebody_else() -> None:
    relay = open_relay(Vault())
    with pytest.raises(InvalidSignature):
        relay.add_claim(*WHERE, CLAIM, FEE, sign_claim(key=MALLORY))
    with pytest.raises(InvalidSignature):
        relay.add_claim(*WHERE, CLAIM, replace(FEE, atoms=999), sign_claim())
    with pytest.raises(InvalidSignature):
        relay.add_deposit(
            *WHERE, replace(ORDER, beneficiary=MALLORY.address), sign_order(), NO_PERMIT
        )
    assert not relay.jobs


async def test_what_does_not_pay_is_not_taken() -> None:
    relay = open_relay(Vault())
    little = replace(FEE, atoms=49)
    with pytest.raises(InvalidMessage, match="wants 50"):
        relay.add_claim(*WHERE, CLAIM, little, sign_claim(little))
    late = replace(FEE, deadline_s=NOW_S + 30)
    with pytest.raises(InvalidMessage, match="good for"):
        relay.add_claim(*WHERE, CLAIM, late, sign_claim(late))
    greedy = replace(FEE, atoms=1_001)
    with pytest.raises(InvalidMessage, match="more than"):
        relay.add_claim(*WHERE, CLAIM, greedy, sign_claim(greedy))
    foreign = replace(ORDER, token=b"\x01" * 20)
    with pytest.raises(InvalidMessage, match="token"):
        relay.add_deposit(*WHERE, foreign, sign_order(foreign), NO_PERMIT)
    with pytest.raises(InvalidMessage, match="relays nothing"):
        relay.add_claim(99, CHAIN.vault_bytes, CLAIM, FEE, sign_claim())
    with pytest.raises(InvalidMessage, match="relays nothing"):
        open_relay(Vault(), ()).add_claim(*WHERE, CLAIM, FEE, sign_claim())


async def test_a_fee_in_an_asset_that_is_not_listed_yet_is_taken_once_it_is() -> None:
    state = State(NETWORK.exchange)
    relay = Relay(NETWORK, ("DOGE:7",), lambda: NOW_S, lambda: state.assets)
    assert relay.fees == {}
    terms = msgspec.structs.replace(state.assets[0].terms, name="DOGE", token="0x" + "d0" * 20)
    asset = state.add_asset(terms)
    assert relay.fees == {asset.id: 7}


async def test_the_same_job_is_taken_once_and_again_only_after_a_refusal() -> None:
    vault = Vault(ContractRefused("FeeExpired"))
    relay = open_relay(vault)
    first = relay.add_claim(*WHERE, CLAIM, FEE, sign_claim())
    assert relay.add_claim(*WHERE, CLAIM, FEE, sign_claim()) is first
    await run(relay)
    assert first.state == REFUSED
    assert first.detail == "the promise of the fee has expired (FeeExpired)"
    second = relay.add_claim(*WHERE, CLAIM, FEE, sign_claim())
    await run(relay)
    assert second.state == DONE
    assert len(vault.brought) == 2


async def test_a_failure_that_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.settlement.relay.RELAY_RETRY_S", 0.001)
    vault = Vault(TransientError("the line is down"), TransientError("again"))
    relay = open_relay(vault)
    job = relay.add_claim(*WHERE, CLAIM, FEE, sign_claim())
    await run(relay)
    assert job.state == DONE
    assert len(vault.brought) == 3


async def test_a_relay_takes_no_more_than_it_can_hold() -> None:
    relay = open_relay(Vault())
    for nonce in range(64):
        order = replace(ORDER, nonce=nonce)
        relay.add_deposit(*WHERE, order, sign_order(order), NO_PERMIT)
    with pytest.raises(TransientError, match="another"):
        relay.add_claim(*WHERE, CLAIM, FEE, sign_claim())
    assert len(relay.jobs) == 64


async def test_a_recipient_is_unknown_rather_than_safe_when_the_chain_cannot_say() -> None:
    asked: list[bytes] = []

    def has_code(address: bytes) -> bool:
        asked.append(address)
        if address == b"\x09" * 20:
            raise TransientError("the line is down")
        return address == TOKEN

    limiter = trio.CapacityLimiter(1)
    monitor = SimpleNamespace(
        chain=CHAIN, client=SimpleNamespace(has_code=has_code), limiter=limiter
    )
    node: Any = SimpleNamespace(monitors=[monitor])
    desk = RelayDesk(node, None)  # type: ignore[arg-type]

    async def look(address: bytes) -> tuple[bool | None, bool]:
        found = await desk.recipient(CHAIN.chain_id, address)
        return found.contract, bool(found.warning)

    assert await look(ALICE.address) == (False, False)
    assert await look(TOKEN) == (True, True)
    assert await look(bytes(20)) == (False, True)
    assert await look(b"\x09" * 20) == (None, True)
    with pytest.raises(InvalidMessage):
        await desk.recipient(99, TOKEN)
    asked.clear()
    monitor.limiter = SimpleNamespace(statistics=lambda: SimpleNamespace(tasks_waiting=4))
    assert await look(TOKEN) == (None, True)
    assert not asked
