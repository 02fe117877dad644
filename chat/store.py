"""Keep signed messages in SQLite, ordered and bounded.

Rule: which messages of one author survive depends only on which were seen, never on their order of
arrival; so all nodes end with the same history. Called from one thread.
Spec: docs/spec/chat.md (What is kept). Deviations: none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from chat import limits
from chat.envelope import Envelope, Verified
from chat.hours import Hours
from chat.payload import DirectMessage, RoomMessage
from primitives.errors import ConfigError
from primitives.keccak import keccak256

SCHEMA_VERSION: Final = 1
DIRECT_FEED: Final = "direct"
PREKEY_FEED: Final = "prekeys"
RESERVED_FEEDS: Final = frozenset((DIRECT_FEED, PREKEY_FEED))

_COLUMNS: Final = "feed, lamport, id, author, target, time_ms, payload, signature"
_NEWEST: Final = (limits.TIME_MS_MAX + 1, b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One stored message of a feed."""

    feed: str  # a room's name, DIRECT_FEED or PREKEY_FEED
    lamport: int  # milliseconds; the order is (lamport, id)
    id: bytes
    author: bytes
    target: bytes  # recipient of a direct message, otherwise empty
    time_ms: int  # the author's clock
    payload: bytes
    signature: bytes

    @property
    def envelope(self) -> Envelope:
        """The bytes as their author signed them."""
        return Envelope(self.payload, self.signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSummary:
    """How much a feed holds."""

    feed: str
    messages: int
    last_ms: int  # author's clock of the last message; 0 without one


def to_item(verified: Verified) -> Item:
    """Return the row of a verified message."""
    payload = verified.payload
    if isinstance(payload, RoomMessage):
        feed, lamport, target = payload.room, payload.lamport, b""
    elif isinstance(payload, DirectMessage):
        feed, lamport, target = DIRECT_FEED, payload.time_ms, payload.to
    else:
        feed, lamport, target = PREKEY_FEED, payload.time_ms, b""
    return Item(
        feed=feed,
        lamport=lamport,
        id=verified.id,
        author=payload.author,
        target=target,
        time_ms=payload.time_ms,
        payload=verified.envelope.payload,
        signature=verified.envelope.signature,
    )


class ChatStore:
    """The database of one node."""

    def __init__(self, path: Path | str) -> None:
        """Open or create the database; `":memory:"` for one that lives with the process.

        Raises ConfigError for a database of a newer version.
        """
        # The API's worker thread and the event loop may be different ones, never at once.
        self._connection = sqlite3.connect(str(path), isolation_level=None, check_same_thread=False)
        self._database = Database(self._connection)
        self._hours = Hours()
        self._room_messages_max = limits.ROOM_MESSAGES_MAX
        self._migrate()
        self._load_counts()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _migrate(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise ConfigError(
                f"the chat database has schema {version}, this program knows {SCHEMA_VERSION}",
                code="CHAT_SCHEMA",
                fix="start the newer program again, or move the chat database away",
                exit_code=13,
            )
        # NORMAL: a killed process loses nothing; a power cut may lose the last moments, and those
        # come back from other nodes.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if version == SCHEMA_VERSION:
            return
        self._connection.execute(
            "CREATE TABLE items (feed TEXT, lamport INTEGER, id BLOB, author BLOB, target BLOB,"
            " time_ms INTEGER, payload BLOB, signature BLOB,"
            " PRIMARY KEY (feed, lamport, id)) WITHOUT ROWID"
        )
        items = self._database["items"]
        items.create_index(["id"], unique=True)
        items.create_index(["feed", "author", "time_ms"])
        items.create_index(["target", "time_ms"])
        self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _load_counts(self) -> None:
        rows = self._connection.execute(
            "SELECT feed, lamport / ?, count(*) FROM items GROUP BY 1, 2", (limits.HOUR_MS,)
        )
        self._hours.load(rows.fetchall())

    def share_rooms(self, rooms: int) -> None:
        """Divide what all rooms may hold among this many."""
        fair = limits.ROOMS_MESSAGES_MAX // max(1, rooms)
        self._room_messages_max = min(limits.ROOM_MESSAGES_MAX, fair)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")  # where a full disk may show
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._load_counts()
            raise

    # Writing

    def add(self, item: Item) -> bool:
        """Keep a message; False if it is known or its author's or feed's share is used up."""
        if self.has(item.id):
            return False
        with self._transaction():
            if item.feed == PREKEY_FEED:
                kept = self._make_room_for_bundle(item)
            else:
                kept = self._make_room_for_message(item)
            if kept:
                self._insert(item)
        assert self.has(item.id) == kept, "an item is stored exactly if it was kept"
        return kept

    def _insert(self, item: Item) -> None:
        values = (item.feed, item.lamport, item.id, item.author, item.target, item.time_ms)
        self._connection.execute(
            f"INSERT INTO items ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, item.payload, item.signature),
        )
        self._hours.add(item.feed, item.lamport, 1)

    def _delete(self, feed: str, lamport: int, item_id: bytes) -> None:
        self._connection.execute(
            "DELETE FROM items WHERE feed = ? AND lamport = ? AND id = ?", (feed, lamport, item_id)
        )
        self._hours.add(feed, lamport, -1)

    def _make_room_for_bundle(self, item: Item) -> bool:
        """Keep only the newest bundle of an owner, the one with the highest (time, id)."""
        rows = self._rows("feed = ? AND author = ?", (PREKEY_FEED, item.author))
        if any((row.lamport, row.id) > (item.lamport, item.id) for row in rows):
            return False
        if not rows and self.count(PREKEY_FEED) >= limits.PREKEYS_MAX:
            return False
        for row in rows:
            self._delete(row.feed, row.lamport, row.id)
        return True

    def _make_room_for_message(self, item: Item) -> bool:
        """Keep an author's first messages of each minute, then the bounds of the feed."""
        is_direct = item.feed == DIRECT_FEED
        most = limits.AUTHOR_DIRECT_MINUTE_MAX if is_direct else limits.AUTHOR_ROOM_MINUTE_MAX
        minute = item.time_ms // limits.MINUTE_MS * limits.MINUTE_MS
        rows = self._rows(
            "feed = ? AND author = ? AND time_ms >= ? AND time_ms < ?",
            (item.feed, item.author, minute, minute + limits.MINUTE_MS),
        )
        if len(rows) >= most:
            last = max(rows, key=lambda row: (row.lamport, row.id))
            if (last.lamport, last.id) < (item.lamport, item.id):
                return False
            self._delete(last.feed, last.lamport, last.id)
        return self._make_room_in_inbox(item) if is_direct else self._make_room_in_room(item)

    def _make_room_in_room(self, item: Item) -> bool:
        """A full room loses its oldest message; more of them when its part has become smaller."""
        extra = self.count(item.feed) + 1 - self._room_messages_max
        if extra <= 0:
            return True
        oldest = self._connection.execute(
            "SELECT lamport, id FROM items WHERE feed = ? ORDER BY lamport, id LIMIT ?",
            (item.feed, min(extra, limits.PRUNE_STEP_MESSAGES)),
        ).fetchall()
        if (item.lamport, item.id) < oldest[0]:
            return False
        for lamport, item_id in oldest:
            self._delete(item.feed, lamport, item_id)
        return True

    def _make_room_in_inbox(self, item: Item) -> bool:
        """Nobody can push another sender's messages out of an inbox, only their own oldest ones."""
        if self.count(DIRECT_FEED) >= limits.DIRECT_MESSAGES_MAX:
            return False
        where = "feed = ? AND target = ? AND author = ?"
        values = (DIRECT_FEED, item.target, item.author)
        execute = self._connection.execute
        held = execute(f"SELECT count(*) FROM items WHERE {where}", values).fetchone()[0]
        if held < limits.AUTHOR_INBOX_MAX:
            return True
        lamport, item_id = execute(
            f"SELECT lamport, id FROM items WHERE {where} ORDER BY lamport, id LIMIT 1", values
        ).fetchone()
        if (item.lamport, item.id) < (lamport, item_id):
            return False
        self._delete(item.feed, lamport, item_id)
        return True

    def prune(self, now_ms: int) -> int:
        """Delete some of what is past its time; return how many messages that were.

        Call again at once while it is PRUNE_STEP_MESSAGES.
        """
        deleted = 0
        with self._transaction():
            for feed in self._hours.feeds():
                is_bundle = feed == PREKEY_FEED
                kept_ms = limits.PREKEY_LIFETIME_MS_MAX if is_bundle else limits.RETENTION_MS
                oldest = now_ms - kept_ms
                rows = self._connection.execute(
                    "SELECT lamport, id FROM items WHERE feed = ? AND lamport < ? AND time_ms < ?"
                    " LIMIT ?",
                    (
                        feed,
                        oldest + limits.LAMPORT_AHEAD_MS_MAX,
                        oldest,
                        limits.PRUNE_STEP_MESSAGES - deleted,
                    ),
                ).fetchall()
                for lamport, item_id in rows:
                    self._delete(feed, lamport, item_id)
                deleted += len(rows)
        return deleted

    # Reading

    def has(self, item_id: bytes) -> bool:
        """Tell whether a message is stored."""
        row = self._connection.execute("SELECT 1 FROM items WHERE id = ?", (item_id,)).fetchone()
        return row is not None

    def count(self, feed: str) -> int:
        """Return how many messages a feed holds."""
        return self._hours.count(feed)

    def count_all(self) -> int:
        """Return how many messages the node holds, prekey bundles not counted."""
        feeds = self._hours.feeds()
        return sum(self._hours.count(feed) for feed in feeds if feed != PREKEY_FEED)

    def count_minute(self, feed: str, author: bytes, time_ms: int) -> int:
        """Return how many messages of an author a feed holds for the minute of `time_ms`."""
        minute = time_ms // limits.MINUTE_MS * limits.MINUTE_MS
        row = self._connection.execute(
            "SELECT count(*) FROM items WHERE feed = ? AND author = ? AND time_ms >= ?"
            " AND time_ms < ?",
            (feed, author, minute, minute + limits.MINUTE_MS),
        )
        return int(row.fetchone()[0])

    def summary(self, feed: str) -> FeedSummary:
        """Return size and age of a feed."""
        row = self._connection.execute(
            "SELECT time_ms FROM items WHERE feed = ? ORDER BY lamport DESC, id DESC LIMIT 1",
            (feed,),
        ).fetchone()
        return FeedSummary(
            feed=feed, messages=self.count(feed), last_ms=row[0] if row is not None else 0
        )

    def before(self, feed: str, place: tuple[int, bytes] | None, limit: int) -> tuple[Item, ...]:
        """Return the last messages before a place (None = the end), oldest first."""
        rows = self._rows(
            "feed = ? AND (lamport, id) < (?, ?) ORDER BY lamport DESC, id DESC LIMIT ?",
            (feed, *(place or _NEWEST), min(limit, limits.PAGE_MESSAGES_MAX)),
        )
        return tuple(reversed(rows))

    def after(
        self, feed: str, place: tuple[int, bytes], before_lamport: int, limit: int
    ) -> tuple[Item, ...]:
        """Return the first messages after a place and below a Lamport time, oldest first."""
        rows = self._rows(
            "feed = ? AND (lamport, id) > (?, ?) AND lamport < ? ORDER BY lamport, id LIMIT ?",
            (feed, *place, before_lamport, limit),
        )
        return tuple(rows)

    def inbox(self, address: bytes, after_ms: int, limit: int) -> tuple[Item, ...]:
        """Return direct messages to an address newer than `after_ms`, oldest first."""
        rows = self._rows(
            "target = ? AND time_ms > ? ORDER BY time_ms, id LIMIT ?",
            (address, after_ms, min(limit, limits.PAGE_MESSAGES_MAX)),
        )
        return tuple(rows)

    def bundle(self, owner: bytes) -> Item | None:
        """Return the newest prekey bundle of an owner."""
        rows = self._rows("feed = ? AND author = ?", (PREKEY_FEED, owner))
        assert len(rows) <= 1, "an older bundle was not replaced"
        return rows[0] if rows else None

    def floor_ms(self, feed: str) -> int:
        """Return the Lamport time below which a full room forgets messages; 0 if it is not full."""
        if self.count(feed) < self._room_messages_max or feed in RESERVED_FEEDS:
            return 0
        row = self._connection.execute("SELECT min(lamport) FROM items WHERE feed = ?", (feed,))
        return int(row.fetchone()[0])

    def hour_digests(self, feed: str, from_ms: int) -> dict[int, bytes]:
        """Return a digest of the message ids of each hour from `from_ms` on, in order."""
        return self._hours.digests(feed, _first_hour(from_ms), self._compute_digest)

    def feed_digest(self, feed: str, from_ms: int) -> bytes:
        """Return a digest of the hours from `from_ms` on; zero when there are none."""
        return self._hours.digest(feed, _first_hour(from_ms), self._compute_digest)

    def _compute_digest(self, feed: str, hour: int) -> bytes:
        rows = self._connection.execute(
            "SELECT id FROM items WHERE feed = ? AND lamport >= ? AND lamport < ?"
            " ORDER BY lamport, id",
            (feed, hour * limits.HOUR_MS, (hour + 1) * limits.HOUR_MS),
        )
        return keccak256(b"".join(row[0] for row in rows))[: limits.DIGEST_BYTES]

    def _rows(self, where: str, values: tuple[object, ...]) -> list[Item]:
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM items WHERE {where}", values)
        return [
            Item(
                feed=row[0],
                lamport=row[1],
                id=row[2],
                author=row[3],
                target=row[4],
                time_ms=row[5],
                payload=row[6],
                signature=row[7],
            )
            for row in rows
        ]


def _first_hour(from_ms: int) -> int:
    """Return the first whole hour at or after a time."""
    return -(-from_ms // limits.HOUR_MS)
