"""A few chat services joined by queues, with virtual time and chosen delivery order.

Rule: nothing here waits; a test decides what is delivered, lost or repeated.
Spec: docs/spec/chat.md. Deviations: none.
"""

from __future__ import annotations

from collections import deque

from chat.envelope import Directory, Envelope, OpenDirectory, Verified, encode_envelope, sign
from chat.payload import RoomMessage
from chat.service import TOPIC, ChatService
from chat.store import ChatStore
from primitives.eip712 import network_domain
from primitives.errors import PeerError
from primitives.secp256k1 import PrivateKey

DOMAIN = network_domain(b"\x07" * 32)
START_MS = 1_790_000_000_000
ALICE = PrivateKey(b"\x01" * 32)
BOB = PrivateKey(b"\x02" * 32)
CAROL = PrivateKey(b"\x03" * 32)


def message(
    key: PrivateKey = ALICE,
    text: str = "hello",
    *,
    room: str = "lobby",
    time_ms: int = START_MS,
    ahead_ms: int = 0,
    author: bytes | None = None,
    domain: bytes = DOMAIN,
) -> RoomMessage:
    """Build a room message; its author is the key unless said otherwise."""
    return RoomMessage(
        domain=domain,
        author=author or key.address,
        time_ms=time_ms,
        delegation=None,
        lamport=time_ms + ahead_ms,
        room=room,
        text=text,
    )


def signed(key: PrivateKey = ALICE, text: str = "hello", **fields: object) -> Envelope:
    """Build and sign a room message."""
    return sign(message(key, text, **fields), key)


def gossip(envelope: Envelope) -> bytes:
    """Return what gossip carries."""
    return encode_envelope(envelope)


class Peer:
    """One node's chat with an open outbox."""

    def __init__(
        self, name: bytes, directory: Directory | None = None, store: ChatStore | None = None
    ) -> None:
        self.name = name
        self.published: list[bytes] = []
        self.frames: deque[tuple[bytes, bytes]] = deque()
        self.announced: list[Verified] = []
        self.errors: list[PeerError] = []
        self.store = store or ChatStore(":memory:")
        self.service = ChatService(
            domain=DOMAIN,
            rooms=lambda: ("WETH-USDX", "XOM-USDX"),
            store=self.store,
            directory=directory or OpenDirectory(),
            publish=lambda _topic, data: self.published.append(data),
            send=lambda peer, frame: self.frames.append((peer, frame)),
            announce=self.announced.append,
        )

    def post(self, envelope: Envelope, now_ms: int = START_MS) -> Verified:
        return self.service.post(envelope.payload, envelope.signature, now_ms)

    def hear(self, data: bytes, now_ms: int = START_MS) -> bool:
        return self.service.on_gossip(TOPIC, data, now_ms)

    def texts(self, room: str = "lobby") -> list[str]:
        from chat.payload import decode_payload

        return [decode_payload(item.payload).text for item in self.service.history(room, 500)]


def sync(a: Peer, b: Peer, now_ms: int = START_MS) -> int:
    """Let `a` compare with `b` and both answer until silence; return the number of frames."""
    a.service.start_sync(b.name, now_ms)
    frames = 0
    while a.frames or b.frames:
        sender, receiver = (a, b) if a.frames else (b, a)
        _, frame = sender.frames.popleft()
        frames += 1
        try:
            receiver.service.on_frame(sender.name, frame, now_ms)
        except PeerError as error:
            receiver.errors.append(error)
    return frames


def history(peer: Peer) -> list[tuple[str, bytes]]:
    """Return everything a peer holds in its rooms, in order."""
    return [
        (room, item.id) for room in peer.service.feeds for item in peer.service.history(room, 500)
    ]
