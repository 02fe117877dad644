"""Have the registry punish the offences that final blocks prove, in turn with the other validators.

Rule: the chain of final blocks on disk is the queue, a mark beside it says how far it is settled;
so nothing is forgotten by a restart and nothing is asked twice. The contract judges the signatures
itself: what it calls no offence, or punished already, is settled.
Spec: docs/spec/node.md (Settlement); docs/spec/consensus.md §11. Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from consensus.evidence import Evidence
from consensus.vote import Vote, hash_pending
from contracts.errors import ContractRefused
from contracts.registry_client import RegistryClient, SignedVote
from contracts.registry_reasons import explain
from node.blocks.records import decode_stored_block
from node.clock import NodeClock
from node.committee.epoch_book import EpochBook
from node.limits import CHECKPOINT_TURN_MS
from node.problems import Problems
from primitives.address import to_checksum
from primitives.errors import OperatorError, TransientError
from storage.chain_reader import ChainReader
from storage.chain_store import ChainStore
from storage.writer import ReadPool, StoreWriter

if TYPE_CHECKING:
    from contracts.rpc import Rpc
    from contracts.transactor import Transactor
    from node.network_file import Chain
    from node.node import Node

log = logging.getLogger("omnibazaar.settlement")
T = TypeVar("T")

MARK: Final = "evidence_settled"  # height up to which every offence is settled
BLOCKS_PER_LOOK: Final = 256
BLOCKS_PER_MARK: Final = 1_024  # without an offence the mark is written this often
SETTLED_REASONS: Final = frozenset({"AlreadyPunished", "NoEquivocation", "NotRegistered"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Offence:
    """Two votes that a final block proves against a key."""

    height: int
    hot_key: bytes
    evidence: Evidence


class EvidenceReporter:
    """Follows the final blocks on disk and reports what they prove."""

    def __init__(
        self,
        client: RegistryClient,
        limiter: trio.CapacityLimiter,
        *,
        readers: ReadPool[ChainReader],
        writer: StoreWriter[ChainStore],
        book: EpochBook,
        me: bytes,
        clock: NodeClock,
        problems: Problems,
        poll_ms: int,
    ) -> None:
        self._client = client
        self._limiter = limiter
        self._readers = readers
        self._writer = writer
        self._book = book
        self._me = me
        self._clock = clock
        self._problems = problems
        self._poll_s = poll_ms / 1_000
        self._settled: int | None = None  # height; None before the mark is read
        self._saved = 0  # height of the mark on disk
        self._ready: tuple[int, int] = (0, 0)  # height of the offence in hand, when it was found

    async def run(self) -> None:
        """Look and report until cancelled; a chain that is away is waited for."""
        while True:
            await trio.sleep(self._poll_s)
            try:
                while await self.step():
                    pass
                self._problems.clear("EVM009")
            except TransientError as error:
                log.debug("an offence is not reported yet: %s", error)
            except (ContractRefused, OperatorError) as error:
                self._problems.set(
                    "EVM009",
                    f"the registry does not take a report of conflicting votes: {error}",
                    fix="check that the gas account holds native coin; other validators go on",
                )

    async def step(self) -> bool:
        """Settle the next blocks; False when there is nothing to do now.

        Raises TransientError, ContractRefused, OperatorError.
        """
        if self._settled is None:
            mark = await self._readers.run(ChainReader.meta, MARK)
            self._settled = self._saved = 0 if mark is None else int.from_bytes(mark, "big")
        rows = await self._readers.run(ChainReader.block_range, self._settled + 1, BLOCKS_PER_LOOK)
        is_news = False
        for row in rows:
            for offence in find_offences(row.encoded, self._book):
                if not self._is_my_turn(offence):
                    if not await self._is_punished(offence):
                        return False
                elif not await self._report(offence):
                    return False
                is_news = True
            self._settled = row.summary.height
        if is_news or self._settled - self._saved >= BLOCKS_PER_MARK:
            await self._save()
        return bool(rows)

    def _is_my_turn(self, offence: Offence) -> bool:
        """Members take turns by height, who has no seat comes last."""
        now_ms = self._clock.now_ms()
        if self._ready[0] != offence.height:
            self._ready = (offence.height, now_ms)
        committee = self._book.current.committee
        seat = committee.index_of(self._me)
        count = len(committee)
        turn = count if seat is None else (seat - offence.height) % count
        return now_ms - self._ready[1] >= turn * CHECKPOINT_TURN_MS

    async def _is_punished(self, offence: Offence) -> bool:
        vote = offence.evidence.first
        return await self._call(self._client.is_punished, offence.hot_key, vote.epoch, vote.view)

    async def _report(self, offence: Offence) -> bool:
        """Return True once the registry has judged."""
        first, second = offence.evidence.first, offence.evidence.second
        accused = to_checksum(offence.hot_key)
        try:
            done = await self._call(
                self._client.report, offence.hot_key, to_signed_vote(first), to_signed_vote(second)
            )
        except ContractRefused as refusal:
            if refusal.reason not in SETTLED_REASONS:
                raise
            log.warning("%s is not punished: %s", accused, explain(refusal))
            return True
        log.warning(
            "%s signed two conflicting votes in epoch %d view %d; reported: %s",
            accused,
            first.epoch,
            first.view,
            done.value,
        )
        return True

    async def _save(self) -> None:
        assert self._settled is not None, "something was looked at"
        mark = self._settled.to_bytes(8, "big")
        await self._writer.run(ChainStore.put_meta, MARK, mark)
        self._saved = self._settled

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await trio.to_thread.run_sync(
            function, *arguments, limiter=self._limiter, abandon_on_cancel=True
        )


def make_reporter(
    node: Node,
    chain: Chain,
    rpc: Rpc,
    transactor: Transactor,
    limiter: trio.CapacityLimiter,
) -> EvidenceReporter:
    """Return a node's reporter to the registry that its network follows."""
    client = RegistryClient(
        rpc,
        chain_id=chain.chain_id,
        registry=bytes.fromhex(chain.registry[2:]),
        network_id=node.file.network_id,
        transactor=transactor,
    )
    return EvidenceReporter(
        client,
        limiter,
        readers=node.stores.readers,
        writer=node.stores.writer,
        book=node.book,
        me=node.key.address,
        clock=node.clock,
        problems=node.problems,
        poll_ms=node.config.evm.poll_ms,
    )


def find_offences(encoded: bytes, book: EpochBook) -> tuple[Offence, ...]:
    """Return what a stored block proves; nothing of an epoch whose committee is not known here."""
    block = decode_stored_block(encoded)
    found = []
    for evidence in block.body.evidence:
        hot_key = book.address(evidence.first.epoch, evidence.offender)
        if hot_key is not None:
            found.append(Offence(height=block.height, hot_key=hot_key, evidence=evidence))
    return tuple(found)


def to_signed_vote(vote: Vote) -> SignedVote:
    """Return a vote as the contract reads it."""
    return SignedVote(
        kind=int(vote.kind),
        epoch=vote.epoch,
        view=vote.view,
        block_hash=vote.block_hash,
        pending_hash=hash_pending(vote.pending),
        signature=vote.signature,
    )
