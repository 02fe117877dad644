"""Show the whole node on one screen, and every validator as its network sees it.

Rule: reads memory only.
Spec: docs/reference/api.md (Node). Deviations: none.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Literal

from node.api import views
from node.views.chain_views import show_protocol
from node.views.committee_views import find_name, find_owner, show_own_seat
from primitives.cid import Cid

if TYPE_CHECKING:
    from node.node import Node

DIRECTIONS: Final[dict[tuple[bool, bool], Literal["both", "in", "out", "none"]]] = {
    (True, True): "both",
    (True, False): "out",
    (False, True): "in",
    (False, False): "none",
}  # by whether we send and whether we receive


def show_status(node: Node) -> views.Status:
    """Return one screenful."""
    last = node.feed.last
    samples = sorted(node.final_blocks.finality_ms)
    peers = node.network.peers()
    return views.Status(
        version=node.version,
        network=node.file.name,
        network_id=node.file.network_id,
        genesis=node.file.genesis_hash,
        pid=os.getpid(),
        started_ms=node.started_ms,
        now_ms=node.clock.now_ms(),
        ready=not (waits_for := node.waits_for),
        waits_for=waits_for,
        problems=tuple(
            views.Problem(code=c.code, message=c.message, fix=c.fix)
            for c in node.problems.conditions()
        ),
        epoch=node.replica.core.config.epoch,
        view=node.replica.view,
        height=node.replica.notarized_height,
        final=node.replica.tip.height,
        executed=node.ledger.height,
        state_root=node.ledger.roots.state,
        block_hash=node.replica.tip.hash,
        block_cid=str(Cid.decode(last.cid)) if last is not None else node.restored_cid,
        block_time_ms=node.replica.tip.time_ms,
        finality_ms=samples[len(samples) // 2] if samples else 0,
        peers=sum(peer.connected for peer in peers),
        peers_in=sum(peer.receiving for peer in peers),
        peers_out=sum(peer.sending for peer in peers),
        validator=show_own_seat(node),
        mempool_actions=len(node.bundles.mempool),
        actions=node.feed.actions,
        trades=node.ledger.tape.fills,
        verified_signatures=node.verifier.verified_total,
        chat_messages=node.chat.messages,
        checkpoints=count_checkpoints(node),
        decisions_waiting=len(node.decisions.waiting()),
        evm=all(monitor.is_online for monitor in node.monitors),
        protocol=show_protocol(node.ledger.state.protocol),
    )


def count_checkpoints(node: Node) -> int:
    """Return how many checkpoints the vault with the most has accepted, as far as is known."""
    statuses = [monitor.status for monitor in node.monitors]
    return max((s.checkpoints for s in statuses if s is not None), default=0)


def show_peers(node: Node) -> tuple[views.Peer, ...]:
    """Return every other validator as the network sees it."""
    return tuple(
        views.Peer(
            peer_id=peer.peer_id,
            name=find_name(node, find_owner(node, peer.address)),
            address=peer.address,
            multiaddrs=peer.multiaddrs,
            direction=DIRECTIONS[peer.sending, peer.receiving],
            connected=peer.connected,
            banned=peer.blocked,
            queue=peer.queued,
            dropped=peer.dropped_total,
            connects=peer.connects_total,
            bytes_in=peer.bytes_in_total,
            bytes_out=peer.bytes_out_total,
            last_error=peer.last_error,
        )
        for peer in node.network.peers()
    )
