"""Whatever is done to the contracts in whatever order, they do what the model says and pay all.

`OMNIBAZAAR_SOAK` multiplies the number of interleavings and the steps of each.
"""

from __future__ import annotations

import os

import pytest

from tests.contracts.stateful.machine import DEEDS, Broken, interleaving, run, shrink
from tests.contracts.stateful.scene import Scene, build_embedded

SOAK = int(os.environ.get("OMNIBAZAAR_SOAK", "1"))
PIECES = 8
RUNS = 200 * SOAK
STEPS = 24 if SOAK == 1 else 60


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Deployed once; every interleaving goes back to it."""
    return build_embedded()


def test_every_deed_is_done() -> None:
    """A deed that no seed of CI chooses would be tested by nobody."""
    seen = {name for seed in range(RUNS) for name, _ in interleaving(seed, STEPS)}
    assert seen == set(DEEDS)


@pytest.mark.parametrize("piece", range(PIECES))
def test_no_interleaving_breaks_the_contracts(scene: Scene, piece: int) -> None:
    for seed in range(piece, RUNS, PIECES):
        try:
            run(scene, interleaving(seed, STEPS))
        except Broken as broken:
            pytest.fail(f"seed {seed}: {shrink(scene, broken)}")
