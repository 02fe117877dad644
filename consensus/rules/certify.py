"""Rules 4 and 7: keep every valid certificate, and act on the first of its kind and view.

Rule: N and X make us enter the next view, F also becomes the pending finalization; an X
certificate is sent once to all. A notarization overrides the proposal seen first.
Spec: docs/spec/consensus.md §4, §7. Deviations: N and F are not sent: N travels in the child, F
is asked for after a status.
"""

from __future__ import annotations

from consensus.certificate import Certificate, verify_certificate
from consensus.core import Core
from consensus.effects import ALL
from consensus.evidence import find_conflicts
from consensus.limits import STRANGE_CERTIFICATES_MAX
from consensus.records import encode_record
from consensus.rules.accuse import accuse
from consensus.rules.enter import enter
from consensus.view import ViewState
from consensus.vote import Kind
from primitives.errors import LimitExceeded, StateDiverged


def on_certificate(core: Core, sender: int, certificate: Certificate) -> None:
    """Check a peer's certificate and keep it. Raises PeerError."""
    if certificate.epoch != core.config.epoch or is_settled(core, certificate):
        return
    if not core.meter(sender).take(core.now, STRANGE_CERTIFICATES_MAX):
        raise LimitExceeded("too many certificates within one second")
    consider(core, certificate)


def consider(core: Core, certificate: Certificate) -> None:
    """Verify a certificate of this epoch that may be news, and accept it. Raises PeerError."""
    if is_settled(core, certificate):
        return
    state = core.views.get(certificate.view)
    known = state.votes(certificate.kind) if state is not None else None
    verify_certificate(certificate, core.committee, core.config.domain, core.verifier, known)
    if state is not None:
        convict_signers(core, state, certificate)
    accept(core, certificate)


def convict_signers(core: Core, state: ViewState, certificate: Certificate) -> None:
    """Compare a peer's certificate with the votes that I hold of its view."""
    for vote in certificate.votes():
        offence = state.find_offence(vote)
        if offence is not None:
            accuse(core, offence)


def is_settled(core: Core, certificate: Certificate) -> bool:
    """True when a certificate can change nothing: its view is over or the same one is held."""
    if certificate.view < core.tip.view or certificate.view == 0:
        return True
    state = core.views.get(certificate.view)
    held = state.certificate(certificate.kind) if state is not None else None
    return held is not None and held.block_hash == certificate.block_hash


def accept(core: Core, certificate: Certificate) -> None:
    """Act on a certificate whose votes are verified."""
    state = core.at(certificate.view)
    held = state.certificate(certificate.kind)
    if held is not None:
        report_fork(core, held, certificate)
        return
    state.keep(certificate)
    core.record(encode_record(certificate))
    if certificate.kind is Kind.NOTARIZE:
        state.proposal = certificate.block_hash
        if certificate.view > core.tip.view:
            core.unfinalized[certificate.view] = None
    elif certificate.kind is Kind.NULLIFY:
        if core.is_started and not core.is_observer:
            core.send(ALL, certificate)
    elif certificate.view > core.final_view():
        core.pending_final = certificate
    enter(core, certificate.view + 1)
    core.stir(fresh=True)


def report_fork(core: Core, held: Certificate, other: Certificate) -> None:
    """Convict everybody who signed both of two certificates that exclude each other.

    Raises StateDiverged for two finalizations: more than a third of the weight is faulty.
    """
    votes = {vote.signer: vote for vote in held.votes()}
    for evidence in find_conflicts(other.votes(), votes):
        accuse(core, evidence)
    if held.kind is Kind.FINALIZE and held.block_hash != other.block_hash:
        raise StateDiverged(f"two blocks of view {held.view} are final")
