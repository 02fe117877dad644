"""Assets and markets beyond those of genesis live in the state and in its snapshots."""

from __future__ import annotations

import msgspec
import pytest

from exchange.restore import restore
from exchange.snapshot import renew_rest_word, snapshot
from exchange.state import State
from primitives.errors import InvalidMessage
from tests.exchange.world import make_genesis


def grown() -> State:
    state = State(make_genesis())
    known = state.assets[1].terms
    asset = state.add_asset(
        msgspec.structs.replace(known, name="NEW", token="0x" + "77" * 20, withdrawal_minimum=5)
    )
    terms = msgspec.structs.replace(
        state.markets[0].terms, name="NEW-USDX", base=asset.id, quote=0, tick=7, mode="fair"
    )
    state.add_market(terms)
    renew_rest_word(state)
    return state


def test_a_snapshot_carries_what_was_listed_since_genesis() -> None:
    state = grown()
    chunks = snapshot(state)
    again = restore(make_genesis(), chunks)
    assert [a.terms for a in again.assets] == [a.terms for a in state.assets]
    assert [m.terms for m in again.markets] == [m.terms for m in state.markets]
    assert again.markets[-1].tick == 7
    assert len(again.fees) == len(again.withdrawn) == len(state.assets)
    assert snapshot(again) == chunks


def test_a_snapshot_of_a_network_with_other_assets_is_refused() -> None:
    genesis = make_genesis()
    other = msgspec.structs.replace(genesis.assets[0], name="OTHER")
    foreign = msgspec.structs.replace(genesis, assets=(other, *genesis.assets[1:]))
    with pytest.raises(InvalidMessage):
        restore(foreign, snapshot(grown()))
