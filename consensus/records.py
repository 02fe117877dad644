"""Define what a replica writes into its journal.

Rule: the records of a journal, applied in order, restore every promise the replica made by voting.
Spec: docs/spec/wire-consensus.md (Journal). Deviations: none.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from consensus.block import BlockBody
from consensus.certificate import Certificate
from consensus.evidence import Evidence
from consensus.journal import RECORD_BYTES_MAX
from consensus.vote import Counter, Hash32, Vote
from primitives import codec

JOURNAL_VERSION = 1


class Opened(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=0):
    """The first record: whose journal this is."""

    version: Counter
    domain: Hash32
    epoch: Counter
    me: Counter


class BlockKept(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """A block that one of my votes names; it precedes the vote."""

    block: BlockBody


class Silence(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """From here on I may (not) have forgotten votes; the last one of a journal counts."""

    is_on: bool


JournalRecord: TypeAlias = Opened | BlockKept | Silence | Vote | Certificate | Evidence
_SCHEMA: Any = JournalRecord


def encode_record(record: JournalRecord) -> bytes:
    """Return the payload of one journal record."""
    return codec.encode(record)


def decode_record(data: bytes) -> JournalRecord:
    """Decode a payload. Raises PeerError when it is not a record of this version."""
    record: JournalRecord = codec.decode(data, _SCHEMA, max_bytes=RECORD_BYTES_MAX)
    return record
