"""A node that stops between any two blocks comes back with the same roots and goes on alike."""

from __future__ import annotations

import msgspec

from exchange.execute import BlockInput, execute
from exchange.outcome import Outcome
from exchange.restore import restore
from exchange.roots import compute_fees_root, compute_roots, compute_state_root
from exchange.snapshot import snapshot
from exchange.state import State
from tests.conftest import soak_factor
from tests.exchange.chaos import Chaos

SEEDS = 6 * soak_factor()
BLOCKS = 50
CONTINUED = 4
"""Blocks executed after every restart, beside the whole rest at a few."""


def run(seed: int) -> tuple[Chaos, list[BlockInput], list[Outcome], dict[int, tuple[bytes, ...]]]:
    """Blocks, what they did, and the snapshots a node keeps: the first and at checkpoints."""
    chaos = Chaos(seed)
    chaos.first_block()
    state = chaos.world.state
    kept = {state.height: snapshot(state)}
    blocks, outcomes = [], []
    for _ in range(BLOCKS):
        block = chaos.make_block()
        blocks.append(block)
        outcomes.append(execute(state, block))
        if outcomes[-1].is_checkpoint:
            kept[state.height] = snapshot(state)
    return chaos, blocks, outcomes, kept


def check_roots(state: State, outcome: Outcome) -> None:
    assert compute_state_root(compute_roots(state)) == outcome.state_root
    assert compute_fees_root(state) == outcome.fees_root


def test_restart_after_any_block_gives_the_same_roots() -> None:
    """The last snapshot before the stop and the blocks since, as a node restarts."""
    for seed in range(SEEDS):
        chaos, blocks, outcomes, kept = run(seed)
        assert len(kept) > 3
        first = blocks[0].height
        for stop in range(first, first + BLOCKS):
            base = max(height for height in kept if height <= stop)
            state = restore(chaos.world.genesis, kept[base])
            assert state.height == base
            for height in range(base + 1, stop + 1):
                execute(state, blocks[height - first])
            check_roots(state, outcomes[stop - first])
            for height in range(stop + 1, min(stop + CONTINUED, first + BLOCKS - 1) + 1):
                again = execute(state, blocks[height - first])
                assert msgspec.msgpack.encode(again) == msgspec.msgpack.encode(
                    outcomes[height - first]
                )


def test_restart_after_restart_after_every_block_gives_the_same_roots() -> None:
    """A snapshot, a stop and a restoration between all blocks change nothing in the whole run."""
    for seed in range(SEEDS):
        chaos, blocks, outcomes, kept = run(seed + 1_000)
        state = restore(chaos.world.genesis, kept[min(kept)])
        for block, outcome in zip(blocks, outcomes, strict=True):
            assert execute(state, block).state_root == outcome.state_root
            state = restore(chaos.world.genesis, snapshot(state))
            check_roots(state, outcome)
        assert snapshot(state) == snapshot(chaos.world.state)
