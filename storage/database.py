"""Open a SQLite database, bring its schema up to date and name its failures.

Rule: every SQLite error leaves this room as one of the node's own errors, with a text that says
what to do; a schema newer than the program is refused, never touched.
Spec: docs/spec/storage.md#databases; docs/adr/0366-sqlite-syncs-itself.md
Deviations: none.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from primitives.errors import NodeError, OperatorError, TransientError
from storage import limits

Migration = Callable[[Database], None]

SCHEMA_EXIT_CODE: Final = 13
UNSAFE_HOST_EXIT_CODE: Final = 15

FULL = frozenset({sqlite3.SQLITE_FULL})
BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
REFUSED = frozenset(
    {
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
    }
)


def name_failure(error: sqlite3.Error, path: str) -> NodeError:
    """Return the node's error for a SQLite failure on the database at `path`."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    text = f"{path}: {error}"
    if code in FULL:
        return TransientError(f"disk full: {text}. Free space; writing goes on by itself")
    if code in BUSY:
        return TransientError(f"database busy: {text}")
    if code in DAMAGED:
        return OperatorError(
            f"database damaged: {text}",
            code="DSK005",
            fix="stop the node, move the file away and start again: it is rebuilt from the network",
            exit_code=UNSAFE_HOST_EXIT_CODE,
        )
    if code in REFUSED:
        return OperatorError(
            f"database cannot be written: {text}",
            code="DSK004",
            fix="check that the disk is mounted read-write and that the directory belongs to you",
            exit_code=UNSAFE_HOST_EXIT_CODE,
        )
    return TransientError(f"disk error: {text}. Check the disk; the write is tried again")


@contextlib.contextmanager
def failures_named(path: str) -> Iterator[None]:
    """Turn SQLite's errors into the node's; a failed constraint is our bug and passes through."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
        raise
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            raise  # a statement that SQLite does not understand is our bug too
        raise name_failure(error, path) from error


@contextlib.contextmanager
def transaction(database: Database, path: str) -> Iterator[None]:
    """Run the body as one transaction, all or nothing. Raises TransientError, OperatorError."""
    with failures_named(path):
        database.conn.execute("BEGIN IMMEDIATE")
        try:
            yield
            database.conn.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled back already; what is left is undone here.
            if database.conn.in_transaction:
                database.conn.execute("ROLLBACK")
            raise


def open_database(
    path: Path | str, migrations: Sequence[Migration], *, page_size_bytes: int = 4_096
) -> Database:
    """Open for writing: WAL, newest schema. Raises TransientError, OperatorError."""
    name = str(path)
    with failures_named(name):
        connection = sqlite3.connect(
            name, check_same_thread=False, timeout=limits.BUSY_TIMEOUT_MS / 1000
        )
        try:
            connection.isolation_level = None
            database = Database(connection, execute_plugins=False, recursive_triggers=False)
            connection.execute(f"PRAGMA page_size={page_size_bytes}")
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA foreign_keys=OFF")
            connection.execute("PRAGMA secure_delete=OFF")
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute(f"PRAGMA cache_size={-limits.CACHE_KIB}")
            connection.execute(f"PRAGMA journal_size_limit={limits.WAL_BYTES_KEPT}")
            pages = limits.WAL_BYTES_PER_CHECKPOINT // page_size_bytes
            connection.execute(f"PRAGMA wal_autocheckpoint={pages}")
            migrate(database, migrations, name)
        except BaseException:
            connection.close()
            raise
        return database


def open_reader(path: Path | str) -> Database:
    """Open an existing database for reading only. Raises TransientError, OperatorError."""
    name = str(path)
    with failures_named(name):
        uri = f"{Path(path).absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(
            uri, uri=True, check_same_thread=False, timeout=limits.BUSY_TIMEOUT_MS / 1000
        )
        connection.isolation_level = None
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute(f"PRAGMA cache_size={-limits.READ_CACHE_KIB}")
        return Database(connection, execute_plugins=False, recursive_triggers=False)


def sync_database(database: Database, path: str) -> None:
    """Have everything committed so far survive a power cut. Raises TransientError, OperatorError.

    SQLite itself syncs its log, by a commit that changes nothing but the file's header. Never open
    and close the file beside it: that would take away SQLite's locks in this process, and whoever
    looks into the file then deletes the log that is still written to.
    """
    with failures_named(path):
        database.conn.execute("PRAGMA synchronous=FULL")
        try:
            with transaction(database, path):
                database.conn.execute(f"PRAGMA user_version={get_version(database)}")
        finally:
            database.conn.execute("PRAGMA synchronous=NORMAL")


def migrate(database: Database, migrations: Sequence[Migration], path: str) -> None:
    """Apply what is missing, each step in one transaction with its number (`user_version`)."""
    version = get_version(database)
    if version > len(migrations):
        raise OperatorError(
            f"{path} has schema {version}, this program knows {len(migrations)}",
            code="DSK006",
            fix="run the newer version of omnibazaar again, or move the file away",
            exit_code=SCHEMA_EXIT_CODE,
        )
    for number in range(version + 1, len(migrations) + 1):
        with transaction(database, path):
            migrations[number - 1](database)
            database.conn.execute(f"PRAGMA user_version={number}")
    assert get_version(database) == len(migrations), "every migration leaves its number"


def get_version(database: Database) -> int:
    """Return the schema version of a database; 0 = new."""
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def get_size_bytes(database: Database) -> int:
    """Return the bytes in use: pages of the file without the free ones."""
    pages = int(database.execute("PRAGMA page_count").fetchone()[0])
    free = int(database.execute("PRAGMA freelist_count").fetchone()[0])
    return (pages - free) * int(database.execute("PRAGMA page_size").fetchone()[0])


def is_sound(database: Database) -> bool:
    """Tell whether SQLite's own quick check finds nothing."""
    return bool(database.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
