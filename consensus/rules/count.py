"""Cast my own votes and count everybody's.

Rule: guard, journal, sync, send, count it myself, in this order; a peer's vote is verified once,
and a vote already counted is dropped before its signature is looked at.
Spec: docs/spec/consensus.md (Votes), §12. Deviations: none.
"""

from __future__ import annotations

from consensus.block import Block
from consensus.core import Core
from consensus.effects import ALL, Protect
from consensus.limits import PENDING_IDS_MAX, VIEWS_AHEAD
from consensus.records import BlockKept, encode_record
from consensus.rules.accuse import accuse
from consensus.rules.certify import accept
from consensus.view import ViewState
from consensus.vote import ZERO_HASH, Kind, Vote, compute_vote_digest, digest_of, verify_shape
from primitives.errors import InvalidVote


def on_vote(core: Core, sender: int, vote: Vote) -> None:
    """Verify and count a peer's vote. Raises PeerError."""
    if vote.signer != sender:
        raise InvalidVote("votes are sent by their signer")
    if not is_near(core, vote.epoch, vote.view) or is_counted(core, vote):
        return
    verify_vote(core, vote)
    record_vote(core, vote)


def is_near(core: Core, epoch: int, view: int) -> bool:
    """True for views above the last final one that are not too far ahead."""
    return epoch == core.config.epoch and core.tip.view < view <= core.view + VIEWS_AHEAD


def is_counted(core: Core, vote: Vote) -> bool:
    """True when the vote, or one that says the same, needs no further look."""
    state = core.views.get(vote.view)
    if state is None:
        return False
    earlier = state.votes(vote.kind).get(vote.signer)
    if earlier is None:
        return False
    if earlier.block_hash == vote.block_hash:
        return True
    is_useful = vote.signer == core.leader(vote.view) and not state.is_equivocated
    return vote.signer in core.offences and not is_useful


def verify_vote(core: Core, vote: Vote) -> None:
    """Check form and signature. Raises PeerError."""
    verify_shape(vote)
    address = core.committee.address(vote.signer)
    core.verifier.verify(digest_of(vote, core.config.domain), vote.signature, address)


def record_vote(core: Core, vote: Vote) -> None:
    """Count a verified vote of anybody, me included."""
    state = core.at(vote.view)
    offence = state.find_offence(vote)
    if offence is not None:
        accuse(core, offence)
        note_equivocation(core, state, vote)
    if core.seen_views.get(vote.signer, 0) < vote.view:
        core.seen_views[vote.signer] = vote.view
    certificate = state.count(vote, core.committee)
    if certificate is not None:
        accept(core, certificate)
    elif vote.kind is Kind.NULLIFY and state.nullify_weight > core.committee.tolerated:
        core.stir()


def note_equivocation(core: Core, state: ViewState, vote: Vote) -> None:
    """Give a view up whose leader signed two blocks."""
    if vote.kind is Kind.NOTARIZE and vote.signer == core.leader(vote.view):
        state.is_equivocated = True
        core.stir()


def cast(
    core: Core,
    kind: Kind,
    view: int,
    block: Block | None = None,
    pending: tuple[bytes, ...] = (),
) -> Vote:
    """Sign, journal and count my vote; the caller sends it. Raises WouldEquivocate."""
    assert core.is_started, "no vote before the journal is replayed"
    assert core.may_vote(view), "a silent replica casts no vote"
    block_hash = block.hash if block is not None else ZERO_HASH
    epoch = core.config.epoch
    digest = compute_vote_digest(core.config.domain, kind, epoch, view, block_hash, pending)
    protection = core.guard.admit(epoch, view, kind, digest)
    vote = Vote(kind, epoch, view, block_hash, pending, core.me, core.signer.sign(digest))
    if block is not None:
        keep_block(core, block)
    keep_vote(core, vote, protection)
    promise(core, vote)
    return vote


def keep_block(core: Core, block: Block) -> None:
    """Journal a block before the first vote that names it."""
    core.tree.add(block)
    if block.hash not in core.journaled:
        core.journaled.add(block.hash)
        core.record(encode_record(BlockKept(block.body)))


def keep_vote(core: Core, vote: Vote, protection: bytes | None) -> None:
    """Have the vote on disk, in journal and guard, before anybody sees it."""
    core.record(encode_record(vote))
    if protection is not None:
        core.records.append(Protect(protection))
    core.must_sync = True


def promise(core: Core, vote: Vote) -> None:
    """Hold myself to a vote of mine: note it and count it."""
    state = core.at(vote.view)
    if vote.kind is Kind.NOTARIZE:
        state.noted = vote.block_hash
    elif vote.kind is Kind.NULLIFY:
        state.nulled = True
    else:
        state.finalized = vote.block_hash
    record_vote(core, vote)


def choose_pending(core: Core) -> tuple[bytes, ...]:
    """Return what my notarize vote lists: the application's pending ids in canonical form."""
    return tuple(sorted(set(core.application.pending_ids(core.now))))[:PENDING_IDS_MAX]


def cast_to_all(
    core: Core,
    kind: Kind,
    view: int,
    block: Block | None = None,
    pending: tuple[bytes, ...] = (),
) -> None:
    """Cast a vote and send it to everybody."""
    core.send(ALL, cast(core, kind, view, block, pending))
