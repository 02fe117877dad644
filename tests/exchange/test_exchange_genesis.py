"""Genesis is read from plain data, checked once, and written back unchanged."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.genesis import dump_genesis, load_genesis
from exchange.market import compute_bond_ppm
from primitives.errors import ConfigError


def make(**change: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "assets": [
            {
                "name": name,
                "decimals": 6,
                "chain_id": 31337,
                "vault": "0x" + "51" * 20,
                "token": "0x" + f"{i:02x}" * 20,
            }
            for i, name in enumerate(("USDX", "WETH"), 1)
        ],
        "markets": [{"name": "WETH-USDX", "base": 1, "quote": 0, "tick": 1, "lot": 100}],
    }
    data.update(change)
    return data


def market(**change: Any) -> dict[str, Any]:
    return make(markets=[{**make()["markets"][0], **change}])


def test_defaults_are_those_of_the_spec() -> None:
    genesis = load_genesis(make())
    [only] = genesis.markets
    assert (only.mode, only.matching, only.maker_bps, only.taker_bps) == (
        "sealed",
        "uniform",
        10,
        20,
    )
    assert (only.bond_ppm, only.commit_fee_ppm) == (1_000, 10)
    assert genesis.open_window_ms == 2_000
    assert genesis.assets[0].token_bytes == b"\x01" * 20
    assert load_genesis(dump_genesis(genesis)) == genesis


@pytest.mark.parametrize(
    "data",
    [
        {},
        make(assets=[]),
        make(surprise=1),
        make(open_window_ms=-1),
        make(checkpoint_interval=0),
        make(assets=[*make()["assets"], make()["assets"][0]]),
        make(assets=[make()["assets"][0], {**make()["assets"][0], "name": "COPY"}]),
        make(markets=make()["markets"] * 2),
        market(base=2),
        market(base=0),
        market(maker_bps=30),
        market(taker_bps=2_000),
        market(tick=0),
        market(lot=1.5),
        market(mode="dark"),
        market(name="weth usdx"),
        {**make(), "assets": [{**make()["assets"][0], "vault": "0x51"}]},
    ],
)
def test_bad_genesis_is_the_operators_to_correct(data: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_genesis(data)
    assert caught.value.code == "BAD_GENESIS"
    assert caught.value.fix


def test_bond_is_the_larger_of_floor_and_option_price() -> None:
    assert compute_bond_ppm(1_000, 110, 2_000) == 1_000  # 6 * 110 * 1.414 = 933
    assert compute_bond_ppm(1_000, 220, 2_000) == 1_866
    assert compute_bond_ppm(0, 0, 0) == 0
    assert compute_bond_ppm(0, 10**6, 10**6) == 10**6
