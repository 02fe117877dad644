"""Metrics: named by the rules, documented, rendered.

Rule: names and labels are closed sets.
Spec: docs/reference/metrics.md; prometheus.io/docs/practices/naming. Deviations: none.
"""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from node.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"omnibazaar_[a-z][a-z0-9]*(_[a-z0-9]+)*")
LABELS_ALLOWED = {"version", "python", "network", "kind", "direction", "class", "le"}
VALUES_MAX = 20


def families():
    return list(text_string_to_metric_families(Metrics(version="1", network="n").render().decode()))


def test_names_and_labels_follow_the_rules() -> None:
    for family in families():
        assert NAME.fullmatch(family.name), family.name
        assert not re.search(r"_(ms|millis|kb|mb|percent)$", family.name), family.name
        labels: dict[str, set[str]] = {}
        for sample in family.samples:
            assert set(sample.labels) <= LABELS_ALLOWED, sample
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
            if family.type == "counter":
                assert sample.name.endswith("_total"), sample.name
        for label, values in labels.items():
            assert len(values) <= VALUES_MAX, (family.name, label)


def test_every_metric_is_documented() -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")
    for family in families():
        suffix = "_total" if family.type == "counter" else ""
        assert f"`{family.name}{suffix}`" in page, family.name
        assert family.documentation


def test_answers_are_counted_by_class() -> None:
    metrics = Metrics()
    for status in (200, 204, 404, 101, 999):
        metrics.on_answer(status)
    text = metrics.render().decode()
    assert 'omnibazaar_api_answers_total{class="2xx"} 3.0' in text
    assert 'omnibazaar_api_answers_total{class="5xx"} 1.0' in text


def test_every_metric_is_written_somewhere() -> None:
    """A metric that nobody sets says nothing."""
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "node").rglob("*.py")
        if path.name != "metrics.py"
    )
    metrics = Metrics()
    names = [name for name in vars(metrics) if name != "registry" and not name.startswith("_")]
    unused = [n for n in names if n != "api_answers" and not re.search(rf"metrics\.{n}\b", sources)]
    assert unused == []
