"""Keep the exchange's state and its tape, execute final blocks on them, and remember the roots.

Rule: the state changes only in `execute`, only by the next final block in height order.
Spec: design law "one writer"; docs/spec/node.md (Execution). Deviations: none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from consensus.application import Roots
from consensus.block import Block
from consensus.participation.accumulator import Participation
from exchange.actions import VerifiedAction
from exchange.execute import BlockInput, execute
from exchange.genesis import ExchangeGenesis
from exchange.outcome import Outcome
from exchange.restore import restore
from exchange.roots import compute_fees_root, compute_roots, compute_state_root
from exchange.snapshot import snapshot
from exchange.state import State
from exchange.sweeping import is_sweeping
from node.limits import ROOTS_KEPT_MAX
from node.replica.scorekeeper import Scorekeeper
from node.replica.tape import Tape
from node.replica.tape_snapshot import unwrap_chunks, wrap_chunks
from node.replica.upgrades import verify_known
from primitives.errors import InvalidMessage

Committee = tuple[tuple[bytes, int, bytes], ...]
"""(address, weight, payout) per seat, as the exchange wants it."""


NO_DIGEST = bytes(32)


class Ledger:
    """The replicated state machine as this node runs it. Single-threaded."""

    def __init__(
        self,
        genesis: ExchangeGenesis,
        committee: Committee,
        scorekeeper: Scorekeeper | None = None,
    ) -> None:
        """Without a scorekeeper fees are shared by weight alone."""
        self._genesis = genesis
        self._committee = committee
        self.scorekeeper = scorekeeper
        self._roots: OrderedDict[int, Roots] = OrderedDict()
        self._digests: OrderedDict[int, bytes] = OrderedDict()
        self.state = State(genesis)
        self.tape = Tape()
        self._remember_state()

    def restore(self, chunks: Sequence[bytes]) -> None:
        """Replace the state by a snapshot. Raises PeerError when the chunks are no snapshot."""
        parts, tape, dump = unwrap_chunks(chunks)
        state = restore(self._genesis, parts)
        if tape.height != state.height or len(tape.events) > len(state.accounts):
            raise InvalidMessage("the snapshot's tape is not of its state")
        scores = self.scorekeeper
        if scores is not None:
            rules = scores.participation.rules
            scores.participation = Participation.load(rules, dump, state.participation)
        self.state, self.tape = state, tape
        self._roots.clear()
        self._remember_state()

    @property
    def height(self) -> int:
        """The highest executed height."""
        return self.state.height

    @property
    def roots(self) -> Roots:
        """The roots after the highest executed height."""
        return self._roots[self.state.height]

    def roots_at(self, height: int) -> Roots | None:
        """Return the roots after one of the newest executed heights."""
        return self._roots.get(height)

    def checkpoint_digest(self, height: int) -> bytes | None:
        """Return the digest of the snapshot manifest after a checkpoint height."""
        return self._digests.get(height)

    def set_checkpoint_digest(self, height: int, digest: bytes) -> None:
        """Remember the digest of the snapshot just made."""
        self._digests[height] = digest
        if len(self._digests) > ROOTS_KEPT_MAX:
            self._digests.popitem(last=False)

    @property
    def has_pending_batches(self) -> bool:
        """True while a market waits for openings, or its orders end by themselves."""
        return any(market.batches or is_sweeping(market) for market in self.state.markets)

    def execute(self, block: Block, actions: tuple[VerifiedAction, ...]) -> Outcome:
        """Execute the final block that follows the executed ones. Raises ProgramTooOld."""
        header = block.header
        assert header.height == self.state.height + 1, "blocks are executed in order of height"
        verify_known(self.state.protocol, header.height)
        scores = self.scorekeeper
        committee = pay = self._committee
        if scores is not None:
            committee, pay = scores.committee, scores.pay  # of those who made the block
            scores.add_block(block, self.state.notes)
        outcome = execute(
            self.state,
            BlockInput(
                height=header.height,
                time_ms=header.time_ms,
                block_hash=block.hash,
                proposer=header.proposer,
                executed_height=header.executed_height,
                is_seal=False,
                committee=committee,
                actions=actions,
                pay=pay,
                participation_digest=NO_DIGEST if scores is None else scores.digest,
                registered=() if scores is None else scores.registered,
            ),
        )
        self.tape.apply(outcome, self.state.accounts, self.state.markets)
        self.tape.link(block)
        self.remember(outcome.height, Roots(outcome.state_root, outcome.fees_root))
        return outcome

    def snapshot(self) -> tuple[bytes, ...]:
        """Return the chunks of the state and the tape as they are now."""
        scores = self.scorekeeper
        dump = b"" if scores is None else scores.participation.dump()
        return wrap_chunks(snapshot(self.state), self.tape, dump)

    def _remember_state(self) -> None:
        state_root = compute_state_root(compute_roots(self.state))
        self.remember(self.state.height, Roots(state_root, compute_fees_root(self.state)))

    def remember(self, height: int, roots: Roots) -> None:
        """Keep the roots of a height, newest last; at most ROOTS_KEPT_MAX."""
        self._roots[height] = roots
        if len(self._roots) > ROOTS_KEPT_MAX:
            del self._roots[min(self._roots)]
