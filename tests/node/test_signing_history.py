"""A signing history moves between machines and only ever forbids more.

Rule: after an import nothing that either machine signed can be contradicted; a bad file changes
nothing.
Spec: docs/reference/signing.md. Deviations: none.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.guard import Guard
from consensus.vote import Kind
from node.cli import exits
from node.cli.root import call
from node.config_schema import Config, ValidatorSettings
from node.datadir import DataDir
from node.doctor import check_guard
from node.keys.history_files import find_history
from node.keys.signing_guard import SigningGuard
from node.keys.signing_history import FORMAT, export_history, find_highest, read_highest
from node.stores import Stores
from primitives.errors import ConfigError, GuardMissing, WouldEquivocate
from primitives.secp256k1 import PrivateKey
from tests.devnet.lone_node import LoneNode

ME, OTHER = b"\x01" * 20, b"\x02" * 20
GENESIS = b"\x07" * 32


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def guard_of(views: list[tuple[int, int]]) -> Guard:
    guard = Guard()
    for epoch, view in sorted(set(views)):
        guard.admit(epoch, view, Kind.NOTARIZE, digest(view))
    return guard


places = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 1 << 62)), max_size=20)


@given(views=places, floor=st.tuples(st.integers(0, 3), st.integers(0, 1 << 62)))
def test_the_highest_place_survives_the_file(
    views: list[tuple[int, int]], floor: tuple[int, int]
) -> None:
    guard = guard_of(views)
    guard.raise_floor(*floor)
    data = export_history(guard, ME, GENESIS)
    assert read_highest(data, ME, GENESIS) == find_highest(guard)


def good() -> Any:
    return json.loads(export_history(guard_of([(1, 5)]), ME, GENESIS))


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["metadata"].update(interchange_format="eip-3076"),
        lambda h: h["metadata"].update(interchange_format_version="2"),
        lambda h: h["metadata"].update(genesis_hash="0x" + "08" * 32),
        lambda h: h["data"][0].update(address="0x" + "22" * 20),
        lambda h: h["data"][0].update(address="nonsense"),
        lambda h: h["data"][0]["floor"].update(view="-1"),
        lambda h: h["data"][0]["floor"].update(view=1),
        lambda h: h["data"][0]["signed_votes"][0].update(kind="prevote"),
        lambda h: h["data"][0]["signed_votes"][0].update(view=str(1 << 63)),
        lambda h: h["data"][0]["signed_votes"][0].pop("digest"),
        lambda h: h["data"].clear(),
        lambda h: h.update(extra=1),
    ],
)
def test_a_file_that_does_not_fit_is_refused(change: Any) -> None:
    history = good()
    change(history)
    with pytest.raises(ConfigError) as found:
        read_highest(json.dumps(history).encode(), ME, GENESIS)
    assert found.value.code == "SIG002"


@given(st.binary(max_size=200))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError):
        read_highest(data, ME, GENESIS)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ConfigError):
        read_highest(b"[" * 100_000, ME, GENESIS)


# By command


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    """A validator's data directory that has never run."""
    return LoneNode(tmp_path / ".devnet").data


def omnibazaar(data: DataDir, *arguments: str) -> int:
    return call(["--data-dir", str(data.root), "signing", *arguments])


def sign(data: DataDir, address: bytes, view: int) -> None:
    database = SigningGuard(data.guard_file, address)
    record = database.load().admit(1, view, Kind.NOTARIZE, digest(view))
    assert record is not None
    database.save([record])
    database.close()


def test_a_history_moves_to_a_fresh_machine(
    data: DataDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = address_of(data)
    sign(data, address, 41)
    file = tmp_path / "history.json"
    assert omnibazaar(data, "export", str(file)) == 0
    assert omnibazaar(data, "export", str(file)) == exits.CONFIG  # never overwritten
    data.guard_file.unlink()  # the new machine
    assert omnibazaar(data, "show") == exits.GUARD
    assert omnibazaar(data, "import", str(file)) == 0
    capsys.readouterr()
    assert omnibazaar(data, "show", "--json") == 0
    assert json.loads(capsys.readouterr().out)["floor_view"] == 41
    database = SigningGuard(data.guard_file, address)
    with pytest.raises(WouldEquivocate):
        database.load().admit(1, 41, Kind.NOTARIZE, digest(99))
    database.close()


def test_an_older_file_changes_nothing(data: DataDir, tmp_path: Path) -> None:
    address = address_of(data)
    sign(data, address, 5)
    file = tmp_path / "history.json"
    assert omnibazaar(data, "export", str(file)) == 0
    sign(data, address, 9)
    assert omnibazaar(data, "import", str(file)) == 0
    database = SigningGuard(data.guard_file, address)
    assert database.load().floor == (1, 9)
    database.close()


def vote(data: DataDir, key: PrivateKey, view: int) -> None:
    """Open everything as a node of this key does, and leave a vote in guard and journal."""
    stores = Stores(data, network_id=bytes(32), signer=key.address)
    stores.journal.open()
    stores.bundle_log.open()
    record = stores.guard.load().admit(1, view, Kind.NOTARIZE, digest(view))
    assert record is not None
    stores.journal.append(record)
    stores.guard.save([record])
    stores.close()


def views(data: DataDir, key: PrivateKey) -> tuple[list[int], int]:
    """Return what a key's own guard knows, and how many records its own journal has."""
    stores = Stores(data, network_id=bytes(32), signer=key.address)
    records = stores.journal.open().records
    stores.bundle_log.open()
    known = sorted(view for _, view in stores.guard.load().signed())
    stores.close()
    return known, len(records)


def test_another_hot_key_begins_a_history_of_its_own_and_the_old_one_stays(tmp_path: Path) -> None:
    """A rotated key could not start: the guard, and then the journal, belonged to the old one."""
    old, new = PrivateKey(b"\x01" * 32), PrivateKey(b"\x02" * 32)
    data = DataDir(tmp_path / "rotating")
    data.create("testnet", bytes(32))
    vote(data, old, 7)
    vote(data, new, 8)
    vote(data, new, 9)
    vote(data, old, 10)
    assert views(data, old) == ([7, 10], 2)
    assert views(data, new) == ([8, 9], 2)
    history = find_history(data, new.address)
    history.guard.unlink()
    with pytest.raises(GuardMissing, match="is missing"):
        vote(data, new, 9)
    data.guard_file.unlink()
    with pytest.raises(GuardMissing, match="is missing"):
        vote(data, old, 10)


def test_a_guard_that_was_killed_while_writing_is_not_called_damaged(data: DataDir) -> None:
    """The doctor could not undo what was half done, and told to restore an older history."""
    address = address_of(data)
    sign(data, address, 5)
    kill = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1])\n"
        "c.execute('PRAGMA cache_size=1')\n"
        "c.execute('BEGIN')\n"
        "for n in range(9): c.execute('INSERT INTO records VALUES (NULL,1,9,zeroblob(9000))')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", kill, str(data.guard_file)], check=False)
    assert data.guard_file.with_name(data.guard_file.name + "-journal").exists()
    finding = check_guard(data, Config(validator=ValidatorSettings(key="validator")))
    assert (finding.outcome, finding.text) == ("ok", "sound")


def test_nothing_is_touched_while_the_daemon_owns_it(data: DataDir, tmp_path: Path) -> None:
    sign(data, address_of(data), 1)
    with data.lock():
        for command in ("show", "distrust"):
            assert omnibazaar(data, command) == exits.IN_USE
    assert not data.distrust_file.exists()


def test_an_empty_history_is_begun_only_on_request(data: DataDir) -> None:
    assert omnibazaar(data, "distrust") == exits.GUARD
    assert omnibazaar(data, "distrust", "--accept-slashing-risk") == 0
    assert data.distrust_file.exists()
    assert data.guard_file.exists()


def address_of(data: DataDir) -> bytes:
    from node.keys.keystore import list_keys

    return next(info.address for info in list_keys(data.keys) if info.role == "validator")


def test_the_format_is_named() -> None:
    assert good()["metadata"]["interchange_format"] == FORMAT
