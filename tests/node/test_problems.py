"""A condition is open once, until it is over.

Spec: docs/reference/errors.md. Deviations: none.
"""

from __future__ import annotations

import logging

import pytest

from node.problems import Problems


def test_a_condition_is_logged_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    problems = Problems()
    with caplog.at_level(logging.INFO, "omnibazaar.problems"):
        problems.clear("DSK001")
        problems.set("DSK001", "the disk is full", fix="free space", stops_duties=True)
        problems.set("DSK001", "the disk is still full", stops_duties=True)
        problems.clear("DSK001")
        problems.clear("DSK001")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_conditions_are_kept_by_age_and_say_whether_duties_stop() -> None:
    problems = Problems()
    problems.set("A", "first")
    problems.set("B", "second", stops_duties=True)
    problems.set("A", "first, newer")
    assert [c.message for c in problems.conditions()] == ["first, newer", "second"]
    assert problems.stops_duties
    problems.clear("B")
    assert not problems.stops_duties
    assert problems.is_open("A")
    assert not problems.is_open("B")
