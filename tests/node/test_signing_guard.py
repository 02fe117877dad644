"""The signing history survives everything, belongs to one key, and is never begun anew silently.

Rule: a node whose history is gone or damaged stops with exit code 11.
Spec: docs/spec/consensus.md (Guard); docs/spec/wire-consensus.md (Guard database).
Deviations: none.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.guard import Guard
from consensus.vote import Kind
from node.keys.signing_guard import SigningGuard, verify_guard_present
from primitives.errors import GuardMissing, TransientError, WouldEquivocate

ME = b"\x01" * 20
LOST = 11


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "signing.sqlite"


def sign(guard: Guard, view: int, kind: Kind = Kind.NOTARIZE, number: int = 1) -> bytes:
    record = guard.admit(1, view, kind, digest(number))
    assert record is not None
    return record


def reload(path: Path) -> Guard:
    database = SigningGuard(path, ME)
    guard = database.load()
    database.close()
    return guard


def fill(path: Path, views: int) -> None:
    database, guard = SigningGuard(path, ME), Guard()
    database.save([sign(guard, view) for view in range(1, views + 1)])
    database.close()


def test_a_new_guard_is_empty(path: Path) -> None:
    assert reload(path).signed() == {}


def test_what_was_saved_is_refused_after_a_restart(path: Path) -> None:
    database, guard = SigningGuard(path, ME), Guard()
    database.save([sign(guard, 5), sign(guard, 6, Kind.NULLIFY)])
    database.save([sign(guard, 7)])
    database.close()
    again = reload(path)
    assert again.signed() == guard.signed()
    with pytest.raises(WouldEquivocate):
        again.admit(1, 5, Kind.NOTARIZE, digest(2))
    with pytest.raises(WouldEquivocate):
        again.admit(1, 6, Kind.FINALIZE, digest(1))
    assert again.admit(1, 7, Kind.NOTARIZE, digest(1)) is None


def test_another_keys_guard_is_refused(path: Path) -> None:
    SigningGuard(path, ME).close()
    with pytest.raises(GuardMissing, match="another validator key") as caught:
        SigningGuard(path, b"\x02" * 20)
    assert caught.value.exit_code == LOST


@pytest.mark.parametrize(
    "damage", [b"this is no database" * 50, b"SQLite format 3\0" + b"\xff" * 999]
)
def test_a_damaged_file_stops_the_node(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    with pytest.raises(GuardMissing) as caught:
        SigningGuard(path, ME)
    assert caught.value.exit_code == LOST


def test_a_file_of_another_schema_is_refused(path: Path) -> None:
    SigningGuard(path, ME).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(GuardMissing, match="schema 99"):
        SigningGuard(path, ME)


def test_a_record_that_cannot_be_read_stops_the_node(path: Path) -> None:
    fill(path, 3)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE records SET record = x'c1' WHERE id = 2")
    connection.close()
    with pytest.raises(GuardMissing) as caught:
        reload(path)
    assert caught.value.exit_code == LOST


def test_a_damaged_page_stops_the_node_wherever_it_lies(path: Path) -> None:
    fill(path, 400)
    whole = path.read_bytes()
    with sqlite3.connect(path) as connection:
        page = connection.execute("PRAGMA page_size").fetchone()[0]
        root = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'records'"
        ).fetchone()[0]
    connection.close()
    start = (root - 1) * page
    path.write_bytes(whole[:start] + b"\xff" * page + whole[start + page :])
    with pytest.raises(GuardMissing) as caught:
        reload(path)
    assert caught.value.exit_code == LOST


def test_a_node_that_has_voted_and_lost_its_guard_stops(path: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    verify_guard_present(path, journal)
    journal.mkdir()
    verify_guard_present(path, journal)
    (journal / "00000001.log").touch()
    with pytest.raises(GuardMissing, match="is missing") as caught:
        verify_guard_present(path, journal)
    assert caught.value.exit_code == LOST
    SigningGuard(path, ME).close()
    verify_guard_present(path, journal)


def test_a_guard_that_was_emptied_counts_as_lost(path: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.mkdir()
    (journal / "00000001.log").touch()
    path.touch()
    with pytest.raises(GuardMissing):
        verify_guard_present(path, journal)


def test_a_floor_deletes_what_lies_below_it_and_nothing_else(path: Path) -> None:
    database, guard = SigningGuard(path, ME), Guard()
    database.save([sign(guard, view) for view in range(1, 11)])
    floor = guard.raise_floor(1, 6)
    assert floor is not None
    database.save([floor, sign(guard, 11)])
    again = database.load()
    assert again.floor == (1, 6)
    assert again.signed() == guard.signed()
    assert sorted(view for _, view in again.signed()) == [7, 8, 9, 10, 11]
    database.close()
    with sqlite3.connect(path) as connection:
        views = [row[0] for row in connection.execute("SELECT view FROM records ORDER BY view")]
    connection.close()
    assert views == [6, 6, 7, 8, 9, 10, 11]


def test_an_older_epochs_rows_lie_below_a_newer_epochs_floor(path: Path) -> None:
    database, guard = SigningGuard(path, ME), Guard()
    database.save([sign(guard, 900)])
    floor = guard.raise_floor(2, 1)
    assert floor is not None
    database.save([floor])
    assert database.load().floor == (2, 1)
    assert database.load().signed() == {}
    database.close()


def test_a_full_disk_is_reported_and_the_same_records_can_be_saved_later(path: Path) -> None:
    database, guard = SigningGuard(path, ME), Guard()
    connection = database._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages}")
    records = [sign(guard, view) for view in range(1, 401)]
    with pytest.raises(TransientError):
        database.save(records)
    assert database.load().signed() == {}
    connection.execute("PRAGMA max_page_count=100000")
    database.save(records)
    database.close()
    assert reload(path).signed() == guard.signed()


class Dying(sqlite3.Connection):
    """A connection that loses power before one of the statements that make the database."""

    steps_left = 0

    def execute(self, sql: str, *arguments) -> sqlite3.Cursor:
        if sql.startswith(("CREATE", "INSERT", "PRAGMA user_version=")):
            self.steps_left -= 1
            if self.steps_left == 0:
                raise KeyboardInterrupt
        return super().execute(sql, *arguments)


def test_a_power_cut_while_the_database_is_made_leaves_one_that_opens(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_connect = sqlite3.connect
    for steps in range(1, 12):
        path.unlink(missing_ok=True)
        with monkeypatch.context() as cut:
            made: list[sqlite3.Connection] = []

            def connect(*arguments, steps=steps, made=made, **options) -> sqlite3.Connection:
                made.append(really_connect(*arguments, **options, factory=Dying))
                made[-1].steps_left = steps
                return made[-1]

            cut.setattr(sqlite3, "connect", connect)
            with contextlib.suppress(KeyboardInterrupt):
                SigningGuard(path, ME).close()
            for connection in made:
                connection.close()
        assert reload(path).signed() == {}


places = st.tuples(st.integers(1, 3), st.integers(1, 12))
wishes = st.one_of(
    st.tuples(st.just("floor"), places, st.just(Kind.NOTARIZE), st.just(0)),
    st.tuples(st.just("sign"), places, st.sampled_from(list(Kind)), st.integers(0, 2)),
)


@settings(max_examples=25)
@given(st.lists(wishes, max_size=25))
def test_memory_and_disk_agree_after_any_history(todo) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "signing.sqlite"
        database, guard = SigningGuard(path, ME), Guard()
        records = []
        for what, (epoch, view), kind, number in todo:
            try:
                if what == "floor":
                    record = guard.raise_floor(epoch, view)
                else:
                    record = guard.admit(epoch, view, kind, digest(number))
            except WouldEquivocate:
                continue
            if record is not None:
                records.append(record)
        database.save(records[: len(records) // 2])
        database.save(records[len(records) // 2 :])
        database.close()
        again = reload(path)
        assert again.floor == guard.floor
        kept = {place: kinds for place, kinds in guard.signed().items() if kinds}
        assert {place: kinds for place, kinds in again.signed().items() if kinds} == kept
