"""Keep the transport's list of validators in step with the chain's.

Rule: who may open lanes is decided by the registry as the ledger knows it, members first; where
they are dialed is what the network file or they themselves say, never more than a hint.
Spec: docs/spec/node.md (Directory); docs/spec/p2p.md §2. Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import trio

from consensus.participation.accumulator import Participation
from consensus.participation.register import Validator
from exchange.outcome import Notes
from node.clock import NodeClock
from node.committee.announcements import (
    ANNOUNCE_TOPIC,
    Announcements,
    encode_announcement,
    is_private,
    is_unspecified,
)
from node.limits import ANNOUNCE_BYTES_MAX, ANNOUNCE_S, ANNOUNCE_SPACING_S
from node.network_file import Bootstrap
from node.replica.ledger import Ledger
from p2p.config import KnownValidator
from p2p.gossip import GossipMessage
from p2p.identity import peer_id_from_public_key
from p2p.limits import VALIDATORS_MAX
from p2p.network import Network
from primitives.errors import LimitExceeded, PeerError

log = logging.getLogger("omnibazaar.peers")


def find_known(
    bootstrap: Iterable[Bootstrap], state: Participation | None
) -> tuple[KnownValidator, ...]:
    """Return whom the transport lets in: members, coming members, others by stake, leavers last.

    One transport identity stands for one validator; of several that claim it the first has it.
    """
    places = {peer.peer_id: peer.multiaddrs for peer in bootstrap}
    found: dict[str, KnownValidator] = {}
    addresses: set[bytes] = set()
    for address, peer_id in _rank(tuple(bootstrap), state):
        if peer_id in found or address in addresses or len(found) >= VALIDATORS_MAX:
            continue
        addresses.add(address)
        found[peer_id] = KnownValidator(
            address=address, peer_id=peer_id, multiaddrs=places.get(peer_id, ())
        )
    return tuple(found.values())


def _rank(
    bootstrap: tuple[Bootstrap, ...], state: Participation | None
) -> Iterator[tuple[bytes, str]]:
    """Yield (hot key, peer id), the most important first."""
    first_ids = {peer.address_bytes: peer.peer_id for peer in bootstrap}
    if state is None:
        yield from first_ids.items()
        return
    register = state.register.by_owner
    for seat in (*state.seats, *(state.next_seats or ())):
        peer_id = _peer_id_of(register.get(seat.owner)) or first_ids.get(seat.hot_key)
        if peer_id is not None:
            yield seat.hot_key, peer_id
    # Who leaves comes last but is not cut off: it has to learn that it has no seat any more.
    for one in sorted(register.values(), key=lambda one: (one.is_leaving, -one.stake, one.owner)):
        peer_id = _peer_id_of(one) or first_ids.get(one.hot_key)
        if peer_id is not None:
            yield one.hot_key, peer_id


def _peer_id_of(validator: Validator | None) -> str | None:
    """Return the transport identity that a validator has registered, if it has one."""
    if validator is None or not any(validator.network_key):
        return None
    return peer_id_from_public_key(validator.network_key)


class Directory:
    """Watches the register for the transport, and tells others where we are."""

    def __init__(
        self,
        network: Network,
        ledger: Ledger,
        bootstrap: tuple[Bootstrap, ...],
        *,
        announce: tuple[str, ...],
        clock: NodeClock,
    ) -> None:
        """`announce` are multiaddrs; empty: where the network listens."""
        self._network = network
        self._ledger = ledger
        self._bootstrap = bootstrap
        self._announce = announce
        self._clock = clock
        self._known: tuple[KnownValidator, ...] = ()
        self._told = Announcements(allows_private=True)
        self._is_stale = True
        self._seats: object = None
        self._wanted = trio.Event()

    def on_executed(self, notes: Notes) -> None:
        """Look again after a block if it, or the one before it, changed who is who.

        Participation takes up a block's notes with the next block.
        """
        keeper = self._ledger.scorekeeper
        if keeper is None:
            return
        seats = (keeper.participation.seats, keeper.participation.next_seats)
        if self._is_stale or seats != self._seats:
            self.refresh()
        self._seats = seats
        self._is_stale = bool(notes.registry)

    def refresh(self) -> None:
        """Tell the transport who is a validator now."""
        keeper = self._ledger.scorekeeper
        known = find_known(self._bootstrap, None if keeper is None else keeper.participation)
        if known != self._known:
            self._known = known
            self._network.set_validators(known)
            log.info("%d validators are known", len(known))

    def on_connected(self) -> None:
        """Say where we are to whom we have just met, and through it to others."""
        self._wanted.set()

    async def run(self) -> None:
        """Announce our addresses now and then; learn those of others."""
        own = self._own_addresses()
        self._told.allows_private = any(is_private(address) for address in own)
        await self._network.subscribe(ANNOUNCE_TOPIC, self._on_gossip, self._is_worth_passing)
        while True:
            with trio.move_on_after(ANNOUNCE_S):
                await self._wanted.wait()
            self._wanted = trio.Event()
            if own:
                await self._publish(own)
            await trio.sleep(ANNOUNCE_SPACING_S)

    async def _publish(self, own: tuple[str, ...]) -> None:
        try:
            data = encode_announcement(self._clock.now_ms(), own)
            await self._network.publish(ANNOUNCE_TOPIC, data)
        except LimitExceeded as error:
            log.debug("our addresses were not announced: %s", error)

    def _is_worth_passing(self, origin: str, data: bytes) -> bool:
        """Tell whether others should get it: what a validator says, and not more than an address
        book."""
        return len(data) <= ANNOUNCE_BYTES_MAX and self._network.is_validator(origin)

    async def _on_gossip(self, message: GossipMessage) -> None:
        if message.validator is None:
            return
        try:
            addresses = self._told.take(message.origin, message.data, self._clock.now_ms())
        except PeerError as error:
            log.debug("an announcement of %s was refused: %s", message.origin, error)
            return
        if addresses:
            self._network.learn(message.origin, addresses)

    def _own_addresses(self) -> tuple[str, ...]:
        """Return where others can dial us: not an address that stands for all of them."""
        addresses = self._announce or self._network.listen_addresses
        return tuple(one for one in addresses if not is_unspecified(one))
