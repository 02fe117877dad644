"""Set the metrics that nobody sets as they change, when somebody asks for them.

Rule: reads memory only.
Spec: docs/reference/metrics.md. Deviations: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.views.status import count_checkpoints

if TYPE_CHECKING:
    from node.node import Node


def update_gauges(node: Node) -> None:
    """Bring gauges and totals of a node up to date."""
    metrics, peers = node.metrics, node.network.peers()
    metrics.head_height.set(node.replica.notarized_height)
    metrics.final_height.set(node.replica.tip.height)
    metrics.view.set(node.replica.view)
    metrics.epoch.set(node.book.current.number)
    metrics.ready.set(int(node.is_ready))
    metrics.decisions_waiting.set(len(node.decisions.waiting()))
    metrics.mempool_actions.set(len(node.bundles.mempool))
    metrics.execution_queue.set(node.final_blocks.executor.waiting)
    metrics.validators_connected.set(len(node.wire.connected()))
    metrics.evm_online.set(int(all(monitor.is_online for monitor in node.monitors)))
    metrics.checkpoints.set(count_checkpoints(node))
    metrics.store_bytes.set(node.stores.chain.size_bytes())
    metrics.peers.labels("in").set(sum(peer.receiving for peer in peers))
    metrics.peers.labels("out").set(sum(peer.sending for peer in peers))
    for counter, total in (
        (metrics.verified_signatures, node.verifier.verified_total),
        (metrics.bundles_sent, node.bundles.sent_total),
        (metrics.bundles_received, node.bundles.received_total),
        (metrics.votes_sent, node.driver.votes_total),
        (metrics.proposals, node.driver.proposals_total),
    ):
        metrics.raise_to(counter, total)
