"""A process that dies anywhere between signing and receipt never makes a transaction happen twice.

Rule: the chain here has a mempool, mines, drops and re-organises as told; a crash is an exception
that nothing in the program may catch; the next life has the same outbox file and repeats the call.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rlp
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import RpcRefused
from contracts.outbox import FileOutbox, Pending, open_outbox
from contracts.receipts import Receipt
from contracts.rpc_values import data, quantity
from contracts.transactor import Transactor
from primitives.errors import OperatorError, TransientError
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

KEY = PrivateKey(keccak256(b"relayer"))
TO = b"\x11" * 20
PAYLOAD = b"deposit a hundred"


class PowerCut(BaseException):
    """The process is gone."""


class Chain:
    """One account's transactions on a chain with a mempool."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []  # the raw transaction in each block, b"" for none
        self.pool: dict[int, bytes] = {}
        self.fork = 0
        self.mines = True

    def call(self, method: str, *parameters: Any) -> Any:
        return getattr(self, method)(*parameters)

    @property
    def nonce(self) -> int:
        return sum(bool(raw) for raw in self.blocks)

    def eth_chainId(self) -> str:
        return quantity(5)

    def eth_getTransactionCount(self, _address: str, at: str) -> str:
        upto = len(self.blocks) if at == "latest" else int(at, 16) + 1
        return quantity(sum(bool(raw) for raw in self.blocks[:upto]))

    def eth_maxPriorityFeePerGas(self) -> str:
        return quantity(3)

    def eth_blockNumber(self) -> str:
        return quantity(len(self.blocks) - 1)

    def eth_getBlockByNumber(self, tag: str, _full: bool) -> Any:
        number = len(self.blocks) - 1 if tag == "latest" else int(tag, 16)
        if number >= len(self.blocks):
            return None
        return {"number": quantity(number), "hash": data(self.hash_of(number))}

    def eth_sendRawTransaction(self, raw: str) -> str:
        transaction = bytes.fromhex(raw[2:])
        nonce = int.from_bytes(rlp.decode(transaction[1:])[1], "big")
        if nonce < self.nonce:
            raise RpcRefused(-32000, "nonce too low")
        self.pool[nonce] = transaction
        return data(keccak256(transaction))

    def eth_getTransactionReceipt(self, transaction_hash: str) -> Any:
        if self.mines:
            self.mine()
        for number, raw in enumerate(self.blocks):
            if raw and data(keccak256(raw)) == transaction_hash:
                return {
                    "blockNumber": quantity(number),
                    "blockHash": data(self.hash_of(number)),
                    "status": "0x1",
                    "gasUsed": "0x5208",
                }
        return None

    def hash_of(self, number: int) -> bytes:
        return keccak256(f"{self.fork}/{number}".encode() + self.blocks[number])

    def mine(self) -> None:
        self.blocks.append(self.pool.pop(self.nonce, b""))

    def drop(self) -> None:
        self.pool.clear()

    def reorganise(self, depth: int, *, keeps: bool) -> None:
        """Undo blocks; a node that `keeps` puts their transactions back into its pool."""
        undone, self.blocks = self.blocks[-depth:], self.blocks[:-depth]
        self.fork += 1
        for raw in undone:
            if raw and keeps:
                self.pool[int.from_bytes(rlp.decode(raw[1:])[1], "big")] = raw

    def happened(self, payload: bytes) -> int:
        return sum(bool(raw) and rlp.decode(raw[1:])[7] == payload for raw in self.blocks)


class CrashingOutbox(FileOutbox):
    """Crashes before or after it wrote or deleted."""

    def __init__(self, path: Path, crash: str) -> None:
        super().__init__(path)
        self.crash = crash

    def save(self, pending: Pending) -> None:
        if self.crash == "before saving":
            raise PowerCut
        super().save(pending)
        if self.crash == "after saving":
            raise PowerCut

    def clear(self) -> None:
        if self.crash == "before forgetting":
            raise PowerCut
        super().clear()
        if self.crash == "after forgetting":
            raise PowerCut


class CrashingRpc:
    """Crashes after the transaction is out, or when its receipt has come."""

    def __init__(self, chain: Chain, crash: str) -> None:
        self.chain, self.crash = chain, crash

    def call(self, method: str, *parameters: Any) -> Any:
        answer = self.chain.call(method, *parameters)
        if method == "eth_sendRawTransaction" and self.crash == "after sending":
            raise PowerCut
        if method == "eth_getTransactionReceipt" and answer and self.crash == "with the receipt":
            raise PowerCut
        return answer


def ticking() -> Callable[[], float]:
    now = [0.0]

    def clock() -> float:
        now[0] += 1
        return now[0]

    return clock


def transactor(chain: Any, outbox: FileOutbox, **options: Any) -> Transactor:
    return Transactor(
        chain,
        KEY,
        chain_id=5,
        outbox=outbox,
        clock=ticking(),
        resubmit_seconds=5,
        poll_seconds=0,
        **{"confirmations": 2, **options},
    )


def send_until_done(chain: Chain, outbox: FileOutbox, payload: bytes = PAYLOAD) -> Receipt:
    for _ in range(8):
        try:
            return transactor(chain, outbox).send(TO, payload, gas=100_000)
        except TransientError:
            continue
    raise AssertionError("never done")


CRASHES = ("after saving", "after sending", "with the receipt", "before forgetting")
MEANWHILE = ("nothing", "mined", "dropped", "mined and undone", "mined, undone and dropped")


def live_on(chain: Chain, event: str) -> None:
    """What the chain does while the process is dead."""
    if event == "dropped":
        chain.drop()
    if event.startswith("mined"):
        chain.mine()
        chain.mine()
    if "undone" in event:
        chain.reorganise(len(chain.blocks) - 1, keeps="dropped" not in event)


@pytest.mark.parametrize("event", MEANWHILE)
@pytest.mark.parametrize("crash", CRASHES)
def test_a_crash_at_any_point_sends_once(tmp_path: Path, crash: str, event: str) -> None:
    chain = Chain()
    chain.mine()
    path = tmp_path / "outbox" / "5.bin"
    with pytest.raises(PowerCut):
        transactor(CrashingRpc(chain, crash), CrashingOutbox(path, crash)).send(
            TO, PAYLOAD, gas=100_000
        )
    live_on(chain, event)
    receipt = send_until_done(chain, FileOutbox(path))
    assert receipt.succeeded
    assert chain.happened(PAYLOAD) == 1
    assert FileOutbox(path).load() is None


def test_what_was_never_kept_was_never_sent(tmp_path: Path) -> None:
    chain = Chain()
    chain.mine()
    path = tmp_path / "5.bin"
    with pytest.raises(PowerCut):
        transactor(chain, CrashingOutbox(path, "before saving")).send(TO, PAYLOAD, gas=1)
    assert chain.pool == {}
    assert FileOutbox(path).load() is None


def test_another_call_waits_for_what_was_left(tmp_path: Path) -> None:
    chain = Chain()
    chain.mine()
    path = tmp_path / "5.bin"
    with pytest.raises(PowerCut):
        transactor(CrashingRpc(chain, "after sending"), FileOutbox(path)).send(TO, PAYLOAD, gas=1)
    chain.drop()
    send_until_done(chain, FileOutbox(path), b"something else")
    assert chain.happened(PAYLOAD) == 1
    assert chain.happened(b"something else") == 1


def test_resume_tells_what_it_finished(tmp_path: Path) -> None:
    chain = Chain()
    chain.mine()
    outbox = open_outbox(tmp_path / "outbox", 5, KEY.address)
    assert transactor(chain, outbox).resume() is None
    with pytest.raises(PowerCut):
        transactor(CrashingRpc(chain, "after sending"), outbox).send(TO, PAYLOAD, gas=1)
    found = transactor(chain, outbox).resume()
    assert found is not None
    pending, receipt = found
    assert pending.matches(TO, PAYLOAD, 0)
    assert receipt.transaction_hash == pending.hashes[0]
    assert outbox.load() is None


def test_nonces_given_back_by_a_deep_reorganisation_are_used_up_first(tmp_path: Path) -> None:
    chain = Chain()
    chain.mine()
    outbox = FileOutbox(tmp_path / "5.bin")
    for number in range(3):
        send_until_done(chain, outbox, b"earlier %d" % number)
    with pytest.raises(PowerCut):
        transactor(CrashingRpc(chain, "after sending"), outbox).send(TO, PAYLOAD, gas=1)
    chain.drop()
    chain.reorganise(len(chain.blocks) - 1, keeps=False)
    assert chain.nonce == 0
    send_until_done(chain, outbox)
    assert chain.happened(PAYLOAD) == 1
    assert chain.nonce == 4


def test_an_outbox_of_another_chain_is_named(tmp_path: Path) -> None:
    old, new = Chain(), Chain()
    for _ in range(70):
        old.blocks.append(b"\x01")
    new.mine()
    outbox = FileOutbox(tmp_path / "5.bin")
    with pytest.raises(PowerCut):
        transactor(CrashingRpc(old, "after sending"), outbox).send(TO, PAYLOAD, gas=1)
    with pytest.raises(OperatorError, match="nonce 70") as caught:
        transactor(new, outbox).send(TO, PAYLOAD, gas=1)
    assert caught.value.code == "EVM006"


def test_a_damaged_outbox_is_not_guessed_about(tmp_path: Path) -> None:
    path = tmp_path / "5.bin"
    path.write_bytes(b"\x93\x01\x02")
    with pytest.raises(OperatorError, match="damaged"):
        transactor(Chain(), FileOutbox(path)).send(TO, PAYLOAD, gas=1)


def test_what_a_node_will_never_take_does_not_block_the_account(tmp_path: Path) -> None:
    chain = Chain()
    chain.mine()
    outbox = FileOutbox(tmp_path / "5.bin")
    take = chain.eth_sendRawTransaction

    def refuse(raw: str) -> str:
        if PAYLOAD.hex() in raw:
            raise RpcRefused(-32000, "exceeds block gas limit")
        return take(raw)

    chain.eth_sendRawTransaction = refuse  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="gas limit"):
        transactor(chain, outbox).send(TO, PAYLOAD, gas=1)
    send_until_done(chain, outbox, b"something else")
    assert chain.happened(b"something else") == 1
    assert chain.happened(PAYLOAD) == 0


STEPS = st.lists(st.tuples(st.sampled_from(CRASHES), st.sampled_from(MEANWHILE)), max_size=4)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_any_row_of_crashes_sends_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]
) -> None:
    chain = Chain()
    chain.mine()
    path = tmp_path_factory.mktemp("outbox") / "5.bin"
    for crash, event in steps:
        try:
            transactor(CrashingRpc(chain, crash), CrashingOutbox(path, crash)).send(
                TO, PAYLOAD, gas=1
            )
            break
        except (PowerCut, TransientError):
            live_on(chain, event)
    else:
        send_until_done(chain, FileOutbox(path))
    assert chain.happened(PAYLOAD) == 1
