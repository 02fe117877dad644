"""The network file: strict, and one hash for one network.

Rule: what nodes must agree on is in the hash, where to find each other is not.
Spec: docs/spec/network-file.md. Deviations: none.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.errors import ProofRefused
from exchange.genesis import AssetConfig, ExchangeGenesis, MarketConfig
from node.cli.proofs import verify_asset_named
from node.network_file import (
    Bootstrap,
    Chain,
    NetworkFile,
    Seat,
    Timers,
    dump_network,
    make_network,
    parse_network,
    verify_same_network,
)
from primitives.errors import ConfigError, WrongNetwork


def address(number: int) -> str:
    return "0x" + f"{number:040x}"


def make(**changes: Any) -> NetworkFile:
    seats = tuple(
        Seat(name=f"v{n}", address=address(n + 1), payout=address(n + 100)) for n in range(4)
    )
    vault = address(900)
    assets = tuple(
        AssetConfig(name=name, decimals=6, chain_id=31337, vault=vault, token=address(800 + n))
        for n, name in enumerate(("USDX", "WETH"))
    )
    parts: dict[str, Any] = {
        "name": "testnet",
        "network_id": bytes(range(32)),
        "genesis_time_ms": 1_795_000_000_000,
        "committee": seats,
        "timers": Timers(),
        "chains": (
            Chain(chain_id=31337, vault=vault, registry=address(901), distributor=address(902)),
        ),
        "exchange": ExchangeGenesis(
            assets=assets, markets=(MarketConfig(name="WETH-USDX", base=1, quote=0, tick=1, lot=1),)
        ),
    }
    return make_network(**parts | changes)


def test_a_file_is_read_as_it_was_written() -> None:
    network = make()
    assert parse_network(dump_network(network)) == network
    assert network.checkpoint_interval == network.exchange.checkpoint_interval


def test_addresses_of_peers_are_not_in_the_hash() -> None:
    peers = (Bootstrap(address=address(1), peer_id="12D3", multiaddrs=("/ip4/1.2.3.4/tcp/1",)),)
    assert make(bootstrap=peers).genesis_hash == make().genesis_hash


def test_layout_of_the_json_is_not_in_the_hash() -> None:
    network = make()
    packed = json.dumps(json.loads(dump_network(network)), sort_keys=True).encode()
    assert parse_network(packed).genesis_hash == network.genesis_hash


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "othernet"},
        {"network_id": bytes(32)},
        {"genesis_time_ms": 1},
        {"timers": Timers(gap_ms=10)},
    ],
)
def test_everything_else_is_in_the_hash(changes: dict[str, Any]) -> None:
    assert make(**changes).genesis_hash != make().genesis_hash


def edit(**changes: Any) -> bytes:
    raw = json.loads(dump_network(make()))
    raw.update(changes)
    return json.dumps(raw).encode()


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"", "network file"),
        (b"[" * 100_000, "network file"),
        (b" " * (2 << 20), "larger"),
        (edit(format=2), "format"),
        (edit(more=1), "unknown field `more`"),
        (edit(network_id="0x12"), "network_id"),
        (edit(committee=[]), "committee"),
        (
            edit(committee=[{"name": "v0", "address": address(1), "payout": address(2)}] * 2),
            "share",
        ),
        (edit(chains=[]), "vault that no chain names"),
        (edit(timers={"gap_ms": 1_500}), "timers must keep"),
        (edit(genesis_time_ms=1 << 60), "genesis_time_ms"),
        (edit(exchange={}), "exchange genesis"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason(data: bytes, hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_network(data)
    assert hint in str(refused.value)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_network(data)


def test_two_networks_are_told_apart() -> None:
    verify_same_network(bytes(32), bytes(32), "the peer")
    with pytest.raises(WrongNetwork):
        verify_same_network(bytes(32), b"\1" * 32, "the peer")


def test_the_structs_are_strict() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"gap_ms": -1}, Timers)


@pytest.mark.parametrize(
    ("number", "symbol", "is_good"),
    [
        (0, "USDX", True),
        (2, "NEW", True),
        (1, "USDX", False),
        (0, "PEPE", False),
        (2, "WETH", False),
    ],
)
def test_a_node_cannot_give_an_asset_of_the_file_another_name(
    number: int, symbol: str, is_good: bool
) -> None:
    if is_good:
        verify_asset_named(make(), number, symbol)
        return
    with pytest.raises(ProofRefused):
        verify_asset_named(make(), number, symbol)
