"""Whatever is listed, changed and delisted among whatever traders do, nothing is lost or forked."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from exchange import sweeping
from exchange.conservation import verify_books, verify_conservation, verify_holds
from exchange.execute import BlockInput, execute
from exchange.market import DELISTED
from exchange.outcome import ASSET_LISTED, MARKET_LISTED, TERMS_SET, Outcome
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from primitives.keccak import keccak256
from tests.conftest import soak_factor
from tests.exchange.listing_chaos import ListingChaos

SEEDS = 8 * soak_factor()
BLOCKS = 90


def run(seed: int, blocks: int = BLOCKS) -> tuple[ListingChaos, list[BlockInput], list[Outcome]]:
    chaos = ListingChaos(seed)
    chaos.first_block()
    inputs, outcomes = [], []
    for _ in range(blocks):
        inputs.append(chaos.make_block())
        outcomes.append(execute(chaos.world.state, inputs[-1]))
        verify_books(chaos.world.state)
        verify_holds(chaos.world.state)
        verify_conservation(chaos.world.state)
    return chaos, inputs, outcomes


@pytest.mark.parametrize("most", [1_024, 2])
def test_no_atom_is_lost_and_nothing_stays_pending(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "SWEPT_PER_BLOCK_MAX", most)
    seen: set[int] = set()
    reasons: set[int] = set()
    emptied = fills = 0
    for seed in range(SEEDS):
        chaos, _, outcomes = run(seed)
        state = chaos.world.state
        while any(market.batches for market in state.markets):
            block = chaos.make_block()
            block.actions = ()
            outcomes.append(execute(state, block))
        pending, resolved = set(), []
        for outcome in outcomes:
            fills += sum(fill.market > 2 for fill in outcome.fills)
            seen.update(one.kind for one in outcome.listings)
            swept = [e for e in outcome.orders if e.reason == Reason.TERMS_CHANGED]
            swept += [e for e in outcome.orders if e.reason == Reason.MARKET_DELISTED]
            emptied += len(swept)
            for receipt in outcome.receipts:
                reasons.update(receipt.statuses)
                for op, status in enumerate(receipt.statuses):
                    if status == Reason.PENDING:
                        pending.add((receipt.action_id, op))
            resolved += [(r.action_id, r.op) for r in outcome.resolutions]
        assert len(resolved) == len(set(resolved))
        assert set(resolved) == pending
        for market in state.markets:
            if market.status == DELISTED and most > 2:
                assert not market.book.orders
    assert seen == {ASSET_LISTED, MARKET_LISTED, TERMS_SET}
    assert emptied > SEEDS
    assert fills > 0
    expected = {
        Reason.LISTED_ALREADY, Reason.NO_CHANGE, Reason.NOT_THIS_ROUND, Reason.UNKNOWN_ASSET,
        Reason.BAD_LISTING, Reason.COUNTED,
    }  # fmt: skip
    assert expected - reasons == set()


def test_a_snapshot_and_a_restart_after_every_block_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeping, "SWEPT_PER_BLOCK_MAX", 3)
    for seed in range(max(2, SEEDS // 3)):
        chaos, inputs, outcomes = run(seed + 100)
        fresh = ListingChaos(seed + 100)
        fresh.first_block()
        state = fresh.world.state
        for block, outcome in zip(inputs, outcomes, strict=True):
            chunks = snapshot(state)
            state = restore(chaos.world.genesis, chunks)
            assert snapshot(state) == chunks
            again = execute(state, block)
            assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(outcome)
        assert snapshot(state) == snapshot(chaos.world.state)


def digest(seed: int) -> str:
    chaos, _, outcomes = run(seed)
    parts = [msgspec.msgpack.encode(o) for o in outcomes] + list(snapshot(chaos.world.state))
    return keccak256(b"".join(parts)).hex()


def test_listings_do_not_depend_on_the_hash_seed() -> None:
    script = "from tests.exchange.test_markets_listed_random import digest; print(digest(3))"
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == digest(3)
