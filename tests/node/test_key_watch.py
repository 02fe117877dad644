"""A node that meets votes of its own key which it has not cast stops, and stays stopped.

Rule: real keys and certificates; what the guard knows or has forgotten is never an alarm.
Spec: docs/reference/signing.md (Doppelganger). Deviations: none.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from consensus.block import Tip
from consensus.certificate import Certificate, assemble_certificate
from consensus.committee import Committee, Member
from consensus.epoch import Epoch
from consensus.guard import Guard
from consensus.vote import Kind, Vote, digest_of
from node.committee.epoch_book import EpochBook
from node.committee.key_watch import KeyWatch, verify_not_marked
from primitives.errors import Doppelganger
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

DOMAIN = b"\x05" * 32
KEYS = [PrivateKey(keccak256(b"watch %d" % i)) for i in range(4)]
ME, EPOCH, BLOCK = 1, 1, b"\x09" * 32
BOOK = EpochBook(
    Epoch(
        number=EPOCH,
        committee=Committee(tuple(Member(address=key.address, weight=1) for key in KEYS)),
        seed=bytes(32),
        anchor=Tip(view=0, height=0, hash=bytes(32), time_ms=0, executed_height=0),
    )
)


def vote(signer: int, view: int, kind: Kind = Kind.NOTARIZE, key: int | None = None) -> Vote:
    unsigned = Vote(kind, EPOCH, view, BLOCK, (), signer, bytes(65))
    signature = KEYS[signer if key is None else key].sign(digest_of(unsigned, DOMAIN))
    return msgspec.structs.replace(unsigned, signature=signature)


def block(attendance: Certificate | None = None) -> Any:
    return SimpleNamespace(body=SimpleNamespace(attendance=attendance))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "DOPPELGANGER"


def watch(guard: Guard, mark: Path) -> KeyWatch:
    return KeyWatch(guard, BOOK, KEYS[ME].address, DOMAIN, mark)


def test_votes_of_others_and_ours_that_we_know_are_no_alarm(mark: Path) -> None:
    guard = Guard()
    for kind in (Kind.NOTARIZE, Kind.FINALIZE):
        guard.admit(EPOCH, 7, kind, digest_of(vote(ME, 7, kind), DOMAIN))
    known = assemble_certificate([vote(i, 7) for i in range(3)])
    final = assemble_certificate([vote(i, 7, Kind.FINALIZE) for i in range(3)])
    watch(guard, mark).on_final(block(known), final)
    others = assemble_certificate([vote(i, 8) for i in (0, 2, 3)])
    watch(guard, mark).on_final(block(others), None)
    watch(guard, mark).on_final(block(), None)
    assert not mark.exists()


@pytest.mark.parametrize("kind", [Kind.NOTARIZE, Kind.FINALIZE])
def test_a_vote_we_have_not_cast_stops_us_for_good(mark: Path, kind: Kind) -> None:
    foreign = assemble_certificate([vote(i, 9, kind) for i in range(3)])
    attendance, certificate = (foreign, None) if kind is Kind.NOTARIZE else (None, foreign)
    with pytest.raises(Doppelganger, match="view 9"):
        watch(Guard(), mark).on_final(block(attendance), certificate)
    with pytest.raises(Doppelganger, match="distrust"):
        verify_not_marked(mark)
    mark.unlink()
    verify_not_marked(mark)


def test_it_stops_as_a_doppelganger_though_the_disk_refuses_the_mark(tmp_path: Path) -> None:
    """Another exit code would have a service manager start it again, with no mark to stop it."""
    mark = tmp_path / "gone" / "DOPPELGANGER"
    foreign = assemble_certificate([vote(i, 9) for i in range(3)])
    with pytest.raises(Doppelganger, match="could not be written"):
        watch(Guard(), mark).on_final(block(foreign), None)


def test_another_digest_in_a_view_we_voted_in_stops_us(mark: Path) -> None:
    guard = Guard()
    guard.admit(EPOCH, 9, Kind.NOTARIZE, b"\x01" * 32)
    with pytest.raises(Doppelganger):
        watch(guard, mark).on_final(
            block(assemble_certificate([vote(i, 9) for i in range(3)])), None
        )


def test_what_is_signed_later_is_known_even_when_the_guard_has_forgotten_it(mark: Path) -> None:
    guard = Guard()
    watching = watch(guard, mark)
    record = guard.admit(EPOCH, 9, Kind.NOTARIZE, digest_of(vote(ME, 9), DOMAIN))
    assert record is not None
    watching.on_signed(record)
    floor = guard.raise_floor(EPOCH, 40)  # as when a whole range of blocks has come at once
    assert floor is not None
    watching.on_signed(floor)
    watching.on_final(block(assemble_certificate([vote(i, 9) for i in range(3)])), None)
    with pytest.raises(Doppelganger):
        watching.on_final(block(assemble_certificate([vote(i, 10) for i in range(3)])), None)


def test_what_lies_below_the_floor_is_forgotten_not_suspicious(mark: Path) -> None:
    guard = Guard()
    guard.raise_floor(EPOCH, 9)
    watch(guard, mark).on_final(block(assemble_certificate([vote(i, 9) for i in range(3)])), None)


def test_a_forged_signature_in_our_place_stops_nobody(mark: Path) -> None:
    forged = assemble_certificate([vote(0, 9), vote(ME, 9, key=3), vote(2, 9)])
    watch(Guard(), mark).on_final(block(forged), None)
    assert not mark.exists()
