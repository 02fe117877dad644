"""Show the committee in office and this node's part in it.

Rule: seats are those of the epoch in progress; names come from the network file, for the chain
knows none.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.committee import Member
from node.api import views
from node.api.score_views import Validator

if TYPE_CHECKING:
    from node.node import Node


def show_own_seat(node: Node) -> views.ValidatorSelf:
    """Show what this node's own key has done."""
    seat = node.me
    return views.ValidatorSelf(
        address=node.key.address,
        index=seat,
        weight=0 if seat is None else node.committee.weights[seat],
        last_signed_view=node.driver.last_vote_view,
        last_signed_ms=node.driver.last_vote_ms,
        votes_sent=node.driver.votes_total,
        proposals=node.driver.proposals_total,
    )


def show_committee(node: Node) -> tuple[Validator, ...]:
    """Show every seat, in the order of indices."""
    keeper = node.ledger.scorekeeper
    points = {} if keeper is None else keeper.points
    members = enumerate(node.committee.members)
    return tuple(_show_seat(node, seat, one, points) for seat, one in members)


def _show_seat(node: Node, seat: int, member: Member, points: dict[bytes, int]) -> Validator:
    address, keeper, feed = member.address, node.ledger.scorekeeper, node.feed
    holder = None if keeper is None else keeper.find(address)
    proposed, last_height = feed.proposed.get(address, (0, 0))
    return Validator(
        index=seat,
        address=address,
        payout=address if holder is None else holder.payout,
        weight=member.weight,
        name=find_name(node, address if holder is None else holder.owner),
        connected=address == node.key.address or node.network.is_reachable(address),
        is_self=address == node.key.address,
        proposed=proposed,
        last_proposed_height=last_height,
        votes=feed.voted.get(address, 0),
        votes_possible=feed.certificates,
        score=points.get(address, 0),
        parts=() if keeper is None else keeper.get_parts(address),
    )


def find_name(node: Node, owner: bytes) -> str:
    """Return a validator's name in the network file, or the head of its owner's address."""
    found = (seat.name for seat in node.file.committee if seat.owner_bytes == owner)
    return next(found, f"0x{owner.hex()[:8]}")


def find_owner(node: Node, key: bytes) -> bytes:
    """Return who registered a hot key; the key itself where nobody is known to have."""
    keeper = node.ledger.scorekeeper
    holder = None if keeper is None else keeper.find(key)
    return key if holder is None else holder.owner
