"""Bring finalized state roots to a vault, in turn with the other validators.

Rule: any final header that carries a snapshot digest may be brought by anyone; a skipped one loses
nothing, because withdrawals and fees in a root are cumulative. The newest provable one is sent.
Spec: docs/spec/settlement.md §4; docs/spec/node.md (Settlement). Deviations: none.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

from consensus.block import Block
from consensus.certificate import Certificate
from consensus.header import ZERO_HASH
from contracts.errors import ContractRefused
from contracts.settlement_client import SettlementClient
from contracts.settlement_types import (
    CheckpointSubmission,
    FeeTotal,
    Submission,
)
from contracts.vault_leaving import Step
from exchange.outcome import FeeRow, Outcome
from node.clock import NodeClock
from node.committee.epoch_book import EpochBook
from node.limits import (
    CANDIDATES_KEPT_MAX,
    CHECKPOINT_SPACING_MS,
    CHECKPOINT_TURN_MS,
    CHECKPOINT_VERIFY_MS,
    HEADERS_PER_CHECKPOINT_MAX,
    ROOTS_KEPT_MAX,
)
from node.problems import Problems
from node.settlement.balance_proofs import is_next
from node.settlement.boundaries import Crossing, HandOver, to_members
from primitives.errors import NodeError, TransientError

log = logging.getLogger("omnibazaar.settlement")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A checkpoint this node can prove."""

    height: int
    epoch: int
    executed_height: int
    state_root: bytes
    digest: bytes  # of the snapshot manifest's CID
    submission: CheckpointSubmission
    ready_ms: int


class CheckpointProofs:
    """Collect final headers until a certificate proves a checkpoint. Pure and single-threaded."""

    def __init__(self, book: EpochBook) -> None:
        self._book = book
        self._headers: deque[Block] = deque(maxlen=HEADERS_PER_CHECKPOINT_MAX)
        self._fees: OrderedDict[int, tuple[FeeRow, ...]] = OrderedDict()
        self.newest: Candidate | None = None
        self.recent: deque[Candidate] = deque(maxlen=CANDIDATES_KEPT_MAX)

    def on_executed(self, outcome: Outcome) -> None:
        """Remember the fee totals under a fees root."""
        self._fees[outcome.height] = outcome.fee_rows
        if len(self._fees) > ROOTS_KEPT_MAX:
            self._fees.popitem(last=False)

    def on_final(
        self,
        block: Block,
        certificate: Certificate | None,
        now_ms: int,
        seals: tuple[Block, ...] = (),
    ) -> None:
        """Take the next final block; a certificate proves it and its ancestors, and that of a
        boundary block's last seal the boundary and what lies before it.
        """
        if self._headers and not is_next(self._headers[-1], block):
            self._headers.clear()
        self._headers.append(block)
        self._headers.extend(seals)
        if certificate is None or certificate.block_hash != self._headers[-1].hash:
            return
        for position in range(len(self._headers) - 1, -1, -1):
            start = self._headers[position]
            if start.header.checkpoint_digest != ZERO_HASH:
                self._prove(start, position, certificate, now_ms)
                return

    def _prove(self, start: Block, position: int, certificate: Certificate, now_ms: int) -> None:
        header = start.header
        rows = self._fees.get(header.executed_height)
        if rows is None or (self.newest is not None and self.newest.height >= header.height):
            return
        chain = list(self._headers)[position:]
        self.newest = Candidate(
            height=header.height,
            epoch=header.epoch,
            executed_height=header.executed_height,
            state_root=header.state_root,
            digest=header.checkpoint_digest,
            ready_ms=now_ms,
            submission=CheckpointSubmission(
                headers=tuple(block.body.header for block in chain),
                executed_height=header.executed_height,
                signers=certificate.bitmap_word,
                signatures=certificate.packed_signatures,
                members=to_members(self._book.committee(header.epoch)),
                fees=to_fee_totals(rows),
            ),
        )
        self.recent.append(self.newest)


def to_fee_totals(rows: Sequence[FeeRow]) -> tuple[FeeTotal, ...]:
    """Return the rows of a fees root as the vault takes them."""
    return tuple(
        FeeTotal(
            chain_id=row.chain_id,
            vault=row.vault,
            token=row.token,
            total=row.total,
            owed=row.owed,
        )
        for row in rows
    )


class Farewell(Protocol):
    """What a vault that the assets have left is still told."""

    def is_left(self) -> bool:
        """Tell whether the assets have left."""

    def choose(self, candidates: Sequence[Candidate]) -> Candidate | None:
        """Return the checkpoint to bring now, None for none. Blocking; raises NodeError."""

    def list_steps(self) -> list[Step] | None:
        """Return what is due to complete the move, None before that can be told. Blocking; raises
        NodeError.
        """


class Checkpointer:
    """Submits candidates to one vault when it is this validator's turn."""

    def __init__(
        self,
        proofs: CheckpointProofs,
        client: SettlementClient,
        limiter: trio.CapacityLimiter,
        *,
        book: EpochBook,
        me: bytes,
        interval: int,
        clock: NodeClock,
        problems: Problems,
        poll_ms: int,
        load_proof: Callable[[int], Awaitable[bytes | None]],
        on_submitted: Callable[[Candidate, Submission], None],
        tokens: Callable[[], Sequence[bytes]] = tuple,
        farewell: Farewell | None = None,
    ) -> None:
        """`load_proof` returns what proves the boundary block of an epoch, `tokens` those of the
        vault's assets, which become more with time; `farewell` chooses the last checkpoints once
        they have left it.
        """
        self._proofs = proofs
        self._client = client
        self._limiter = limiter
        self._book = book
        self._me = me
        self._interval = interval
        self._clock = clock
        self._problems = problems
        self._poll_s = poll_ms / 1_000
        self._on_submitted = on_submitted
        self._tokens = tokens
        self._farewell = farewell
        self._done_height = 0
        self._verified_ms = 0
        self._last_sent_ms = 0
        self._due_since_ms = 0
        self._next_step_ms = 0
        self._refusals: dict[str, str] = {}  # what could not be done of a move, and why
        self._hand_over = HandOver(
            book=book,
            me=me,
            clock=clock,
            read_epoch=lambda: self._call(client.epoch),
            load_proof=load_proof,
            submit=self._cross,
        )

    async def run(self) -> None:
        """Submit until cancelled; failures are retried with the newest candidate of the time."""
        while True:
            await trio.sleep(self._poll_s)
            try:
                if await self._hand_over.step():
                    await self._look()
            except TransientError as error:
                log.debug("nothing settled: %s", error)
            except (ContractRefused, NodeError) as error:
                if self._farewell is not None and self._farewell.is_left():
                    log.debug("the vault that was left takes nothing: %s", error)
                    continue
                self._problems.set(
                    "EVM004",
                    f"the vault does not take what is final: {error}",
                    fix="check that the gas account holds native coin; other validators go on",
                )
                await trio.sleep(CHECKPOINT_SPACING_MS / 1_000)

    async def _look(self) -> None:
        """Submit the newest candidate if it is news and our turn."""
        candidate = self._proofs.newest
        if self._farewell is not None and self._farewell.is_left():
            candidate = await self._call(self._farewell.choose, tuple(self._proofs.recent))
            if candidate is None:
                await self._complete_move(self._farewell)
        if candidate is None:
            return
        if candidate.height <= self._done_height:
            await self._verify_done(candidate)
            return
        if candidate.epoch < self._hand_over.vault_epoch or not self._is_my_turn(candidate):
            return  # a later checkpoint says all that one of a past epoch would
        await self._submit(candidate)
        self._problems.clear("EVM004")

    async def _complete_move(self, farewell: Farewell) -> None:
        """Do what is due since the assets have left, in turn with the other validators."""
        now_ms = self._clock.now_ms()
        if now_ms < self._next_step_ms:
            return
        steps = await self._call(farewell.list_steps)
        pause_ms = CHECKPOINT_VERIFY_MS if steps == [] else CHECKPOINT_SPACING_MS
        self._next_step_ms = now_ms + pause_ms
        self._due_since_ms = (self._due_since_ms or now_ms) if steps else 0
        me = self._book.index(self._hand_over.vault_epoch, self._me)
        if me is None or now_ms - self._due_since_ms < me * CHECKPOINT_TURN_MS:
            return
        before, self._refusals = self._refusals, {}
        for step in steps or ():
            try:
                answer = await self._call(step.take)
                log.info("%s to the next vault: %s", step.about, answer.value)
            except (ContractRefused, TransientError) as error:
                self._refusals[step.about] = str(error)
                is_news = before.get(step.about) != str(error)
                level = logging.WARNING if is_news else logging.DEBUG
                log.log(level, "%s cannot go to the next vault now: %s", step.about, error)
        if steps and self._refusals == before and len(before) == len(steps):
            self._next_step_ms = now_ms + CHECKPOINT_VERIFY_MS  # nothing changes soon

    async def _verify_done(self, candidate: Candidate) -> None:
        """Look now and then whether a deep re-organisation has taken the newest one back."""
        now_ms = self._clock.now_ms()
        if now_ms - self._verified_ms < CHECKPOINT_VERIFY_MS:
            return
        self._verified_ms = now_ms
        if await self._call(self._client.executed_height) < candidate.executed_height:
            self._done_height = 0

    async def _settle_deferred(self) -> None:
        """Pay treasury shares that a checkpoint could not pay, if they can be paid now."""
        for token in self._tokens():
            try:
                if await self._call(self._client.has_deferred_fees, token):
                    await self._call(self._client.settle_fees, token)
            except (ContractRefused, TransientError) as error:
                log.debug("fees in 0x%s wait: %s", token.hex(), error)

    async def _cross(self, crossing: Crossing) -> None:
        await self._call(
            self._client.submit_boundary,
            crossing.submission,
            crossing.next_members,
            crossing.next_epoch,
        )

    def _is_my_turn(self, candidate: Candidate) -> bool:
        now_ms = self._clock.now_ms()
        me = self._book.index(candidate.epoch, self._me)
        if me is None or now_ms - self._last_sent_ms < CHECKPOINT_SPACING_MS:
            return False
        turn = (me - candidate.height // self._interval) % len(
            self._book.committee(candidate.epoch)
        )
        return now_ms - candidate.ready_ms >= turn * CHECKPOINT_TURN_MS

    async def _submit(self, candidate: Candidate) -> None:
        accepted = await self._call(self._client.executed_height)
        if accepted >= candidate.executed_height:
            self._done_height = candidate.height
            return
        self._last_sent_ms = self._clock.now_ms()
        answer = await self._call(self._client.submit_checkpoint, candidate.submission)
        self._done_height = candidate.height
        self._on_submitted(candidate, answer)
        log.info("checkpoint %d settled: %s", candidate.height, answer.value)
        if answer is Submission.DONE:
            await self._settle_deferred()

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await trio.to_thread.run_sync(
            function, *arguments, limiter=self._limiter, abandon_on_cancel=True
        )
