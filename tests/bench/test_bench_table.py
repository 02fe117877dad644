"""The table of `make bench` says when a measurement failed.

Rule: nothing is measured here; the commands are replaced by their output.
Spec: docs/reference/benchmarks.md. Deviations: none.
"""

from __future__ import annotations

from typing import Any

import pytest

from bench import __main__ as table
from bench import ledger_rows
from bench.rows import Options

OPTIONS = Options(quick=True, data=None, one=1.0, twenty=1.0)


def test_a_measurement_without_output_is_a_failure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(table.KINDS, "pipeline", lambda _: [])
    rows = table.measure(["pipeline"], OPTIONS)
    assert [row.is_bad for row in rows] == [True]


def test_unequal_roots_fail_the_table(monkeypatch: pytest.MonkeyPatch):
    def answer(command: str) -> tuple[int, list[dict[str, Any]]]:
        assert command.startswith("bench.compiled")
        return 1, [{"recording": "mix", "times_faster": 2.5}]

    monkeypatch.setattr(ledger_rows, "run_lines", answer)
    rows = table.measure(["compiled"], OPTIONS)
    assert rows[0].is_bad
    assert rows[0].figure.startswith("2.5 times")


def test_without_recorded_data_the_rest_is_measured():
    assert table.measure(["orderflow"], OPTIONS) == []


def test_a_good_row_is_not_bad(monkeypatch: pytest.MonkeyPatch):
    found = {"restore_s": 1, "blocks": 3, "replay_s": 2, "restarted_memory_mb": 9}
    monkeypatch.setattr(ledger_rows, "run_json", lambda _: (0, found))
    (row,) = table.measure(["restart"], OPTIONS)
    assert not row.is_bad
    assert "3 blocks" in row.figure
