"""The transactor gets a transaction mined once, whatever chain and RPC do."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
import rlp

from contracts.errors import GasAccountEmpty
from contracts.limits import SUBMISSIONS_MAX, TIP_WEI
from contracts.transactor import Receipt, Transactor
from primitives.errors import TransientError
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey
from tests.contracts.fake_rpc import FakeRpc
from tests.contracts.harness import STRANGER, World

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


def test_underpriced_transaction_is_raised() -> None:
    rpc = FakeRpc(refuse_sending=["replacement transaction underpriced"])
    assert send(rpc).succeeded
    assert fields(rpc.sent[0])["maximum"] > 17


def test_used_nonce_is_transient() -> None:
    rpc = FakeRpc(refuse_sending=["nonce too low"])

    def someone_else_was_first() -> None:
        rpc.nonce = 1

    rpc.on_poll = [someone_else_was_first]
    with pytest.raises(TransientError, match="took the nonce"):
        send(rpc)


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


def test_a_wallet_whose_account_another_program_uses_sends_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.fund(world.usdx, 5)
    eth = world.wallet._web3.eth
    true = eth.get_transaction_count
    behind = [1]
    monkeypatch.setattr(
        eth,
        "get_transaction_count",
        lambda *words: true(*words) - (behind.pop() if behind else 0),
    )
    world.wallet.transfer(world.usdx, STRANGER.address, 5)
    assert world.balance(world.usdx, STRANGER.address) == 5
