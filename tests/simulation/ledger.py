"""Stand in for the exchange: deterministic roots over final blocks, bundles that arrive late.

Rule: it implements `consensus.application.Application` in full, inclusion duty and checkpoints
included; a bundle's digest is the id of its only action.
Spec: docs/spec/consensus.md (Application). Deviations: none.
"""

from __future__ import annotations

import hashlib

from consensus.application import Roots, Verdict
from consensus.block import Block
from consensus.limits import PENDING_IDS_MAX

BUNDLES_MAX = 8
PENDING_AGE_MS = 80
GENESIS_ROOTS = Roots(hashlib.sha256(b"state").digest(), hashlib.sha256(b"fees").digest())


def execute(parent: Roots, block: Block) -> Roots:
    """Return the roots after a block."""
    state = hashlib.sha256(parent.state + block.hash).digest()
    return Roots(state, hashlib.sha256(parent.fees + block.hash).digest())


class Ledger:
    """One node's application. `fetch` is called with a bundle that is missing."""

    def __init__(self, fetch) -> None:
        self._fetch = fetch
        self.is_censor = False
        self.roots = [GENESIS_ROOTS]
        self.waiting: list[Block] = []  # final, not executed
        self.held: dict[bytes, int] = {}  # bundle → when it arrived
        self.open: dict[bytes, int] = {}  # those held that are not final
        self.final: dict[bytes, int] = {}  # bundle → height

    def receive(self, digest: bytes, now: int) -> None:
        self.held.setdefault(digest, now)
        if digest not in self.final:
            self.open.setdefault(digest, now)

    def finalize(self, block: Block) -> None:
        self.waiting.append(block)
        for digest in block.body.bundles:
            self.final.setdefault(digest, block.height)
            self.open.pop(digest, None)

    def execute_next(self) -> None:
        block = self.waiting.pop(0)
        assert block.height == len(self.roots), "blocks are executed in order"
        self.roots.append(execute(self.roots[-1], block))

    def executed(self) -> tuple[int, Roots]:
        return len(self.roots) - 1, self.roots[-1]

    def roots_at(self, height: int) -> Roots | None:
        return self.roots[height] if height < len(self.roots) else None

    def checkpoint_digest(self, height: int) -> bytes | None:
        roots = self.roots_at(height)
        return hashlib.sha256(b"checkpoint" + roots.state).digest() if roots else None

    def holds_bundles(self, digests: tuple[bytes, ...]) -> bool:
        missing = [digest for digest in digests if digest not in self.held]
        for digest in missing:
            self._fetch(digest)
        return not missing

    def propose_bundles(
        self, ancestors: tuple[Block, ...], required: tuple[bytes, ...], now: int
    ) -> tuple[bytes, ...] | None:
        if self.is_censor:
            return ()
        included = {digest for block in ancestors for digest in block.body.bundles}
        due = [x for x in required if x not in included and x not in self.final]
        if not self.holds_bundles(tuple(due)):
            return None
        more = [digest for digest in self.open if digest not in included and digest not in due]
        return tuple(due + more[: max(0, BUNDLES_MAX - len(due))])

    def check_inclusion(
        self, block: Block, ancestors: tuple[Block, ...], required: tuple[bytes, ...]
    ) -> Verdict:
        included = {digest for other in (*ancestors, block) for digest in other.body.bundles}
        owed = [x for x in required if x not in included and x not in self.final]
        return Verdict.INVALID if owed else Verdict.VALID

    def pending_ids(self, now: int) -> tuple[bytes, ...]:
        old = [digest for digest, arrived in self.open.items() if now - arrived >= PENDING_AGE_MS]
        return tuple(sorted(old[:PENDING_IDS_MAX]))

    def has_work(self) -> bool:
        return bool(self.open)
