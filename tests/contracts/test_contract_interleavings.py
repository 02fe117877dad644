"""Whatever is done to the contracts in whatever order, they do what the model says and pay all.

`OMNIBAZAAR_SOAK` multiplies the number of interleavings and the steps of each.
"""

from __future__ import annotations

import os
import time

import pytest

from contracts.chain.anvil import find_anvil
from tests.contracts.solc_worker import solc_worker
from tests.contracts.stateful.anvil_ground import anvil_ground
from tests.contracts.stateful.machine import DEEDS, Broken, fails, interleaving, run, shrink
from tests.contracts.stateful.scene import COINS, PEOPLE, build
from tests.contracts.stateful.stage import Stage, embedded_stage, prepare
from tests.contracts.stateful.teeth import notice
from tests.contracts.stateful.variants import NOTICED_AFTER, VARIANTS, Variant

SOAK = int(os.environ.get("OMNIBAZAAR_SOAK", "1"))
PIECES = 8
RUNS = 200 * SOAK
ANVIL_RUNS = 5 * SOAK if find_anvil() else 0
STEPS = 20 if SOAK == 1 else 40


@pytest.fixture(scope="module")
def stage() -> Stage:
    """Deployed once; every interleaving goes back to it."""
    return embedded_stage()


def test_every_deed_is_done() -> None:
    """A deed that no seed of CI chooses would be tested by nobody."""
    seen = {name for seed in range(RUNS) for name, _ in interleaving(seed, STEPS)}
    assert seen == set(DEEDS)


@pytest.mark.parametrize("piece", range(PIECES))
def test_no_interleaving_breaks_the_contracts(stage: Stage, piece: int) -> None:
    for seed in range(piece, RUNS, PIECES):
        try:
            run(stage, interleaving(seed, STEPS))
        except Broken as broken:
            pytest.fail(f"seed {seed}: {shrink(stage, broken)}")


@pytest.mark.parametrize("runs", [ANVIL_RUNS] if ANVIL_RUNS else [])
def test_the_same_holds_on_anvil(runs: int) -> None:
    with anvil_ground(PEOPLE, COINS) as ground:
        stage = prepare(build(ground))
        for seed in range(runs):
            assert fails(stage, interleaving(seed, STEPS)) is None, f"seed {seed}"


def todays_variants() -> list[Variant]:
    """Two, others every day; when there is time all that were ever noticed."""
    day = int(time.time()) // 86_400
    settled = [variant for variant in VARIANTS if variant.name in NOTICED_AFTER]
    if SOAK > 1:
        return settled
    return [settled[(2 * day + number) % len(settled)] for number in range(2)]


def test_todays_wrong_contracts_are_noticed() -> None:
    with solc_worker() as worker:
        for variant in todays_variants():
            taken, _ = notice(worker, variant, runs=RUNS, steps=STEPS)
            assert taken, f"nothing shows that {variant.name}"


def test_variants_have_names_of_their_own() -> None:
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names)
    assert set(NOTICED_AFTER) <= set(names)
