"""Several RPC nodes are believed where enough of them agree, and only there.

Rule: liars, laggards and limiters are scripted; what the pool answers is what honest nodes say.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import RateLimited, RpcRefused
from contracts.rpc_pool import Endpoint, RpcPool
from contracts.rpc_values import data, quantity
from primitives.errors import ConfigError, TransientError
from primitives.keccak import keccak256

CHAIN = 31337


class Chain:
    """An honest node; a test bends single methods."""

    def __init__(self, height: int = 100, fork: int = 0) -> None:
        self.height, self.fork = height, fork
        self.chain_id = CHAIN
        self.bent: dict[str, Callable[..., Any]] = {}
        self.calls: list[str] = []
        self.sent: list[str] = []

    def call(self, method: str, *parameters: Any) -> Any:
        self.calls.append(method)
        bent = self.bent.get(method) or self.bent.get("*")
        return bent(*parameters) if bent is not None else getattr(self, method)(*parameters)

    def eth_chainId(self) -> str:
        return quantity(self.chain_id)

    def eth_blockNumber(self) -> str:
        return quantity(self.height)

    def eth_getBlockByNumber(self, number: str, _full: bool) -> Any:
        assert number != "latest", "a pool asks everybody about the same block"
        if int(number, 16) > self.height:
            return None
        extra = {"totalDifficulty": hex(random.randrange(99)), "size": "0x1"}
        return {"number": number, "hash": data(keccak256(f"{self.fork}/{number}".encode()))} | extra

    def eth_getLogs(self, query: dict[str, Any]) -> list[Any]:
        last = min(int(query["toBlock"], 16), self.height)
        first = int(query["fromBlock"], 16)
        return [{"blockNumber": hex(n), "data": "0xAB"} for n in range(first, last + 1)]

    def eth_call(self, _message: Any, number: str) -> str:
        return data(int(number, 16).to_bytes(32, "big"))

    def eth_sendRawTransaction(self, raw: str) -> str:
        self.sent.append(raw)
        return data(keccak256(raw.encode()))

    def eth_maxPriorityFeePerGas(self) -> str:
        return "0x7"

    def eth_getTransactionReceipt(self, _hash: str) -> Any:
        return {"blockNumber": "0x5", "status": "0x1"}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def make(*chains: Chain, quorum: int = 2) -> RpcPool:
    endpoints = [Endpoint(name=f"rpc{i}", rpc=chain) for i, chain in enumerate(chains)]
    return RpcPool(endpoints, chain_id=CHAIN, quorum=quorum, clock=Clock())


def down(*_: Any) -> Any:
    raise TransientError("connection refused")


def limited(*_: Any) -> Any:
    raise RpcRefused(-32005, "rate limit exceeded")


def test_one_endpoint_is_simply_asked():
    chain = Chain()
    chain.bent["eth_getBlockByNumber"] = lambda number, _: {"number": number}
    assert make(chain, quorum=1).call("eth_getBlockByNumber", "latest", False) == {
        "number": "latest"
    }
    assert chain.calls == ["eth_getBlockByNumber"]


def test_a_liar_is_outvoted_and_asked_last():
    liar = Chain(fork=1)
    pool = make(liar, Chain(), Chain())
    block = pool.call("eth_getBlockByNumber", "0x40", False)
    assert block["hash"] == data(keccak256(b"0/0x40"))
    assert pool.endpoints[0].contradictions == 1
    liar.calls.clear()
    pool.call("eth_getBlockByNumber", "0x41", False)
    assert "eth_getBlockByNumber" not in liar.calls


def test_two_that_contradict_each_other_settle_nothing():
    with pytest.raises(TransientError, match="2 different answers"):
        make(Chain(), Chain(fork=1)).call("eth_getBlockByNumber", "0x40", False)


def test_latest_is_the_highest_block_that_enough_have():
    pool = make(Chain(height=1_000_000), Chain(height=90), Chain(height=100))
    assert pool.call("eth_blockNumber") == quantity(100)
    assert pool.call("eth_call", {}, "latest") == data((100).to_bytes(32, "big"))
    assert int(pool.call("eth_getBlockByNumber", "latest", False)["number"], 16) == 100


def test_a_node_that_lags_is_not_asked_for_logs_it_cannot_have():
    late, good = Chain(height=10), Chain(height=100)
    pool = make(late, good, quorum=1)
    logs = pool.call("eth_getLogs", {"fromBlock": "0x5f", "toBlock": "0x60"})
    assert len(logs) == 2
    assert "eth_getLogs" not in late.calls


@pytest.mark.parametrize("trouble", [down, limited])
def test_an_endpoint_that_fails_is_replaced(trouble: Callable[..., Any]):
    bad = Chain()
    bad.bent["eth_call"] = trouble
    pool = make(bad, Chain(), Chain())
    assert pool.call("eth_call", {}, "0x20") == data((0x20).to_bytes(32, "big"))


def test_all_down_is_said_with_every_reason():
    chains = [Chain(), Chain(), Chain()]
    for chain in chains:
        chain.bent["*"] = down
    with pytest.raises(TransientError, match="2 of 3 EVM RPC endpoints"):
        make(*chains).call("eth_blockNumber")


def test_an_endpoint_of_another_chain_never_counts():
    foreign = Chain(fork=7)
    foreign.chain_id = 1
    pool = make(foreign, Chain(), quorum=1)
    assert pool.call("eth_getBlockByNumber", "0x1", False)["hash"] == data(keccak256(b"0/0x1"))
    assert foreign.calls == ["eth_chainId"]
    assert pool.call("eth_chainId") == quantity(CHAIN)


def test_an_endpoint_that_changes_its_chain_is_noticed_when_the_chain_is_asked_for():
    turning = Chain()
    pool = make(turning, Chain(), quorum=2)
    assert pool.call("eth_chainId") == quantity(CHAIN)
    turning.chain_id = 1
    assert pool.call("eth_chainId") == quantity(1)
    with pytest.raises(TransientError):
        pool.call("eth_getBlockByNumber", "0x1", False)
    turning.chain_id = CHAIN
    for _ in range(200):  # a second each; a while later it is asked again
        with suppress(TransientError):
            pool.call("eth_getBlockByNumber", "0x1", False)
    assert pool.call("eth_chainId") == quantity(CHAIN)


def test_only_foreign_endpoints_are_reported_as_such():
    chains = [Chain(), Chain()]
    for chain in chains:
        chain.chain_id = 5
    assert make(*chains).call("eth_chainId") == "0x5"


def test_a_transaction_goes_to_everybody_and_one_taker_is_enough():
    refusing, lost, good = Chain(), Chain(), Chain()
    refusing.bent["eth_sendRawTransaction"] = limited
    lost.bent["eth_sendRawTransaction"] = down
    pool = make(refusing, lost, good)
    assert pool.call("eth_sendRawTransaction", "0x01")
    assert good.sent == ["0x01"]
    good.bent["eth_sendRawTransaction"] = down
    with pytest.raises(RpcRefused):
        pool.call("eth_sendRawTransaction", "0x02")


def test_a_revert_needs_a_quorum_like_any_answer():
    def revert(*_: Any) -> Any:
        raise RpcRefused(3, "execution reverted", b"\x12\x34\x56\x78")

    first, second, third = Chain(), Chain(), Chain()
    first.bent["eth_call"] = revert
    assert make(first, second, third).call("eth_call", {}, "0x1")
    second.bent["eth_call"] = revert
    with pytest.raises(RpcRefused) as found:
        make(first, second, third).call("eth_call", {}, "0x1")
    assert found.value.details == b"\x12\x34\x56\x78"


def test_a_receipt_not_seen_by_enough_does_not_exist_yet():
    late, later = Chain(), Chain()
    for chain in (late, later):
        chain.bent["eth_getTransactionReceipt"] = lambda _: None
    pool = make(Chain(), late, later)
    assert pool.call("eth_getTransactionReceipt", "0x01") is None
    assert all(one.contradictions == 0 for one in pool.endpoints[1:])


def test_nobody_alone_makes_us_overpay():
    greedy = Chain()
    greedy.bent["eth_maxPriorityFeePerGas"] = lambda: hex(10**18)
    assert make(greedy, Chain(), Chain()).call("eth_maxPriorityFeePerGas") == "0x7"


def test_a_quorum_that_cannot_be_reached_is_refused():
    with pytest.raises(ConfigError):
        make(Chain(), Chain(), quorum=3)


@given(
    faults=st.lists(
        st.sampled_from(["good", "good", "fork", "down", "limited", "late", "foreign"]),
        min_size=5,
        max_size=5,
    ),
    number=st.integers(1, 100),
)
def test_with_a_majority_the_answer_is_true_or_there_is_none(faults: list[str], number: int):
    chains = []
    for fault in faults:
        chain = Chain(fork=int(fault == "fork"), height=number - 1 if fault == "late" else 100)
        if fault in ("down", "limited"):
            chain.bent["*"] = down if fault == "down" else limited
        chain.chain_id = 9 if fault == "foreign" else CHAIN
        chains.append(chain)
    pool = make(*chains, quorum=3)
    try:
        block = pool.call("eth_getBlockByNumber", quantity(number), False)
    except TransientError:
        assert faults.count("good") < 3
        return
    expected = 1 if faults.count("fork") >= 3 else 0
    assert block["hash"] == data(keccak256(f"{expected}/{quantity(number)}".encode()))


def test_a_dead_endpoint_of_another_chain_does_not_slow_ours():
    dead = Chain()
    dead.bent["*"] = down
    pool = make(dead, Chain(), quorum=1)
    for _ in range(50):
        pool.call("eth_call", {}, "0x20")
    assert len(dead.calls) <= 8  # doubling rests, not once per call


def test_strangers_are_asked_at_once_while_too_few_serve_our_chain():
    late = Chain()
    late.bent["eth_chainId"] = down
    pool = make(late, Chain(), quorum=2)
    with pytest.raises(TransientError):
        pool.call("eth_blockNumber")
    del late.bent["eth_chainId"]
    assert pool.call("eth_blockNumber") == quantity(100)


def test_an_endpoint_that_limits_us_rests_as_long_as_it_wants():
    def limits(*_: Any) -> Any:
        raise RateLimited("HTTP status 429", 40)

    strict = Chain()
    pool = make(strict, Chain(), quorum=1)
    pool.call("eth_call", {}, "0x20")
    strict.bent["eth_call"] = limits
    pool.call("eth_call", {}, "0x20")
    asked = strict.calls.count("eth_call")
    for _ in range(5):
        pool.call("eth_call", {}, "0x20")
    assert strict.calls.count("eth_call") == asked
