"""An index means a seat of the block's own epoch, and what begins an epoch survives a restart.

Spec: docs/spec/consensus.md (Epochs). Deviations: none.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from consensus.block import Tip
from consensus.committee import Committee, Member
from consensus.epoch import Epoch, encode_epoch
from node.committee import epoch_book
from node.committee.epoch_book import EpochBook, make_genesis_epoch, make_parameters
from node.network_file import Scoring
from primitives.errors import PeerError
from storage.chain_store import ChainStore
from tests.node.test_network_file import make
from tests.node.test_scorekeeper import replace_struct
from tests.storage.chain_records import NETWORK, make_final


def make_epoch(number: int, *names: int) -> Epoch:
    return Epoch(
        number=number,
        committee=Committee(tuple(Member(address=bytes([one]) * 20, weight=7) for one in names)),
        seed=bytes([number]) * 32,
        anchor=Tip(view=0, height=40 * number, hash=b"\x09" * 32, time_ms=5, executed_height=39),
    )


def test_a_seat_is_looked_up_in_its_epoch() -> None:
    book = EpochBook(make_epoch(1, 1, 2))
    book.begin(make_epoch(2, 2, 3))
    assert book.current.number == 2
    assert (book.index(1, b"\x02" * 20), book.index(2, b"\x02" * 20)) == (1, 0)
    assert book.index(2, b"\x01" * 20) is None
    assert book.address(1, 0) == b"\x01" * 20
    assert book.address(2, 2) is None
    assert book.address(3, 0) is None
    assert book.index(3, b"\x02" * 20) is None
    assert book.committee(1).index_of(b"\x01" * 20) == 0


def test_an_epoch_is_stored_with_its_first_block_and_its_seals_with_the_boundary(
    tmp_path: Path,
) -> None:
    store = ChainStore(tmp_path / "chain.sqlite", NETWORK)
    first, second = make_final(1), make_final(2)
    epoch = make_epoch(2, 4, 5)
    store.write_final(replaced(first, seals=b"seals"))
    assert store.read.epochs() == []
    store.write_final(replaced(second, epoch=2, epoch_record=encode_epoch(epoch)))
    store.close()
    store = ChainStore(tmp_path / "chain.sqlite", NETWORK)
    assert [row.seals for row in store.read.block_range(1, 2)] == [b"seals", b""]
    book = EpochBook(make_epoch(1, 1))
    book.load(store.read.epochs())
    assert book.current == epoch
    store.close()


def test_old_epochs_are_read_from_the_store_and_do_not_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them were kept: hundreds of megabytes a year, and minutes to read at a start."""
    monkeypatch.setattr(epoch_book, "EPOCHS_KEPT", 3)
    store = ChainStore(tmp_path / "chain.sqlite", NETWORK)
    asked: list[int] = []

    def find(number: int) -> bytes | None:
        asked.append(number)
        return store.read.epoch(number)

    epochs = {number: make_epoch(number, number, number + 1) for number in range(1, 21)}
    running = EpochBook(epochs[1], find)
    for number in range(2, 21):
        record = encode_epoch(epochs[number])
        store.write_final(replaced(make_final(number - 1), epoch=number, epoch_record=record))
        running.begin(epochs[number])
    started = EpochBook(epochs[1], find)
    started.load(store.read.epochs(newest=3))
    for book in (running, started):
        assert book.current == epochs[20]
        assert [book.get(number) for number in range(1, 21)] == list(epochs.values())
        assert len(book._newest) + len(book._older) <= 6
        asked.clear()
        assert book.address(20, 0) == bytes([20]) * 20
        assert book.get(18) == epochs[18]
        assert (book.get(21), book.get(1 << 70), book.get(0), book.get(-1)) == (None,) * 4
        assert not asked
    store.close()


def test_a_damaged_epoch_is_refused() -> None:
    with pytest.raises(PeerError):
        EpochBook(make_epoch(1, 1)).load([b"\x93nonsense"])


def replaced(record, **changes):
    return type(record)(**{name: getattr(record, name) for name in record.__slots__} | changes)


def test_the_network_file_says_whether_committees_change() -> None:
    file = make()
    assert make_parameters(file).epoch_heights == 0
    scoring = msgspec.structs.replace(file.scoring, rotates=True)
    rotating = replace_struct(file, scoring=scoring)
    assert isinstance(scoring, Scoring)
    assert make_parameters(rotating).epoch_heights == scoring.period_blocks
    genesis = make_genesis_epoch(file)
    assert genesis.anchor.hash == file.genesis_hash
    assert len(genesis.committee) == len(file.committee)
