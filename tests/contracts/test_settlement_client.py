"""The vault client trusts no RPC and does everything at most once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contracts.errors import ContractRefused, RpcRefused
from contracts.rpc import Rpc
from contracts.rpc_values import data, quantity
from contracts.settlement_client import SettlementClient
from contracts.settlement_types import Submission
from primitives.errors import TransientError, WrongNetwork
from tests.contracts.harness import CHAIN_ID, NETWORK_ID, RELAYER, World, embedded_evm


class TamperingRpc:
    """Passes calls on and changes chosen answers."""

    def __init__(self, inner: Rpc, **answers: Any) -> None:
        self.inner = inner
        self.answers = answers
        self.calls: list[str] = []

    def call(self, method: str, *parameters: Any) -> Any:
        self.calls.append(method)
        if method in self.answers:
            change = self.answers[method]
            return change(self.inner.call(method, *parameters)) if callable(change) else change
        return self.inner.call(method, *parameters)


@pytest.fixture
def world() -> World:
    return World(embedded_evm())


def reader(world: World, rpc: Rpc, **other: Any) -> SettlementClient:
    options = {"chain_id": CHAIN_ID, "vault": world.vault, "network_id": NETWORK_ID, **other}
    return SettlementClient(rpc, window_blocks=4, **options)


def test_wrong_chain_is_refused(world: World) -> None:
    with pytest.raises(WrongNetwork, match="serves chain 31337") as caught:
        reader(world, world.evm.rpc, chain_id=1).connect()
    assert caught.value.exit_code == 14
    assert caught.value.fix


def test_missing_vault_is_refused(world: World) -> None:
    with pytest.raises(WrongNetwork, match="no vault"):
        reader(world, world.evm.rpc, vault=b"\7" * 20).status()


def test_vault_of_another_network_is_refused(world: World) -> None:
    with pytest.raises(WrongNetwork, match="another network"):
        reader(world, world.evm.rpc, network_id=bytes(32)).status()


def test_nothing_is_asked_before_the_network_is_checked(world: World) -> None:
    rpc = TamperingRpc(world.evm.rpc)
    reader(world, rpc).executed_height()
    assert rpc.calls[:2] == ["eth_chainId", "eth_getCode"]


def test_window_is_unknown_until_it_is_confirmed(world: World) -> None:
    client = world.client
    head, _ = client.head()
    index = head // 4 + 1
    assert client.deposit_window(index) is None
    while client.head()[0] < (index + 1) * 4 - 1:
        world.evm.rpc.call("evm_mine")
    assert client.deposit_window(index) is None
    world.evm.rpc.call("evm_mine")
    window = client.deposit_window(index)
    assert window is not None
    assert (window.first_block, window.last_block) == (index * 4, index * 4 + 3)
    assert window.end_hash == client.block_hash(window.last_block)


def test_windows_hold_each_deposit_once(world: World) -> None:
    for amount in range(1, 8):
        world.deposit(world.usdx, amount)
    world.evm.rpc.call("evm_mine", quantity(8))
    windows = [world.client.deposit_window(i) for i in range(world.client.head()[0] // 4)]
    deposits = [deposit for window in windows if window for deposit in window.deposits]
    assert [deposit.id for deposit in deposits] == list(range(7))
    assert [deposit.amount for deposit in deposits] == list(range(1, 8))


def test_window_that_changes_while_it_is_read_is_not_returned(world: World) -> None:
    world.evm.rpc.call("evm_mine", quantity(8))
    counter = iter(range(100))

    def new_hash(block: dict[str, Any]) -> dict[str, Any]:
        return {**block, "hash": data(next(counter).to_bytes(32, "big"))}

    client = reader(world, TamperingRpc(world.evm.rpc, eth_getBlockByNumber=new_hash))
    with pytest.raises(TransientError, match="re-organised"):
        client.deposit_window(0)


def test_missing_repeated_and_foreign_logs_are_noticed(world: World) -> None:
    for amount in (1, 2, 3):
        world.deposit(world.usdx, amount)
    head = world.client.head()[0]

    def spoilt(change: Any) -> SettlementClient:
        return reader(world, TamperingRpc(world.evm.rpc, eth_getLogs=change))

    for change, message in (
        (lambda logs: [logs[0], logs[2]], "missing"),
        (lambda logs: [*logs, logs[0]], "missing"),
        (lambda logs: [{**logs[0], "topics": logs[0]["topics"][:3]}], "not a Deposited"),
        (lambda logs: [{**logs[0], "removed": True}], "not a Deposited"),
        (lambda logs: [{**logs[0], "data": "0x"}], "hex data"),
        (lambda logs: [{**logs[0], "data": "0x" + "00" * 64}], "cannot have taken"),
        (lambda logs: [{**logs[0], "blockNumber": quantity(head + 9)}], "other blocks"),
        (lambda logs: [{**logs[0], "blockNumber": "12"}], "quantity"),
        (lambda logs: [7], "not an object"),
        (lambda logs: {}, "not an array"),
    ):
        with pytest.raises(TransientError, match=message):
            spoilt(change).deposits_in(0, head)


@pytest.mark.parametrize("answer", ["0x", "0x00", None, 5, "zz", "0x" + "00" * 31])
def test_malformed_answers_are_transient(world: World, answer: Any) -> None:
    client = reader(world, world.evm.rpc)
    client.connect()
    client.calls._rpc = TamperingRpc(world.evm.rpc, eth_call=answer)
    with pytest.raises(TransientError):
        client.executed_height()


def test_refusing_node_is_transient(world: World) -> None:
    def refuse(_: Any) -> Any:
        raise RpcRefused(-32005, "rate limited")

    for method in ("eth_chainId", "eth_call", "eth_getLogs"):
        client = reader(world, TamperingRpc(world.evm.rpc, **{method: refuse}))
        with pytest.raises(TransientError, match="rate limited"):
            client.deposits_in(0, 1)


def test_reader_without_key_cannot_submit(world: World) -> None:
    client = reader(world, world.evm.rpc)
    with pytest.raises(TransientError, match="no key"):
        client.submit_checkpoint(world.submission())


def test_refused_checkpoint_costs_no_gas(world: World) -> None:
    before = world.evm.rpc.call("eth_getTransactionCount", data(RELAYER.address), "latest")
    with pytest.raises(ContractRefused) as caught:
        world.client.submit_checkpoint(world.submission(signers=(0,)))
    assert (caught.value.reason, caught.value.arguments) == ("TooLittleWeight", (1, 3))
    after = world.evm.rpc.call("eth_getTransactionCount", data(RELAYER.address), "latest")
    assert before == after


def test_overtaken_checkpoint_is_already_done(world: World) -> None:
    """Another node's checkpoint arrives between our look and our trial call."""
    old, new = world.submission(), world.submission()
    client = world.client
    client.connect()
    honest = client.executed_height
    answers = iter([lambda: 0, honest])
    world.make_client(RELAYER).submit_checkpoint(new)
    client.executed_height = lambda: next(answers)()  # type: ignore[method-assign]
    assert client.submit_checkpoint(old) is Submission.ALREADY_DONE


def test_checkpoint_gas_covers_a_full_committee(world: World) -> None:
    big = World(world.evm, validators=22)
    assert big.client.submit_checkpoint(big.submission(descendants=20)) is Submission.DONE


def test_mined_but_reverted_transaction_is_transient(world: World) -> None:
    submission = world.submission()
    rpc = TamperingRpc(world.evm.rpc, eth_call=lambda answer: answer)
    client = world.client
    client.connect()
    client.calls._rpc = rpc
    honest = rpc.inner.call

    def trial_succeeds(method: str, *parameters: Any) -> Any:
        if method == "eth_call" and "from" in parameters[0]:
            return "0x"
        return honest(method, *parameters)

    rpc.inner = type("Liar", (), {"call": staticmethod(trial_succeeds)})()
    spoilt = replace(submission, signatures=submission.signatures[65:] + submission.signatures[:65])
    with pytest.raises(TransientError, match="reverted"):
        client.submit_checkpoint(spoilt)
