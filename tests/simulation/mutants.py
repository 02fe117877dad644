"""Take one safety rule out of the replica, to prove that the simulator would notice.

Rule: mutants live here only; product code has no switch for them. The signing guard, which would
stop most of them, is off, so that the network's own invariants have to catch each mutant.
Spec: docs/spec/consensus.md (How it is proven). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

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
}

WITHOUT_GUARD: list[Patch] = [
    ("consensus.guard.verify_allowed", _nothing),
    ("consensus.rules.restore.reconcile_guard", _nothing),
]


@contextmanager
def mutated(name: str | None) -> Iterator[None]:
    """Run the body with one rule missing; with None, run the product as it is."""
    with ExitStack() as stack:
        if name is not None:
            for target, replacement in [*WITHOUT_GUARD, *MUTANTS[name]()]:
                stack.enter_context(patch(target, replacement))
        yield
