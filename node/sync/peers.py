"""Ask peers what a node that catches up needs to know, one after the other or all at once.

Rule: no answer is believed here; a peer that does not answer, or answers something else, costs its
time limit and nothing more.
Spec: docs/spec/state-sync.md (Messages). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import trio

from node.limits import SYNC_PEERS_MAX
from node.sync.messages import Answer, GetOffer, Item, Offer, decode_answer, encode
from p2p.network import Network
from primitives.errors import NodeError, PeerError, TransientError

log = logging.getLogger("omnibazaar.sync")
T = TypeVar("T", bound=Item)
V = TypeVar("V")


class Peers(Protocol):
    """Whom we can ask; implemented over `p2p.network.Network`."""

    def near(self) -> Sequence[str]:
        """Return the peers that are connected now."""
        ...

    def address(self, peer: str) -> bytes | None:
        """Return the validator behind a peer, if it is one."""
        ...

    async def ask(self, peer: str, request: bytes) -> bytes:
        """Return a peer's answer. Raises NodeError."""
        ...


class NetworkPeers:
    """The connected validators, then the observers."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def near(self) -> Sequence[str]:
        validators = [peer.peer_id for peer in self._network.peers() if peer.connected]
        return (validators + list(self._network.observers()))[:SYNC_PEERS_MAX]

    def address(self, peer: str) -> bytes | None:
        found = (one.address for one in self._network.peers() if one.peer_id == peer)
        return next(found, None)

    async def ask(self, peer: str, request: bytes) -> bytes:
        return await self._network.request(peer, request)


async def ask_for(peers: Peers, peer: str, request: Item, kind: type[T]) -> T:
    """Return one peer's answer of a kind. Raises NodeError."""
    answer: Answer = decode_answer(await peers.ask(peer, encode(request)))
    if not isinstance(answer, kind):
        raise TransientError(f"{peer} has not got it")
    return answer


async def ask_any(
    peers: Peers,
    request: Item,
    kind: type[T],
    use: Callable[[T], V],
    *,
    first: str = "",
) -> V:
    """Return what `use` makes of the first answer that it accepts, `first` being asked first.

    `use` refuses an answer by raising PeerError. Raises TransientError when nobody helps.
    """
    order = sorted(peers.near(), key=lambda peer: peer != first)
    for peer in order:
        try:
            return use(await ask_for(peers, peer, request, kind))
        except PeerError as error:
            log.warning("%s answered something that does not hold: %s", peer, error)
        except NodeError as error:
            log.debug("%s: %s", peer, error)
    raise TransientError(f"no peer gave a valid {kind.__name__.lower()}")


async def gather_offers(peers: Peers) -> dict[str, Offer]:
    """Ask everybody at once where they are."""
    found: dict[str, Offer] = {}

    async def ask(peer: str) -> None:
        try:
            found[peer] = await ask_for(peers, peer, GetOffer(), Offer)
        except NodeError as error:
            log.debug("%s makes no offer: %s", peer, error)

    await run_all([lambda peer=peer: ask(peer) for peer in peers.near()])  # type: ignore[misc]
    return found


async def run_all(calls: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Run calls side by side."""
    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(call)
