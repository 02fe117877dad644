"""A checkpoint is brought once, again after a re-organisation, and treasuries get what was due."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from contracts.errors import ContractRefused
from contracts.settlement_types import Submission
from contracts.vault_leaving import Step
from node.limits import CHECKPOINT_SPACING_MS, CHECKPOINT_VERIFY_MS
from node.settlement.checkpointer import Checkpointer
from tests.consensus.desk import Desk
from tests.node.test_checkpoint_proofs import make_book, prove

TOKENS = (b"\x01" * 20, b"\x02" * 20)


class Vault:
    """What the checkpointer asks of a vault."""

    def __init__(self) -> None:
        self.accepted = 0
        self.submitted: list[int] = []
        self.deferred = {TOKENS[0]}
        self.settled: list[bytes] = []

    def executed_height(self) -> int:
        return self.accepted

    def submit_checkpoint(self, submission: Any) -> Submission:
        self.submitted.append(submission.executed_height)
        self.accepted = submission.executed_height
        return Submission.DONE

    def has_deferred_fees(self, token: bytes) -> bool:
        return token in self.deferred

    def settle_fees(self, token: bytes) -> Submission:
        self.settled.append(token)
        if token == TOKENS[1]:
            raise ContractRefused("WrongTransfer")
        self.deferred.discard(token)
        return Submission.DONE


def make(vault: Vault, clock: SimpleNamespace) -> Checkpointer:
    desk = Desk()
    return Checkpointer(
        prove(4, checkpoint=2)[0],
        vault,  # type: ignore[arg-type]
        trio.CapacityLimiter(1),
        book=make_book(desk),
        me=desk.committee.members[0].address,
        interval=1,
        clock=clock,  # type: ignore[arg-type]
        problems=SimpleNamespace(clear=lambda code: None),  # type: ignore[arg-type]
        poll_ms=1,
        load_proof=lambda epoch: None,  # type: ignore[arg-type,return-value]
        on_submitted=lambda candidate, answer: None,
        tokens=lambda: TOKENS,
    )


async def test_a_checkpoint_that_a_reorganisation_took_back_is_brought_again() -> None:
    vault, now = Vault(), [10**9]
    checkpointer = make(vault, SimpleNamespace(now_ms=lambda: now[0]))
    await checkpointer._look()
    await checkpointer._look()
    assert vault.submitted == [1]
    vault.accepted = 0
    await checkpointer._look()
    assert vault.submitted == [1]  # it is not asked every time
    now[0] += CHECKPOINT_VERIFY_MS + 1
    await checkpointer._look()
    await checkpointer._look()
    assert vault.submitted == [1, 1]


async def test_treasury_shares_that_had_to_wait_are_paid_with_the_next_checkpoint() -> None:
    vault = Vault()
    vault.deferred = set(TOKENS)
    await make(vault, SimpleNamespace(now_ms=lambda: 10**9))._look()
    assert vault.settled == list(TOKENS)
    assert vault.deferred == {TOKENS[1]}  # its treasury still refuses, and nothing else stops


class Left:
    """A vault that the assets have left, and what is due there."""

    def __init__(self) -> None:
        self.due: list[bytes] | None = None
        self.given: list[bytes] = []

    def is_left(self) -> bool:
        return True

    def choose(self, candidates: Any) -> None:
        return None

    def list_steps(self) -> list[Step] | None:
        if self.due is None:
            return None
        return [Step(about="funds", take=lambda one=one: self.take(one)) for one in self.due]

    def take(self, token: bytes) -> Submission:
        self.given.append(token)
        if token == TOKENS[0]:
            raise ContractRefused("transfers are off")
        assert self.due is not None
        self.due.remove(token)
        return Submission.DONE


async def test_what_cannot_be_given_is_told_once_and_tried_seldom(
    caplog: pytest.LogCaptureFixture,
) -> None:
    left, now = Left(), [10**9]
    checkpointer = make(Vault(), SimpleNamespace(now_ms=lambda: now[0]))
    checkpointer._farewell = left
    checkpointer._hand_over.vault_epoch = 1
    left.due = [TOKENS[0]]
    for _ in range(3):
        await checkpointer._look()
        now[0] += CHECKPOINT_SPACING_MS
    assert len(left.given) == 2
    now[0] += CHECKPOINT_VERIFY_MS
    await checkpointer._look()
    assert len(left.given) == 3
    warnings = [one for one in caplog.records if "cannot go" in one.getMessage()]
    assert [one.levelname for one in warnings if one.levelno >= logging.WARNING] == ["WARNING"]


async def test_what_the_next_vault_is_owed_is_given_whatever_one_token_does() -> None:
    left, now = Left(), [10**9]
    checkpointer = make(Vault(), SimpleNamespace(now_ms=lambda: now[0]))
    checkpointer._farewell = left
    checkpointer._hand_over.vault_epoch = 1
    await checkpointer._look()
    assert left.given == []
    left.due = list(TOKENS)
    await checkpointer._look()
    assert left.given == []  # it looks only now and then
    now[0] += CHECKPOINT_SPACING_MS
    await checkpointer._look()
    assert left.given == list(TOKENS)
    now[0] += CHECKPOINT_SPACING_MS
    await checkpointer._look()
    assert left.given[2:] == [TOKENS[0]]
    left.due = []
    now[0] += CHECKPOINT_SPACING_MS
    await checkpointer._look()
    left.due = [TOKENS[1]]
    now[0] += CHECKPOINT_SPACING_MS
    await checkpointer._look()
    assert left.given[3:] == []  # all was done; it looks again after a while
    now[0] += CHECKPOINT_VERIFY_MS
    await checkpointer._look()
    assert left.given[3:] == [TOKENS[1]]
