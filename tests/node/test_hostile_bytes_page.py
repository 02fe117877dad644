"""Every test that the page of attacks names exists.

Spec: docs/explanation/hostile-bytes.md. Deviations: none.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/hostile-bytes.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_each_attack_is_shown_by_a_test_that_exists() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    attacks = [row for row in rows if not row.startswith("| attack ")]
    assert len(attacks) >= 30
    for row in attacks:
        named = TEST.findall(row)
        assert named, f"no test shows: {row}"
        for path, name in named:
            assert f"def {name}(" in (ROOT / path).read_text(), f"{path} has no {name}"
