"""The node's clock follows the wall clock and never runs backwards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.clock import NodeClock

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
