"""Bring two nodes to the same history: compare digests, ask for the hours that differ.

Rule: every frame stands alone, so no state is kept between frames and a peer can only cost what its
frames cost; what it sends is verified like any other message.
Spec: docs/spec/chat.md (History). Deviations: none.

    A → B  Feeds    a digest of every feed
    B → A  Hours    for each feed that differs, a digest of every hour
    A → B  Want     for each hour that differs, all messages after a place
    B → A  Page     the messages in order; if there are more, A asks again from the last place
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from chat import limits
from chat.envelope import Envelope, compute_id
from chat.payload import Room, RoomMessage, TimeMs, decode_payload
from chat.store import PREKEY_FEED, ChatStore
from primitives.codec import decode, encode
from primitives.errors import InvalidMessage

Digest = Annotated[bytes, Meta(min_length=limits.DIGEST_BYTES, max_length=limits.DIGEST_BYTES)]
Hour = Annotated[int, Meta(ge=0, le=limits.TIME_MS_MAX // limits.HOUR_MS)]
PlaceId = Annotated[bytes, Meta(max_length=limits.ID_BYTES)]


class Frame(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Root of the frames."""


class Feeds(Frame, frozen=True, tag=1):
    """Digests of what the sender holds in each feed since `from_ms`."""

    from_ms: TimeMs
    digests: Annotated[tuple[tuple[Room, Digest], ...], Meta(max_length=limits.ROOMS_MAX + 2)]


class Hours(Frame, frozen=True, tag=2):
    """Digests of the sender's hours in one feed since `from_ms`."""

    from_ms: TimeMs
    feed: Room
    digests: Annotated[tuple[tuple[Hour, Digest], ...], Meta(max_length=limits.SYNC_HOURS_MAX)]


class Want(Frame, frozen=True, tag=3):
    """Ask for the messages of one hour after (lamport, id)."""

    feed: Room
    hour: Hour
    lamport: TimeMs
    after: PlaceId


class Page(Frame, frozen=True, tag=4):
    """Messages of one hour in order; `has_more` if the hour goes on after the last one."""

    feed: Room
    hour: Hour
    has_more: bool
    envelopes: Annotated[tuple[Envelope, ...], Meta(max_length=limits.SYNC_PAGE_MESSAGES_MAX)]


AnyFrame = Feeds | Hours | Want | Page
_SCHEMA: Final[Any] = AnyFrame


def encode_frame(frame: AnyFrame) -> bytes:
    """Return a frame's bytes."""
    return encode(frame)


def decode_frame(data: bytes) -> AnyFrame:
    """Read a frame. Raises PeerError."""
    frame: AnyFrame = decode(data, _SCHEMA, max_bytes=limits.SYNC_FRAME_BYTES_MAX)
    return frame


def compute_feeds(store: ChatStore, feeds: Iterable[str], from_ms: int) -> Feeds:
    """Compute what opens a comparison."""
    return Feeds(from_ms, tuple((feed, _digest(store, feed, from_ms)) for feed in feeds))


def answer_feeds(store: ChatStore, feeds: Sequence[str], frame: Feeds) -> tuple[Hours, ...]:
    """Answer with the hours of every feed that differs."""
    theirs = dict(frame.digests)
    answers = []
    for feed in feeds:
        if feed in theirs and theirs[feed] != _digest(store, feed, frame.from_ms):
            hours = store.hour_digests(feed, _start_ms(store, feed, frame.from_ms))
            newest = tuple(hours.items())[-limits.SYNC_HOURS_MAX :]
            answers.append(Hours(frame.from_ms, feed, newest))
    return tuple(answers)


def answer_hours(store: ChatStore, frame: Hours) -> tuple[Want, ...]:
    """Answer with a wish for every hour that differs, the newest first."""
    start_ms = _start_ms(store, frame.feed, frame.from_ms)
    ours = store.hour_digests(frame.feed, start_ms)
    wants = [
        Want(frame.feed, hour, 0, b"")
        for hour, digest in sorted(frame.digests, reverse=True)
        if hour * limits.HOUR_MS >= start_ms and ours.get(hour) != digest
    ]
    return tuple(wants[: limits.SYNC_WANTS_MAX])


def answer_want(store: ChatStore, frame: Want) -> Page:
    """Answer with as many messages as fit one frame."""
    start = max((frame.lamport, frame.after), (frame.hour * limits.HOUR_MS, b""))
    end = (frame.hour + 1) * limits.HOUR_MS
    rows = store.after(frame.feed, start, end, limits.SYNC_PAGE_MESSAGES_MAX + 1)
    envelopes: list[Envelope] = []
    size = 0
    for row in rows[: limits.SYNC_PAGE_MESSAGES_MAX]:
        size += len(row.payload) + limits.SIGNATURE_BYTES + 8
        if size > limits.SYNC_PAGE_BYTES_MAX:
            break
        envelopes.append(row.envelope)
    return Page(frame.feed, frame.hour, len(envelopes) < len(rows), tuple(envelopes))


def compute_next(page: Page, domain: bytes) -> Want:
    """Compute the wish for what follows a page. Raises PeerError if the page left its hour."""
    last = page.envelopes[-1].payload
    payload = decode_payload(last)
    lamport = payload.lamport if isinstance(payload, RoomMessage) else payload.time_ms
    if lamport // limits.HOUR_MS != page.hour:
        raise InvalidMessage("a page holds messages of another hour")
    return Want(page.feed, page.hour, lamport, compute_id(domain, last))


def horizon_ms(now_ms: int) -> int:
    """Return the start of what is compared: whole hours that nobody is about to prune."""
    hour = (now_ms - limits.RETENTION_MS) // limits.HOUR_MS + 1
    return max(0, hour * limits.HOUR_MS)


def _start_ms(store: ChatStore, feed: str, from_ms: int) -> int:
    """Bundles live longer than messages; a full room knows nothing below its floor."""
    if feed == PREKEY_FEED:
        from_ms = max(0, from_ms + limits.RETENTION_MS - limits.PREKEY_LIFETIME_MS_MAX)
    return max(from_ms, store.floor_ms(feed))


def _digest(store: ChatStore, feed: str, from_ms: int) -> bytes:
    return store.feed_digest(feed, _start_ms(store, feed, from_ms))
