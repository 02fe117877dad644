"""Make hostile bytes: random ones, damaged true ones, and well-formed lies.

Rule: everything follows from a seeded generator, so that a failure can be repeated.
Spec: docs/spec/wire-consensus.md; docs/spec/p2p.md. Deviations: none.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec

from consensus.certificate import Certificate
from consensus.evidence import Evidence
from consensus.messages import (
    Blocks,
    GetBlock,
    GetCertificates,
    GetRange,
    GetStatus,
    Message,
    Propose,
    Range,
    Status,
    encode_message,
)
from consensus.records import BlockKept, JournalRecord
from consensus.vote import Kind, Vote, compute_vote_digest
from node.wire import FrameKind
from primitives.secp256k1 import PrivateKey

HUGE = (1 << 63) - 1
DEEP = b"\x91" * 100_000  # arrays in arrays
WIDE = b"\xdd\xff\xff\xff\xff"  # an array said to hold four thousand million things
LONG = b"\xc6\xff\xff\xff\xff"  # bytes said to be four gigabytes
SIGNATURE = b"\x11" * 64 + b"\x1b"


def damage(data: bytes, dice: random.Random) -> bytes:
    """Return the bytes cut, flipped, doubled, or with something put in; never as they were."""
    while True:
        damaged = _damage_once(data, dice)
        if damaged != data:
            return damaged


def _damage_once(data: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(data) + 1)
    kind = dice.randrange(5)
    if kind == 0:
        return data[:place]
    if kind == 1:
        return data + dice.randbytes(dice.randrange(1, 64))
    if kind == 2:
        return data[:place] + dice.choice((DEEP, WIDE, LONG, b"\xc1")) + data[place:]
    if kind == 3:
        return data[:place] + data[place // 2 :]
    flipped = bytearray(data)
    for _ in range(dice.randrange(1, 5)):
        flipped[dice.randrange(len(flipped))] = dice.randrange(256)
    return bytes(flipped)


def lies(records: list[JournalRecord], me: int, dice: random.Random) -> Iterator[bytes]:
    """Yield well-formed consensus messages that nobody honest would send."""
    known: list[Vote] = [r for r in records if isinstance(r, Vote)]
    certificates = [r for r in records if isinstance(r, Certificate)]
    bodies = [r.block for r in records if isinstance(r, BlockKept)]
    vote, certificate, body = known[-1], certificates[-1], bodies[-1]
    change = msgspec.structs.replace
    messages: list[Message] = [
        GetStatus(HUGE),
        Status(0, HUGE, HUGE, HUGE, HUGE, HUGE),
        Status(1, 1, 1, 0, 0, 0),
        GetRange(0),
        GetRange(HUGE),
        GetBlock(dice.randbytes(32), 0),
        GetBlock(dice.randbytes(32), HUGE),
        GetCertificates(HUGE, HUGE),
        GetCertificates(1, 1),
        Blocks((body,) * 8),
        Range((body, body), certificate),
        Range(tuple(bodies[-8:]), change(certificate, view=HUGE)),
        Propose(body, (), SIGNATURE),
        Propose(body, tuple(sorted(dice.randbytes(32) for _ in range(32))), SIGNATURE),
        change(vote, signature=SIGNATURE),
        change(vote, signer=(me + 1) % 4),
        change(vote, signer=127),
        change(vote, view=HUGE),
        change(vote, epoch=2),
        change(vote, view=0),
        change(vote, kind=Kind.NULLIFY),
        change(certificate, signatures=(SIGNATURE,) * len(certificate.signatures)),
        change(certificate, bitmap=b"\xff" * 16),
        change(certificate, view=certificate.view + 1),
        change(certificate, block_hash=dice.randbytes(32)),
        Evidence(first=vote, second=change(vote, block_hash=dice.randbytes(32))),
        Evidence(first=vote, second=vote),
    ]
    dice.shuffle(messages)
    yield from map(encode_message, messages)


def two_faced_votes(
    key: PrivateKey, me: int, domain: bytes, epoch: int, view: int, dice: random.Random
) -> Iterator[bytes]:
    """Yield truly signed votes of one member that contradict each other."""
    for kind in (Kind.NOTARIZE, Kind.NOTARIZE, Kind.NULLIFY, Kind.FINALIZE, Kind.FINALIZE):
        block_hash = bytes(32) if kind is Kind.NULLIFY else dice.randbytes(32)
        digest = compute_vote_digest(domain, kind, epoch, view, block_hash, ())
        yield encode_message(Vote(kind, epoch, view, block_hash, (), me, key.sign(digest)))


def frames(bodies: list[bytes], dice: random.Random, count: int) -> Iterator[bytes]:
    """Yield frames of every kind, known or not, with random, damaged and absurd bodies."""
    for _ in range(count):
        kind = dice.choice((*FrameKind, dice.randrange(256)))
        body = dice.choice(
            (
                dice.randbytes(dice.randrange(200)),
                damage(dice.choice(bodies), dice),
                dice.choice(bodies),
                dice.choice((DEEP, WIDE, LONG, b"", b"\xc0", b"\x90", b"\x80" * 300)),
            )
        )
        yield bytes((kind,)) + body
