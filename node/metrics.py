"""Count what the node does, for Prometheus.

Rule: names begin with `omnibazaar_`, use base units, end in `_total` only when they count; labels
come from closed sets, never from an address, a height or a peer.
Spec: docs/reference/metrics.md. Deviations: none.
"""

from __future__ import annotations

import platform
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # twice the size, read by nobody

LATENCY_BUCKETS_S: Final = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0,
)  # fmt: skip
ANSWER_CLASSES: Final = ("2xx", "3xx", "4xx", "5xx")


class Metrics:
    """All metrics of one node. The registry is its own, so tests may make many."""

    def __init__(self, *, version: str = "", network: str = "") -> None:
        self.registry = registry = CollectorRegistry()
        build = Gauge(
            "omnibazaar_build_info", "Always 1; the labels say which program this is.",
            ["version", "python", "network"], registry=registry,
        )  # fmt: skip
        build.labels(version, platform.python_version(), network).set(1)

        self.head_height = self._gauge("head_height", "Highest notarized height.")
        self.final_height = self._gauge("final_height", "Highest finalized height.")
        self.executed_height = self._gauge("executed_height", "Highest executed height.")
        self.view = self._gauge("view", "Current view.")
        self.epoch = self._gauge("epoch", "Current epoch.")
        self.ready = self._gauge("ready", "1 when the node can do its duties.")
        self.finality = self._histogram(
            "finality_seconds", "From seeing a proposal to its finalization, on this node."
        )

        self.blocks = self._counter("blocks", "Blocks executed by this process.")
        self.actions = self._counter("actions", "Actions executed, valid or not.")
        self.actions_accepted = self._counter("actions_accepted", "Actions taken from own clients.")
        self.actions_rejected = self._counter("actions_rejected", "Actions refused at the door.")
        self.verified_signatures = self._counter(
            "verified_signatures", "Signatures of actions that this process verified."
        )
        self.fills = self._counter("fills", "Fills executed.")
        self.orders_accepted = self._counter(
            "orders_accepted", "Places, cancels and replaces the ledger accepted."
        )
        self.orders_rejected = self._counter(
            "orders_rejected", "Places, cancels and replaces the ledger refused."
        )
        self.bundles_sent = self._counter("bundles_sent", "Bundles made of own clients' actions.")
        self.bundles_received = self._counter("bundles_received", "Bundles from other validators.")
        self.votes_sent = self._counter("votes_sent", "Own votes sent.")
        self.proposals = self._counter("proposals", "Blocks this node proposed.")

        self.peers = self._gauge("peers", "Connected peers.", "direction", ("in", "out"))
        self.validators_connected = self._gauge(
            "validators_connected", "Other validators with open streams."
        )
        self.decisions_waiting = self._gauge(
            "decisions_waiting", "Decisions about vaults that wait for this operator's word."
        )
        self.mempool_actions = self._gauge("mempool_actions", "Own clients' actions not yet sent.")
        self.execution_queue = self._gauge("execution_queue_blocks", "Final, not executed blocks.")

        self.checkpoints = self._gauge("checkpoints", "Checkpoints the contract has accepted.")
        self.checkpoints_submitted = self._counter(
            "checkpoints_submitted", "Checkpoints this node sent to the contract."
        )
        self.evm_online = self._gauge("evm_online", "1 when the EVM endpoint answers.")

        self.api_answers = self._counter("api_answers", "HTTP answers.", "class", ANSWER_CLASSES)
        self.chat_messages = self._counter("chat_messages", "Messages stored.")
        self.store_bytes = self._gauge("store_bytes", "Size of the chain database.")

        ProcessCollector(namespace="omnibazaar", registry=registry)

    def on_answer(self, status: int) -> None:
        """Count an HTTP answer by the class of its status."""
        self.api_answers.labels(f"{min(5, max(2, status // 100))}xx").inc()

    def raise_to(self, counter: Counter, total: int) -> None:
        """Bring a counter up to a total that is counted elsewhere; it never goes back."""
        (family,) = counter.collect()
        counter.inc(max(0, total - family.samples[0].value))

    def render(self) -> bytes:
        """Return the Prometheus text."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, text: str, label: str = "", values: tuple[str, ...] = ()) -> Gauge:
        gauge = Gauge(f"omnibazaar_{name}", text, [label] if label else [], registry=self.registry)
        for value in values:
            gauge.labels(value)
        return gauge

    def _counter(
        self, name: str, text: str, label: str = "", values: tuple[str, ...] = ()
    ) -> Counter:
        labels = [label] if label else []
        counter = Counter(f"omnibazaar_{name}", text, labels, registry=self.registry)
        for value in values:
            counter.labels(value)
        return counter

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(
            f"omnibazaar_{name}", text, buckets=LATENCY_BUCKETS_S, registry=self.registry
        )
