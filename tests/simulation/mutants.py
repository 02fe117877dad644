"""Take one safety rule out of the replica, to prove that the simulator would notice.

Rule: mutants live here only; product code has no switch for them. The signing guard, which would
stop most of them, is off, so that the network's own invariants have to catch each mutant; those of
`WITH_GUARD` are about what the guard concludes from a journal.
Spec: docs/spec/consensus.md (How it is proven). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace as replace_field
from unittest.mock import patch

from msgspec.structs import replace

from consensus.application import Verdict
from consensus.effects import Sync
from consensus.vote import Kind

Patch = tuple[str, object]


def _nothing(*args: object, **kwargs: object) -> None:
    return None


def _valid(core: object, block: object) -> Verdict:
    return Verdict.VALID


def _weak_quorum() -> list[Patch]:
    return [("consensus.committee.compute_quorum", lambda total: total // 2 + 1)]


def _send_before_sync() -> list[Patch]:
    def arrange(records, must_sync, rest):
        return (*rest, *records, *((Sync(),) if must_sync else ()))

    return [("consensus.core.arrange", arrange)]


def _no_fsync() -> list[Patch]:
    return [("consensus.core.arrange", lambda records, must_sync, rest: (*records, *rest))]


def _no_vote_journal() -> list[Patch]:
    def keep_vote(core, vote, protection):
        core.must_sync = True

    return [("consensus.rules.count.keep_vote", keep_vote)]


def _forget_nullify() -> list[Patch]:
    from consensus.rules import restore

    original = restore.apply_vote

    def apply_vote(core, vote):
        if vote.kind is not Kind.NULLIFY:
            original(core, vote)

    return [("consensus.rules.restore.apply_vote", apply_vote)]


def _finalize_after_nullify() -> list[Patch]:
    return [("consensus.rules.finalize.may_finalize", lambda state: state.finalized is None)]


def _double_notarize() -> list[Patch]:
    def keep_last(state, block):
        state.proposal = block.hash

    def may_notarize(state):
        return not state.nulled and not state.is_invalid and state.noted != state.proposal

    return [
        ("consensus.rules.propose.keep_first", keep_last),
        ("consensus.rules.count.note_equivocation", _nothing),
        ("consensus.rules.notarize.may_notarize", may_notarize),
    ]


def _no_skip_check() -> list[Patch]:
    return [("consensus.rules.notarize.judge_skipped_views", _valid)]


def _no_parent_check() -> list[Patch]:
    def judge_parent(core, block):
        header = block.header
        if not core.tip.view <= header.parent_view < header.view:
            return Verdict.INVALID
        is_tip = header.parent_view == core.tip.view
        if is_tip and header.parent_hash != core.tip.hash:
            return Verdict.INVALID
        return Verdict.VALID

    return [
        ("consensus.rules.notarize.judge_parent", judge_parent),
        ("consensus.rules.notarize.verify_signed_body", _nothing),
        ("consensus.validity.verify_attendance_form", _nothing),
    ]


def _no_backoff() -> list[Patch]:
    def compute_timeout_ms(base_ms, view, final_view):
        return base_ms

    return [("consensus.rules.enter.compute_timeout_ms", compute_timeout_ms)]


def _no_resolver_and_standstill() -> list[Patch]:
    return [
        ("consensus.rules.fetch.ask_leader_and_random", _nothing),
        ("consensus.rules.catch_up.on_get_range", _nothing),
        ("consensus.rules.retry.repeat_everything", _nothing),
        ("consensus.rules.retry.on_retry_timer", _nothing),
        ("consensus.rules.status.on_status", _nothing),
    ]


def _cert_kind_confusion() -> list[Patch]:
    from consensus.rules import certify

    original = certify.accept

    def accept(core, certificate):
        original(core, certificate)
        if certificate.kind is Kind.NOTARIZE and core.is_started:
            final = replace(certificate, kind=Kind.FINALIZE)
            if not certify.is_settled(core, final):
                original(core, final)

    return [("consensus.rules.certify.accept", accept), ("consensus.rules.count.accept", accept)]


def _wrong_epoch_accepted() -> list[Patch]:
    def is_near(core, epoch, view):
        return core.tip.view < view <= core.view + 64

    def on_certificate(core, sender, certificate):
        from consensus.rules import certify

        certify.consider(core, certificate)

    return [
        ("consensus.epochs.epoch_of", _nothing),
        ("consensus.rules.count.is_near", is_near),
        ("consensus.rules.propose.is_near", is_near),
        ("consensus.rules.certify.on_certificate", on_certificate),
    ]


def _guard_ignores_epoch() -> list[Patch]:
    def is_above(core, view):
        return not (core.is_silent or core.is_observer or core.is_closed) and (
            view > core.guard.floor[1]
        )

    return [("consensus.core.Core.may_vote", is_above)]


def _seed_from_certificate() -> list[Patch]:
    from consensus.epoch import compute_next_epoch
    from consensus.epochs import Epochs
    from consensus.seed import compute_next_seed
    from primitives import codec

    def find_next(self):
        epoch = compute_next_epoch(self.epoch, self._boundary, self._succession)
        certificate = self.replica.core.tip_certificate
        if epoch is None or certificate is None:
            return epoch
        seed = compute_next_seed(codec.encode(certificate), self._boundary.hash)
        return replace_field(epoch, seed=seed)

    return [(f"{Epochs.__module__}.Epochs._find_next", find_next)]


def _no_entry_limit() -> list[Patch]:
    return [("tests.simulation.rotation.compute_move_limit", lambda weights: 1 << 62)]


def _section_not_opened() -> list[Patch]:
    from consensus.rules import restore

    restore_all, open_journal = restore.restore, restore.open_journal
    is_new = True

    def restore_noting(core, records, final):
        nonlocal is_new
        kept = tuple(records)
        is_new = not kept
        restore_all(core, kept, final)

    def open_new_only(core, *, must_be_silent):
        before = len(core.records)
        open_journal(core, must_be_silent=must_be_silent)
        if not is_new:
            del core.records[before]

    return [
        ("consensus.rules.restore.restore", restore_noting),
        ("consensus.rules.restore.open_journal", open_new_only),
    ]


def _compaction_forgets_votes() -> list[Patch]:
    from consensus.records import decode_record
    from consensus.rules import restore
    from consensus.vote import Vote

    original = restore.snapshot_records

    def snapshot_records(core):
        return tuple(one for one in original(core) if not isinstance(decode_record(one), Vote))

    return [("consensus.rules.restore.snapshot_records", snapshot_records)]


def _no_silence() -> list[Patch]:
    from consensus.rules import restore

    original = restore.open_journal

    def open_journal(core, *, must_be_silent):
        original(core, must_be_silent=False)

    return [("consensus.rules.restore.open_journal", open_journal)]


def _silence_ends_at_once() -> list[Patch]:
    return [("consensus.rules.status.find_witnessed_view", lambda core: -2)]


def _boundary_skipped() -> list[Patch]:
    return [("consensus.config.Config.is_border", lambda config, height: False)]


def _no_guard() -> list[Patch]:
    return []


def _answers_with_everything() -> list[Patch]:
    from consensus.rules import retry, status

    original = status.on_get_status

    def on_get_status(core, sender, question):
        original(core, sender, question)
        retry.repeat_everything(core)

    return [("consensus.rules.status.on_get_status", on_get_status)]


def _snapshot_unchecked() -> list[Patch]:
    return [("tests.simulation.newcomer.is_state_of", lambda target, roots: True)]


def _snapshot_uncertified() -> list[Patch]:
    from consensus.header import decode_header

    def verify_finality(anchor, proof, verifier):
        return decode_header(proof.headers[0])

    return [("node.sync.proofs.verify_finality", verify_finality)]


def _snapshot_unlinked() -> list[Patch]:
    return [("node.sync.proofs.verify_links", _nothing)]


MUTANTS: dict[str, Callable[[], list[Patch]]] = {
    "weak_quorum": _weak_quorum,
    "send_before_sync": _send_before_sync,
    "no_fsync": _no_fsync,
    "no_vote_journal": _no_vote_journal,
    "forget_nullify": _forget_nullify,
    "finalize_after_nullify": _finalize_after_nullify,
    "double_notarize": _double_notarize,
    "no_skip_check": _no_skip_check,
    "no_parent_check": _no_parent_check,
    "no_backoff": _no_backoff,
    "no_resolver_and_standstill": _no_resolver_and_standstill,
    "cert_kind_confusion": _cert_kind_confusion,
    "wrong_epoch_accepted": _wrong_epoch_accepted,
    "guard_ignores_epoch": _guard_ignores_epoch,
    "seed_from_certificate": _seed_from_certificate,
    "no_entry_limit": _no_entry_limit,
    "boundary_skipped": _boundary_skipped,
    "no_silence": _no_silence,
    "silence_ends_at_once": _silence_ends_at_once,
    "compaction_forgets_votes": _compaction_forgets_votes,
    "section_not_opened": _section_not_opened,
    "no_guard": _no_guard,
    "answers_with_everything": _answers_with_everything,
    "snapshot_unchecked": _snapshot_unchecked,
    "snapshot_uncertified": _snapshot_uncertified,
    "snapshot_unlinked": _snapshot_unlinked,
}

WITH_GUARD = {"section_not_opened"}  # what goes wrong is that the guard silences an honest member

WITHOUT_GUARD: list[Patch] = [
    ("consensus.guard.verify_allowed", _nothing),
    ("consensus.rules.restore.reconcile_guard", _nothing),
]


@contextmanager
def mutated(name: str | None) -> Iterator[None]:
    """Run the body with one rule missing; with None, run the product as it is."""
    with ExitStack() as stack:
        if name is not None:
            without_guard = [] if name in WITH_GUARD else WITHOUT_GUARD
            for target, replacement in [*without_guard, *MUTANTS[name]()]:
                stack.enter_context(patch(target, replacement))
        yield
