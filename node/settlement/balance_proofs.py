"""Prove a balance against a header that a quorum has finalized.

Rule: a proof is taken of the state as it is now and given out with the first final header that
states exactly this height; if consensus skips the height, it is taken again.
Spec: docs/spec/light-client.md. Deviations: none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import trio

from consensus.block import Block
from consensus.certificate import Certificate
from consensus.committee import Member
from exchange.roots import EscapeProof, escape_proof
from node.committee.epoch_book import EpochBook
from node.limits import BALANCE_PROOF_TRIES_MAX, HEADERS_PER_CHECKPOINT_MAX
from node.replica.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenBalance:
    """One balance, the headers that lead to a certified one, and their committee."""

    proof: EscapeProof
    headers: tuple[bytes, ...]
    certificate: Certificate
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Certified:
    executed_height: int  # that the first header states
    headers: tuple[bytes, ...]
    certificate: Certificate


def is_next(before: Block, block: Block) -> bool:
    """True for a child in the same epoch: a certificate proves no other epoch's blocks."""
    return before.hash == block.parent_hash and before.header.epoch == block.header.epoch


class BalanceProofs:
    """Waits with requests for the headers that prove them. One task at a time changes it."""

    def __init__(self, ledger: Ledger, book: EpochBook) -> None:
        self._ledger = ledger
        self._book = book
        self._headers: deque[Block] = deque(maxlen=HEADERS_PER_CHECKPOINT_MAX)
        self._newest: tuple[_Certified, ...] = ()
        self._changed = trio.Event()

    def on_final(self, block: Block, certificate: Certificate | None) -> None:
        """Take the next final block; a certificate proves it and its ancestors."""
        if self._headers and not is_next(self._headers[-1], block):
            self._headers.clear()
        self._headers.append(block)
        if certificate is None or certificate.block_hash != block.hash:
            return
        chain = list(self._headers)
        self._newest = tuple(
            _Certified(
                executed_height=first.header.executed_height,
                headers=tuple(one.body.header for one in chain[position:]),
                certificate=certificate,
            )
            for position, first in enumerate(chain)
        )
        self._changed.set()
        self._changed = trio.Event()

    async def prove(self, owner: bytes, sub: int, asset: int) -> ProvenBalance | None:
        """Return a proof, or None when there is no such balance or nothing becomes final."""
        for _ in range(BALANCE_PROOF_TRIES_MAX):
            height = self._ledger.height
            proof = escape_proof(self._ledger.state, owner, sub, asset)
            if proof is None:
                return None
            found = await self._wait_for(height)
            if found is not None:
                return ProvenBalance(
                    proof=proof,
                    headers=found.headers,
                    certificate=found.certificate,
                    members=self._book.committee(found.certificate.epoch).members,
                )
        return None

    async def _wait_for(self, height: int) -> _Certified | None:
        """Return a certified header that states the height, None when a later one came first."""
        while True:
            found = [one for one in self._newest if one.executed_height == height]
            if found:
                return found[-1]
            if self._newest and self._newest[-1].executed_height > height:
                return None
            await self._changed.wait()
