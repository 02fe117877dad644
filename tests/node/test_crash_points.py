"""Cut the power of a validator at every write in turn: it never votes twice, and it goes on.

Rule: one member of a simulated network has a real journal and a real guard on real files; the run
is repeated with the cut one operation later each time.
Spec: docs/spec/consensus.md (Persistence, Restart). Deviations: none.
"""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.node import real_disk
from tests.node.real_disk import PowerCut, RealDisk
from tests.simulation.scenario import draw_scenario
from tests.simulation.world import World

POINTS = 250  # times the soak factor
OPERATIONS = 125  # every run has more than these
STABLE_MS = 6_000
RESTART_MS = 500


def calm_world(seed: int) -> World:
    """Four honest members on a network that loses and reorders; nobody else crashes."""
    scenario = replace(
        draw_scenario(seed),
        stable_ms=STABLE_MS,
        weights=(1, 1, 1, 1),
        byzantine=frozenset(),
        is_evil=False,
        loss=0.05,
        tail=0.02,
        crash_per_effect=0,
        crash_per_tick=0,
        journal_loss=None,
        loses_writes=False,
        has_real_keys=False,
        is_on_wire=False,
        work=8,
    )
    return World(scenario)


def give_real_disk(world: World, folder: Path, cut_at: int | None, seed: int) -> RealDisk:
    """Let member 0 write to files, and lose power at one operation."""
    node = world.nodes[0, 0]
    disk = RealDisk(folder, world.keys[0].address, random.Random(f"disk {seed} {cut_at}"))
    disk.os.cut_at = cut_at
    node.disk = disk  # type: ignore[assignment]
    perform, start = node.perform, node.start

    def perform_until_cut(effects: tuple) -> None:
        try:
            perform(effects)
            if node.epochs is not None:
                disk.compact(node.epochs)
        except PowerCut:
            node.crash()

    def start_until_cut() -> None:
        try:
            start()
        except PowerCut:
            node.epochs = None
            disk.crash(world.rng, loses_journal=False, lies=False)
            world.after(RESTART_MS, node.boot, ())

    node.perform = perform_until_cut  # type: ignore[method-assign]
    node.start = start_until_cut  # type: ignore[method-assign]
    return disk


def run(folder: Path, cut_at: int | None, seed: int, *, keeps_sync: bool = True) -> RealDisk:
    """Run one network; return the disk. Raises AssertionError when an invariant breaks."""
    folder.mkdir()
    world = calm_world(seed)
    disk = give_real_disk(world, folder, cut_at, seed)
    disk.os.keeps_sync = keeps_sync
    with disk.installed():
        try:
            world.run()
        finally:
            disk.close()
    assert not world.failures, f"seed {seed}, cut at {cut_at}: {world.failures}"
    return disk


def test_a_run_without_a_cut_writes_compacts_and_goes_on(tmp_path: Path) -> None:
    disk = run(tmp_path / "run", None, 1)
    assert disk.compactions > 0
    assert disk.os.operations > OPERATIONS


def test_no_crash_point_makes_a_validator_vote_twice(tmp_path: Path, soak: int) -> None:
    cuts = torn = 0
    for point in range(POINTS * soak):
        disk = run(tmp_path / str(point), 1 + point % OPERATIONS, point // OPERATIONS)
        cuts += disk.os.cuts
        torn += disk.torn_tails
        shutil.rmtree(tmp_path / str(point))
    assert cuts >= POINTS * soak
    assert torn > POINTS * soak // 20, "cuts within records are part of it"


def run_until_noticed(folder: Path) -> None:
    for point in range(300):
        run(folder / str(point), 1 + point, point, keeps_sync=False)


def test_a_disk_that_lies_about_syncing_would_be_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs have teeth: without durable votes some crash point ends in two votes."""
    monkeypatch.setattr(RealDisk, "sync_guard", lambda disk: disk.guard_buffer.clear())
    monkeypatch.setattr(real_disk, "AGAIN", 0.9)
    with pytest.raises(AssertionError, match="honest 0"):  # it contradicts itself
        run_until_noticed(tmp_path)
