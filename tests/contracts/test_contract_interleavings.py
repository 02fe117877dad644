"""Whatever is done to the contracts in whatever order, they do what the model says and pay all.

`OMNIBAZAAR_SOAK` multiplies the number of interleavings and the steps of each.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.chain.anvil import find_anvil
from tests.contracts.solc_worker import solc_worker
from tests.contracts.stateful import record
from tests.contracts.stateful.anvil_ground import anvil_ground
from tests.contracts.stateful.machine import DEEDS, END, Broken, fails, interleaving, run, shrink
from tests.contracts.stateful.scene import COINS, PEOPLE, build
from tests.contracts.stateful.stage import Stage, embedded_stage, prepare
from tests.contracts.stateful.teeth import notice
from tests.contracts.stateful.variants import VARIANTS

SOAK = int(os.environ.get("OMNIBAZAAR_SOAK", "1"))
PIECES = 8
RUNS = record.RUNS * SOAK
ANVIL_RUNS = (5 if SOAK == 1 else max(1_000, 100 * SOAK)) if find_anvil() else 0
STEPS = record.STEPS if SOAK == 1 else 40
AUDIT = Path(__file__).parents[2] / "docs" / "explanation" / "audit.md"


@pytest.fixture(scope="module")
def stage() -> Stage:
    """Deployed once; every interleaving goes back to it."""
    return embedded_stage()


def test_every_deed_is_done() -> None:
    """A deed that no seed of CI chooses would be tested by nobody."""
    seen = {name for seed in range(RUNS) for name, _ in interleaving(seed, STEPS)}
    assert seen == {*DEEDS, END}


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


def test_seeds_of_wrong_contracts_are_those_of_this_machine() -> None:
    """Whoever changes deeds, weights or a contract finds the seeds anew, by the command named."""
    assert record.find_faults(record.load()) == []


def test_wrong_contracts_are_noticed() -> None:
    """Two, others with every commit, each by the seed recorded; when there is time all."""
    seeds = record.load().seeds
    chosen = record.chosen_now(seeds, 2 if SOAK == 1 else len(seeds))
    with solc_worker() as worker:
        for variant in chosen:
            shown = notice(worker, variant, [seeds[variant.name]])
            assert shown is not None, f"nothing shows that {variant.name}: {record.COMMAND}"


def test_wrong_contracts_that_go_unnoticed_are_named() -> None:
    known = record.load()
    text = AUDIT.read_text()
    assert f"{len(known.seeds)} of the {len(VARIANTS)} are noticed" in text
    unseen = (*known.missed, *known.untried)
    assert [name for name in unseen if name not in text] == []


def test_a_changed_machine_calls_for_seeds_anew() -> None:
    known = record.load()
    first = VARIANTS[0].name
    assert record.find_faults(replace(known, machine="another")) == [
        f"the machine has changed since its wrong contracts were tried: {record.COMMAND}"
    ]
    stale = {**known.found, first: replace(known.found[first], digest="another")}
    assert record.find_faults(replace(known, found=stale)) == [
        f"{VARIANTS[0].source} has changed: {record.COMMAND} '{first}'"
    ]
    del stale[first]
    assert record.find_faults(replace(known, found=stale)) == []
    assert first in replace(known, found=stale).untried
    gone = {**known.found, "it is wrong no more": known.found[first]}
    assert record.find_faults(replace(known, found=gone)) == [
        f"no such variant: it is wrong no more: {record.COMMAND}"
    ]


def test_variants_have_names_of_their_own() -> None:
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names)
