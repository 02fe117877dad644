"""Facts about time-outs and parameters."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.config import Timing
from consensus.limits import TIMEOUT_CAP_MS
from consensus.timers import compute_timeout_ms
from tests.consensus.desk import Desk


def test_the_first_views_after_a_final_one_cost_no_patience():
    assert [compute_timeout_ms(1_000, view, 10) for view in (11, 12)] == [1_000, 1_000]


def test_each_further_view_multiplies_by_one_point_three():
    timeouts = [compute_timeout_ms(1_000, view, 10) for view in (13, 14, 15)]
    assert timeouts == [1_300, 1_690, 2_197]


@given(st.integers(1, TIMEOUT_CAP_MS), st.integers(1, 1 << 62), st.integers(0, 1 << 62))
def test_time_outs_grow_with_lost_views_up_to_the_cap(base_ms, view, final_view):
    timeout_ms = compute_timeout_ms(base_ms, view, final_view)
    assert base_ms <= timeout_ms <= TIMEOUT_CAP_MS
    assert compute_timeout_ms(base_ms, view + 1, final_view) >= timeout_ms


@pytest.mark.parametrize(
    "changes",
    [{"leader_ms": 0}, {"gap_ms": 1_001}, {"view_ms": 1_999}, {"fetch_ms": TIMEOUT_CAP_MS + 1}],
)
def test_impossible_parameters_are_refused(changes):
    with pytest.raises(ValueError):
        Timing(**changes)


def test_an_idle_chain_waits_half_the_leader_timer():
    assert Timing().idle_gap_ms == 1_000


def test_the_header_at_checkpoint_plus_lag_carries_its_digest():
    config = Desk(checkpoint_interval=16).config
    carried = {height: config.checkpoint_of(height) for height in (16, 32, 47, 48, 49, 64)}
    assert carried == {16: None, 32: None, 47: None, 48: 16, 49: None, 64: 32}


@pytest.mark.parametrize("changes", [{"domain": b""}, {"seed": b""}, {"epoch": 0}])
def test_impossible_instances_are_refused(changes):
    with pytest.raises(ValueError):
        replace(Desk().config, **changes)
