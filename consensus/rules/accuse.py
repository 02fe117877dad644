"""Rule 11: keep the first two conflicting votes of a member, tell everybody, put them into a block.

Rule: one conviction per member and epoch; it is durable before it is shown to anybody.
Spec: docs/spec/consensus.md §11. Deviations: none.
"""

from __future__ import annotations

from consensus.block import Block
from consensus.core import Core
from consensus.effects import ALL, Accuse, Lane
from consensus.evidence import Evidence, verify_evidence
from consensus.limits import EVIDENCE_PER_BLOCK_MAX, REQUESTS_PER_PEER_MAX
from consensus.records import encode_record
from primitives.errors import LimitExceeded


def on_evidence(core: Core, sender: int, evidence: Evidence) -> None:
    """Check a peer's accusation. Raises PeerError."""
    if evidence.first.epoch != core.config.epoch or evidence.offender in core.offences:
        return
    if not core.meter(sender).take(core.now, REQUESTS_PER_PEER_MAX):
        raise LimitExceeded("too many accusations within one second")
    verify_evidence(evidence, core.committee, core.config.epoch, core.config.domain, core.verifier)
    accuse(core, evidence)


def accuse(core: Core, evidence: Evidence) -> None:
    """Keep a verified conviction, the first of its offender."""
    if evidence.offender in core.offences:
        return
    core.offences[evidence.offender] = evidence
    core.record(encode_record(evidence))
    if core.is_started:
        core.must_sync = True
        core.emit(Accuse(evidence))
        core.send(ALL, evidence, Lane.BULK)


def choose_evidence(core: Core, ancestors: tuple[Block, ...]) -> tuple[Evidence, ...]:
    """Return the convictions that the next block should carry."""
    told = core.accused | {
        evidence.offender for block in ancestors for evidence in block.body.evidence
    }
    waiting = [
        core.offences[offender] for offender in sorted(core.offences) if offender not in told
    ]
    return tuple(waiting[:EVIDENCE_PER_BLOCK_MAX])
