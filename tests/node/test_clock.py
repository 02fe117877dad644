"""The node's clock follows the wall clock and never runs backwards."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from node.clock import NodeClock
from node.host_watch import check_time

MS = 1_000_000


class Machine:
    """A wall clock that can be set and a monotonic one that cannot."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000_000 * MS
        self.monotonic = 5_000 * MS

    def run(self, ms: int) -> None:
        self.wall += ms * MS
        self.monotonic += ms * MS

    def clock(self) -> NodeClock:
        return NodeClock(lambda: self.wall, lambda: self.monotonic)


def test_a_step_forward_is_reported_and_followed_at_once() -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock.now_ms()
    machine.wall += 3_600_000 * MS
    assert clock.follow_wall() == 3_600_000
    assert clock.now_ms() == before + 3_600_000
    assert clock.follow_wall() == 0


def test_after_a_step_back_time_runs_at_half_speed_until_both_meet() -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock.now_ms()
    machine.wall -= 10_000 * MS
    assert clock.follow_wall() == -10_000
    machine.run(4_000)
    assert clock.now_ms() == before + 2_000
    machine.run(16_000)
    assert clock.now_ms() == machine.wall // MS
    machine.run(1_000)
    assert clock.now_ms() == machine.wall // MS


class Member:
    """What the watch over the surroundings sees of a node."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.clock = machine.clock()
        self.replica = SimpleNamespace(tip=SimpleNamespace(time_ms=0))
        self.lives = 0

    def begin_anew(self) -> None:
        self.lives += 1
        self.clock = self.machine.clock()

    def live(self, seconds: int, chain_ms: Callable[[], int]) -> None:
        for _ in range(seconds):
            self.machine.run(1_000)
            self.replica.tip.time_ms = chain_ms()
            self.clock.follow_wall()
            check_time(cast(Any, self))


def test_who_alone_came_back_from_the_future_begins_anew_with_the_true_time() -> None:
    """Everybody else refused its blocks for twice the time of the jump."""
    machine, true = Machine(), 1_700_000_000_000
    node = Member(machine)

    def chain_ms() -> int:
        return true + machine.monotonic // MS - 5_000

    machine.wall += 3_600_000 * MS
    node.live(10, chain_ms)
    assert not node.lives, "while the system's clock says so there is no other time"
    machine.wall -= 3_600_000 * MS
    node.live(100, chain_ms)
    assert node.lives == 1
    assert node.clock.now_ms() == machine.wall // MS


def test_who_comes_back_with_the_whole_chain_or_by_little_goes_on() -> None:
    machine = Machine()
    node = Member(machine)
    machine.wall += 3_600_000 * MS
    node.live(10, lambda: node.clock.now_ms())
    machine.wall -= 3_600_000 * MS
    node.live(100, lambda: node.clock.now_ms())
    assert not node.lives
    node = Member(machine)
    machine.wall -= 50_000 * MS
    node.live(100, lambda: 0)  # nothing is final since an hour
    assert not node.lives


def test_small_corrections_are_followed_without_a_word() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall += 80 * MS
    assert clock.follow_wall() == 0
    assert clock.now_ms() == machine.wall // MS


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(-20_000, 20_000)), max_size=40))
def test_time_never_runs_backwards(steps: list[tuple[int, int]]) -> None:
    machine = Machine()
    clock = machine.clock()
    last = clock.now_ms()
    for run_ms, set_ms in steps:
        machine.run(run_ms)
        machine.wall += set_ms * MS
        clock.follow_wall()
        now = clock.now_ms()
        assert now >= last
        last = now
