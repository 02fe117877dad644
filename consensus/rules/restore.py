"""Rebuild a replica from its journal, and decide whether it may vote.

Rule: replay restores every promise before the first new one. A vote that the guard knows and the
journal does not proves that acknowledged records are lost: the replica stays silent.
Spec: docs/spec/consensus.md (Restart). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from consensus.block import Block, open_block, tip_of
from consensus.certificate import Certificate
from consensus.core import Core
from consensus.effects import Final, Protect
from consensus.evidence import Evidence
from consensus.records import (
    JOURNAL_VERSION,
    BlockKept,
    JournalRecord,
    Opened,
    Silence,
    decode_record,
    encode_record,
)
from consensus.rules.certify import accept, is_settled
from consensus.rules.count import promise
from consensus.rules.enter import enter
from consensus.vote import Kind, Vote, digest_of
from primitives.errors import PeerError, WrongNetwork

OPENED_TAG = b"\x00"  # the second byte of an opening: a small array led by its tag


def restore(core: Core, records: Iterable[bytes], final: Final | None) -> None:
    """Apply the block store's last final block, then the journal. Raises WrongNetwork."""
    assert not core.is_started, "a replica is restored once, before it starts"
    if final is not None:
        adopt_final(core, final)
    core.at(core.tip.view)
    for record in records:
        apply_record(core, read_record(record))
    enter(core, max(core.view, core.tip.view + 1))


def adopt_final(core: Core, final: Final) -> None:
    """Start from the store's last final block."""
    core.tip, core.tip_certificate = tip_of(final.block), final.certificate
    core.tree.add(final.block)
    core.tree.settle((final.block,))


def split_by_epoch(records: Iterable[bytes]) -> dict[int, tuple[bytes, ...]]:
    """Return a journal's records by the epoch under whose opening they stand."""
    parts: dict[int, list[bytes]] = {}
    current: list[bytes] = []
    for data in records:
        if data[1:2] == OPENED_TAG:
            opened = read_record(data)
            assert isinstance(opened, Opened), "the tag says so"
            current = parts.setdefault(opened.epoch, [])
        current.append(data)
    return {epoch: tuple(part) for epoch, part in parts.items()}


def read_record(data: bytes) -> JournalRecord:
    """Decode an intact record. Raises WrongNetwork when this version cannot read it."""
    try:
        return decode_record(data)
    except PeerError as error:
        raise WrongNetwork(
            f"the journal holds a record of another version: {error}",
            fix="run the release that wrote it, or move the journal away and start silently",
        ) from error


def apply_record(core: Core, record: JournalRecord) -> None:
    """Apply one record; views at or below the tip are over."""
    if isinstance(record, Opened):
        verify_owner(core, record)
    elif isinstance(record, Silence):
        core.is_silent = record.is_on
    elif isinstance(record, Evidence):
        core.offences.setdefault(record.offender, record)
    elif isinstance(record, Certificate):
        if record.epoch == core.config.epoch and not is_settled(core, record):
            accept(core, record)
    elif isinstance(record, Vote):
        apply_vote(core, record)
    else:
        apply_block(core, open_block(record.block))


def verify_owner(core: Core, opened: Opened) -> None:
    """Check that the journal is mine. Raises WrongNetwork."""
    mine = (JOURNAL_VERSION, core.config.domain, core.config.epoch, core.me)
    if (opened.version, opened.domain, opened.epoch, opened.me) != mine:
        raise WrongNetwork(
            "the journal belongs to another network, epoch, validator or version",
            fix="use the data directory of this network, or `omnibazaar init` a new one",
        )


def apply_vote(core: Core, vote: Vote) -> None:
    """Hold myself to a vote that I may have sent."""
    if vote.epoch == core.config.epoch and vote.view > core.tip.view:
        promise(core, vote)


def apply_block(core: Core, block: Block) -> None:
    """Restore a block that one of my votes names."""
    if block.header.epoch != core.config.epoch or block.height <= core.tip.height:
        return
    core.tree.add(block)
    core.journaled.add(block.hash)
    state = core.at(block.view) if block.view > core.tip.view else None
    if state is not None and state.proposal is None:
        state.proposal = block.hash


def own_votes(core: Core) -> Iterator[Vote]:
    """Yield my votes above the tip."""
    for view in sorted(core.views):
        yield from core.views[view].own_votes(core.me)


def reconcile_guard(core: Core) -> None:
    """Teach the guard what only the journal knows; go silent on what only the guard knows."""
    epoch = core.config.epoch
    known: set[tuple[int, Kind]] = set()
    for vote in own_votes(core):
        known.add((vote.view, vote.kind))
        if (epoch, vote.view) > core.guard.floor:
            digest = digest_of(vote, core.config.domain)
            protection = core.guard.admit(epoch, vote.view, vote.kind, digest)
            if protection is not None:
                core.records.append(Protect(protection))
                core.must_sync = True
    for (signed_epoch, view), digests in core.guard.signed().items():
        if signed_epoch == epoch and view > core.tip.view:
            core.is_silent |= any((view, kind) not in known for kind in digests)


def open_journal(core: Core, *, must_be_silent: bool) -> None:
    """Begin this epoch's section of the journal, again if need be: after a crash that cost the
    store a boundary block the journal may end in a later epoch's section. Have a silence on disk
    before anything is said.
    """
    opened = Opened(JOURNAL_VERSION, core.config.domain, core.config.epoch, core.me)
    core.record(encode_record(opened))
    if core.is_silent or must_be_silent:
        core.is_silent = True
        core.record(encode_record(Silence(True)))
        core.must_sync = True


def snapshot_records(core: Core) -> tuple[bytes, ...]:
    """Return the records of a new journal that replaces the old one.

    Only after every Final so far is durable in the block store.
    """
    opened = Opened(JOURNAL_VERSION, core.config.domain, core.config.epoch, core.me)
    records: list[JournalRecord] = [opened, *core.offences.values()]
    if core.is_silent:
        records.append(Silence(True))
    for view in sorted(core.views):
        state = core.views[view]
        hashes = {state.noted, state.finalized, state.certified_hash()} - {None}
        blocks = [core.tree.get(block_hash) for block_hash in sorted(filter(None, hashes))]
        if view > core.tip.view:
            records += [BlockKept(block.body) for block in blocks if block is not None]
            records += state.own_votes(core.me)
        records += state.certificates()
    return tuple(encode_record(record) for record in records)
