"""The transactor gets a transaction mined once, whatever chain and RPC do."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import pytest
import rlp

from contracts.errors import GasAccountEmpty
from contracts.limits import SUBMISSIONS_MAX, TIP_MAX_WEI, TIP_WEI
from contracts.outbox import MemoryOutbox
from contracts.receipts import Receipt, find_receipt
from contracts.rpc_values import data, quantity
from contracts.transactor import Transactor
from primitives.errors import TransientError
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey
from tests.contracts.fake_rpc import FakeRpc

KEY = PrivateKey(keccak256(b"relayer"))
TO = b"\x11" * 20


class Clock:
    """Each reading is a second later."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def send(rpc: FakeRpc, *, confirmations: int = 1) -> Receipt:
    transactor = Transactor(
        rpc,
        KEY,
        chain_id=5,
        confirmations=confirmations,
        clock=Clock(),
        resubmit_seconds=10,
        poll_seconds=0,
    )
    return transactor.send(TO, b"payload", gas=100_000)


def fields(raw: bytes) -> dict[str, int]:
    values = rlp.decode(raw[1:])
    numbers = [int.from_bytes(value, "big") for value in values[:5]]
    return dict(zip(("chain", "nonce", "tip", "maximum", "gas"), numbers, strict=True))


def test_transaction_is_sent_once_and_its_receipt_returned() -> None:
    rpc = FakeRpc(nonce=7)
    receipt = send(rpc)
    assert receipt.succeeded
    assert receipt.block_number == 11
    (raw,) = rpc.sent
    assert fields(raw) == {"chain": 5, "nonce": 7, "tip": 3, "maximum": 17, "gas": 100_000}


def test_failed_transaction_is_reported_as_failed() -> None:
    assert not send(FakeRpc(status=0)).succeeded


def test_chain_without_tip_method_gets_a_default_tip() -> None:
    rpc = FakeRpc(has_tip_method=False)
    send(rpc)
    assert fields(rpc.sent[0])["tip"] == TIP_WEI


def test_unmined_transaction_is_sent_again_for_more_with_the_same_nonce() -> None:
    rpc = FakeRpc(nonce=3, mine_after_sending=3)
    assert send(rpc).succeeded
    sent = [fields(raw) for raw in rpc.sent]
    assert [one["nonce"] for one in sent] == [3, 3, 3]
    for before, after in pairwise(sent):
        assert after["maximum"] * 10 >= before["maximum"] * 11
        assert after["tip"] * 10 >= before["tip"] * 11


def test_earlier_submission_that_is_mined_late_counts() -> None:
    rpc = FakeRpc(mine_after_sending=None)

    def mine_the_first() -> None:
        if len(rpc.sent) == 2:
            rpc.mine(rpc.sent[0])

    rpc.on_poll = [mine_the_first for _ in range(60)]
    receipt = send(rpc)
    assert receipt.transaction_hash == keccak256(rpc.sent[0])


def test_never_mined_transaction_ends_in_a_transient_error() -> None:
    rpc = FakeRpc(mine_after_sending=None)
    with pytest.raises(TransientError, match="not mined"):
        send(rpc)
    assert len(rpc.sent) == SUBMISSIONS_MAX


def test_confirmations_are_awaited() -> None:
    rpc = FakeRpc()
    grown = []

    def grow() -> None:
        grown.append(rpc.height)
        rpc.height += 1

    rpc.on_poll = [grow for _ in range(5)]
    send(rpc, confirmations=6)
    assert len(grown) == 5


def test_reorganised_receipt_is_not_believed() -> None:
    rpc = FakeRpc()
    lost = []

    def reorganise() -> None:
        if not lost:
            lost.append(rpc.sent[0])
            rpc.reorganise()

    def mine_again() -> None:
        rpc.mine(lost[0])
        rpc.height += 5

    rpc.on_poll = [lambda: None, reorganise, lambda: None, mine_again]
    receipt = send(rpc, confirmations=4)
    assert receipt.block_hash == rpc.hash_of(receipt.block_number)
    assert rpc.fork == 1


def test_known_transaction_is_simply_awaited() -> None:
    rpc = FakeRpc(refuse_sending=["already known"], mine_after_sending=1)
    assert send(rpc).succeeded


@pytest.mark.parametrize(
    "refusal", ["transaction underpriced", "max fee per gas less than block base fee: address"]
)
def test_an_offer_that_is_too_low_is_raised_at_once(refusal: str) -> None:
    rpc = FakeRpc(refuse_sending=[refusal])
    assert send(rpc).succeeded
    assert fields(rpc.sent[0])["maximum"] > 17


@pytest.mark.parametrize("refusal", ["nonce too low", "replacement transaction underpriced"])
@pytest.mark.parametrize("keeps_history", [True, False])
def test_the_next_nonce_is_used_when_another_program_had_this_one(
    refusal: str, keeps_history: bool
) -> None:
    rpc = FakeRpc(refuse_sending=[refusal, refusal], keeps_history=keeps_history)
    rpc.on_poll = [lambda: None, rpc.take_nonce]
    assert send(rpc).succeeded
    assert [fields(raw)["nonce"] for raw in rpc.sent] == [1]


def test_a_transaction_that_replaced_ours_is_noticed() -> None:
    rpc = FakeRpc(mine_after_sending=None)

    def replace() -> None:
        rpc.take_nonce()
        rpc.mine_after_sending = 1

    rpc.on_poll = [lambda: None, replace]
    assert send(rpc).succeeded
    assert [fields(raw)["nonce"] for raw in rpc.sent] == [0, 1]


@pytest.mark.parametrize("polls", [1, 5, 40])
def test_a_node_that_knows_the_block_but_not_the_receipt_does_not_make_it_happen_twice(
    polls: int,
) -> None:
    rpc = FakeRpc(refuse_sending=["", "nonce too low", "nonce too low", "nonce too low"])
    true = rpc.eth_getTransactionReceipt
    late = [None] * polls
    rpc.eth_getTransactionReceipt = (  # type: ignore[method-assign]
        lambda one: late.pop() if late else true(one)
    )
    assert send(rpc).succeeded
    assert {fields(raw)["nonce"] for raw in rpc.sent} == {0}


def test_nonces_used_up_by_others_end_in_a_transient_error() -> None:
    rpc = FakeRpc(refuse_sending=["nonce too low"] * 99)
    rpc.on_poll = [rpc.take_nonce for _ in range(99)]
    with pytest.raises(TransientError, match="use up its nonces"):
        send(rpc)
    assert rpc.sent == []


def test_a_higher_price_that_cannot_be_paid_leaves_the_lower_one_to_be_mined() -> None:
    rpc = FakeRpc(mine_after_sending=None, refuse_sending=["", *["insufficient funds"] * 2])
    rpc.on_poll = [*[lambda: None] * 25, lambda: rpc.mine(rpc.sent[0])]
    assert send(rpc).transaction_hash == keccak256(rpc.sent[0])
    assert len(rpc.sent) == 1


def test_empty_account_is_the_operators_business() -> None:
    with pytest.raises(GasAccountEmpty) as caught:
        send(FakeRpc(refuse_sending=["insufficient funds for gas * price + value"]))
    assert caught.value.fix


def test_other_refusals_are_transient() -> None:
    with pytest.raises(TransientError, match="txpool is full"):
        send(FakeRpc(refuse_sending=["txpool is full"]))


def test_broken_line_while_waiting_is_survived() -> None:
    rpc = FakeRpc()

    def break_line() -> None:
        rpc.fail_calls = 3

    rpc.on_poll = [break_line]
    assert send(rpc).succeeded


def test_broken_line_before_sending_is_transient() -> None:
    with pytest.raises(TransientError, match="line is down"):
        send(FakeRpc(fail_calls=1))


def test_stop_ends_the_wait() -> None:
    stop = threading.Event()
    stop.set()
    transactor = Transactor(FakeRpc(mine_after_sending=None), KEY, chain_id=5, stop=stop)
    with pytest.raises(TransientError, match="stopped"):
        transactor.send(TO, b"", gas=1)


def test_a_node_that_serves_another_chain_now_is_asked_for_no_nonce() -> None:
    rpc = FakeRpc(chain_id=7, nonce=500)
    with pytest.raises(TransientError, match="serves chain 7 now"):
        send(rpc)
    assert rpc.sent == []


def test_a_nonce_that_no_account_has_is_not_signed() -> None:
    outbox = MemoryOutbox()
    transactor = Transactor(FakeRpc(nonce=1 << 64), KEY, chain_id=5, outbox=outbox)
    with pytest.raises(TransientError, match="transactions of one account"):
        transactor.send(TO, b"payload", gas=100_000)
    assert outbox.load() is None


@pytest.mark.parametrize("base_fee", [7, 3 * TIP_MAX_WEI])
def test_no_node_talks_us_into_any_tip(base_fee: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rpc = FakeRpc()
    monkeypatch.setattr(rpc, "eth_maxPriorityFeePerGas", lambda: quantity(1 << 255))
    block = rpc.eth_getBlockByNumber
    monkeypatch.setattr(
        rpc,
        "eth_getBlockByNumber",
        lambda tag, full: {**block(tag, full), "baseFeePerGas": quantity(base_fee)},
    )
    assert send(rpc).succeeded
    assert fields(rpc.sent[0])["tip"] == max(base_fee, TIP_MAX_WEI)


def test_the_receipt_of_another_transaction_is_none() -> None:
    rpc = FakeRpc()
    rpc.mine(b"another")
    honest = rpc.eth_getTransactionReceipt

    def lie(asked: str) -> Any:
        found = honest(data(keccak256(b"another")))
        return {**found, "transactionHash": data(keccak256(b"another"))}

    with pytest.raises(TransientError, match="of another transaction"):
        find_receipt(Lying(lie), [b"a" * 32])


class Lying:
    """Answers every question in one way."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def call(self, method: str, *parameters: Any) -> Any:
        return self.answer(parameters[0])
