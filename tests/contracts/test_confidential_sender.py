"""Wrapping, unwrapping and depositing again after a crash finishes the first one.

Rule: a crash is an exception that nothing in the program may catch; the next life has the same
outbox file and repeats the call, whose amount it encrypts anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts.artifact import load_artifact
from contracts.confidential_sender import ConfidentialSender
from contracts.errors import ContractRefused, RpcRefused
from contracts.outbox import FileOutbox, Pending
from contracts.private_inputs import APPROVE, DEPOSIT, LAYOUTS, UNWRAP, PrivateCall
from contracts.transactor import Transactor
from primitives.address import to_checksum
from primitives.errors import TransientError
from tests.contracts.confidential_world import ConfidentialWorld
from tests.contracts.harness import CHAIN_ID, STRANGER, TRADER
from tests.contracts.test_confidential_vault import assert_backed

CRASHES = ("after saving", "after sending", "with the receipt", "before forgetting")
OWNED = 10_000


class PowerCut(BaseException):
    """The process is gone."""


class Fate:
    """When the process dies: at this point of this transaction, counted from 1."""

    def __init__(self, crash: str = "", number: int = 0) -> None:
        self.crash, self.left = crash, number

    def reach(self, point: str) -> None:
        if point == self.crash:
            self.left -= 1
            if not self.left:
                raise PowerCut


class MortalOutbox(FileOutbox):
    """An outbox whose process may die after saving or before forgetting."""

    def __init__(self, path: Path, fate: Fate) -> None:
        super().__init__(path)
        self.fate = fate

    def save(self, pending: Pending) -> None:
        super().save(pending)
        self.fate.reach("after saving")

    def clear(self) -> None:
        self.fate.reach("before forgetting")
        super().clear()


class MortalRpc:
    """A connection whose process may die after sending or when the receipt has come."""

    def __init__(self, rpc: Any, fate: Fate) -> None:
        self.rpc, self.fate = rpc, fate

    def call(self, method: str, *parameters: Any) -> Any:
        answer = self.rpc.call(method, *parameters)
        if method == "eth_sendRawTransaction":
            self.fate.reach("after sending")
        if method == "eth_getTransactionReceipt" and answer:
            self.fate.reach("with the receipt")
        return answer


@pytest.fixture
def world() -> ConfidentialWorld:
    """The trader has private tokens and public ones, and has its key."""
    made = ConfidentialWorld()
    made.aes_key(TRADER)
    made.wrap(OWNED)
    made.wallet.mint(made.usdx, TRADER.address, OWNED)
    return made


def sender(world: ConfidentialWorld, path: Path, fate: Fate | None = None) -> ConfidentialSender:
    fate = fate or Fate()
    rpc = MortalRpc(world.evm.rpc, fate)
    outbox = MortalOutbox(path, fate)
    transactor = Transactor(rpc, TRADER, chain_id=CHAIN_ID, outbox=outbox, poll_seconds=0.02)
    return ConfidentialSender(rpc, transactor, TRADER)


def deposits(world: ConfidentialWorld) -> list[tuple[int, int, bytes]]:
    found = world.client.deposits_in(0, world.client.head()[0])
    return [(one.id, one.amount, one.beneficiary) for one in found]


def test_a_deposit_repeated_after_a_crash_is_made_once(
    world: ConfidentialWorld, tmp_path: Path
) -> None:
    door, key = world.parts.door, world.aes_key(TRADER)
    expected = []
    for number in (1, 2):  # the approval and the deposit
        for crash in CRASHES:
            amount = 100 + len(expected)
            with pytest.raises(PowerCut):
                sender(world, tmp_path / "o", Fate(crash, number)).deposit(door, key, amount)
            made = sender(world, tmp_path / "o").deposit(door, key, amount)
            expected.append((made, amount, TRADER.address))
            assert deposits(world) == expected, (crash, number)
            assert FileOutbox(tmp_path / "o").load() is None
    assert [made for made, _, _ in expected] == list(range(8))
    assert world.private_balance(TRADER) == OWNED - sum(amount for _, amount, _ in expected)
    assert_backed(world)


def test_wrapping_repeated_after_a_crash_happens_once(
    world: ConfidentialWorld, tmp_path: Path
) -> None:
    coin, wrapped = world.parts.coin, OWNED
    for number in (1, 2):  # the approval and the wrapping
        for crash in CRASHES:
            with pytest.raises(PowerCut):
                sender(world, tmp_path / "o", Fate(crash, number)).wrap(coin, 100)
            sender(world, tmp_path / "o").wrap(coin, 100)
            wrapped += 100
            assert world.private_balance(TRADER) == wrapped, (crash, number)
    assert world.balance(world.usdx, TRADER.address) == OWNED - 800


def test_unwrapping_repeated_after_a_crash_happens_once(
    world: ConfidentialWorld, tmp_path: Path
) -> None:
    coin, key, public = world.parts.coin, world.aes_key(TRADER), OWNED
    for crash in CRASHES:
        with pytest.raises(PowerCut):
            sender(world, tmp_path / "o", Fate(crash, 1)).unwrap(coin, key, 100)
        sender(world, tmp_path / "o").unwrap(coin, key, 100)
        public += 100
        assert world.balance(world.usdx, TRADER.address) == public, crash
    assert world.private_balance(TRADER) == OWNED - 400


def test_something_else_waits_for_what_was_left(world: ConfidentialWorld, tmp_path: Path) -> None:
    door, coin, key = world.parts.door, world.parts.coin, world.aes_key(TRADER)
    with pytest.raises(PowerCut):
        sender(world, tmp_path / "o", Fate("after saving", 2)).deposit(door, key, 100)
    assert deposits(world) == []
    sender(world, tmp_path / "o").unwrap(coin, key, 100)
    assert deposits(world) == [(0, 100, TRADER.address)]
    with pytest.raises(PowerCut):
        sender(world, tmp_path / "o", Fate("after saving", 2)).deposit(door, key, 100)
    second = sender(world, tmp_path / "o").deposit(door, key, 100, STRANGER.address)
    assert second == 2
    assert [one[2] for one in deposits(world)] == [TRADER.address] * 2 + [STRANGER.address]
    assert world.private_balance(TRADER) == OWNED - 400


def test_what_the_chain_refuses_is_told_and_forgotten(
    world: ConfidentialWorld, tmp_path: Path
) -> None:
    door, coin, key = world.parts.door, world.parts.coin, world.aes_key(TRADER)
    with pytest.raises(PowerCut):
        sender(world, tmp_path / "o", Fate("after saving", 1)).unwrap(coin, key, OWNED + 1)
    for _ in range(2):  # what was left, and anew
        with pytest.raises(ContractRefused, match="reverted"):
            sender(world, tmp_path / "o").unwrap(coin, key, OWNED + 1)
        assert FileOutbox(tmp_path / "o").load() is None
    with pytest.raises(ContractRefused, match="not for private tokens"):
        sender(world, tmp_path / "o").deposit(coin, key, 1)
    with pytest.raises(ContractRefused, match="not for private tokens"):
        sender(world, tmp_path / "o").wrap(TRADER.address, 1)
    assert sender(world, tmp_path / "o").token_of_door(door) == coin
    assert world.private_balance(TRADER) == OWNED


class SilentRpc:
    """A node that is gone when the deposit's number is asked for, or lies about it."""

    def __init__(self, rpc: Any, answer: Any) -> None:
        self.rpc, self.answer, self.asked = rpc, answer, 0

    def call(self, method: str, *parameters: Any) -> Any:
        if method == "eth_getTransactionReceipt":
            self.asked += 1
            if self.asked == 3:  # after those of the approval and of the deposit
                if isinstance(self.answer, Exception):
                    raise self.answer
                return self.answer
        return self.rpc.call(method, *parameters)


@pytest.mark.parametrize(
    "answer", [RpcRefused(-32000, "busy"), TransientError("gone"), None, {"logs": []}]
)
def test_a_deposit_that_happened_is_no_failure_if_its_number_cannot_be_read(
    world: ConfidentialWorld, tmp_path: Path, answer: Any
) -> None:
    rpc = SilentRpc(world.evm.rpc, answer)
    outbox = FileOutbox(tmp_path / "o")
    transactor = Transactor(rpc, TRADER, chain_id=CHAIN_ID, outbox=outbox, poll_seconds=0.02)
    made = ConfidentialSender(rpc, transactor, TRADER).deposit(
        world.parts.door, world.aes_key(TRADER), 100
    )
    assert made is None
    assert rpc.asked == 3
    assert deposits(world) == [(0, 100, TRADER.address)]


KEY = b"k" * 16


@pytest.mark.parametrize("function", [APPROVE, DEPOSIT, UNWRAP])
def test_what_a_call_means_is_found_by_decrypting_it(function: str) -> None:
    account = STRANGER.address if "address" in LAYOUTS[function] else b""
    terms: dict[str, Any] = {
        "to": b"\x11" * 20, "function": function, "amount": 2**64 - 1, "account": account,
    }  # fmt: skip
    call = PrivateCall(**terms)
    first, second = (call.encode(TRADER, KEY) for _ in range(2))
    assert first != second
    for payload in (first, second):
        assert call.means(call.to, payload, KEY)
        assert not call.means(b"\x12" * 20, payload, KEY)
        assert not call.means(call.to, payload, b"j" * 16)
        for size in (0, 3, 4, 36, len(payload) - 32):
            assert not call.means(call.to, payload[:size], KEY)
    others = [{"amount": 5}, {"function": DEPOSIT if function == UNWRAP else UNWRAP}]
    if account:
        others.append({"account": TRADER.address})
    for other in others:
        assert not PrivateCall(**{**terms, **other}).means(call.to, first, KEY)


def test_calls_are_laid_out_as_the_abi_has_them(world: ConfidentialWorld) -> None:
    call = PrivateCall(to=world.parts.door, function=DEPOSIT, amount=7, account=STRANGER.address)
    payload = call.encode(TRADER, KEY)
    contract = world.evm.web3.eth.contract(
        address=to_checksum(call.to), abi=list(load_artifact("ConfidentialVault").abi)
    )
    function, arguments = contract.decode_function_input(payload)
    assert function.fn_name == "deposit"
    assert arguments["beneficiary"] == to_checksum(STRANGER.address)
    assert len(arguments["amount"]["signature"]) == 65
