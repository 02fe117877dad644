"""Replay a long chain from ranges of blocks, as a node without a seat does.

Rule: a range goes through the wire's encoding, its certificate and links are checked by the real
replica, every block is executed and written.
Spec: docs/spec/consensus.md §10 (Ranges). Deviations: answers come at once, without a network.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bench.long_chain import LongChain
from consensus.addressed import Action, BeginEpoch, Deliver
from consensus.application import Roots, Verdict
from consensus.effects import Final
from consensus.epoch import Epoch
from consensus.epochs import Epochs
from consensus.guard import Guard
from consensus.messages import GetRange, Status, decode_message, encode_message
from node.blocks.executor import Execution, FinalBlock
from node.blocks.ranges import make_range
from node.blocks.records import make_executed_record, make_final_record
from node.committee.epoch_book import EpochBook, make_genesis_epoch, make_parameters
from node.committee.succession import ScoredSuccession
from node.keys.signing_key import KeySigner, KeyVerifier
from node.replica.ledger import Ledger
from node.replica.scorekeeper import make_scorekeeper
from primitives.secp256k1 import PrivateKey
from storage.chain_store import ChainStore

OBSERVER = PrivateKey(b"\x77" * 32)


class FollowingLedger:
    """`consensus.application.Application` of a node that only follows empty blocks."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def executed(self) -> tuple[int, Roots]:
        """Return the executed height and its roots."""
        return self._ledger.height, self._ledger.roots

    def roots_at(self, height: int) -> Roots | None:
        """Return the roots after a recent height."""
        return self._ledger.roots_at(height)

    def checkpoint_digest(self, height: int) -> bytes | None:
        """Say nothing: whoever follows proposes nothing."""
        return None

    def holds_bundles(self, digests: tuple[bytes, ...]) -> bool:
        """True: the blocks are empty."""
        return not digests

    def propose_bundles(
        self, ancestors: object, required: tuple[bytes, ...], now: int
    ) -> tuple[bytes, ...] | None:
        """Propose nothing."""
        return ()

    def check_inclusion(
        self, block: object, ancestors: object, required: tuple[bytes, ...]
    ) -> Verdict:
        """Never asked of an observer."""
        return Verdict.VALID

    def pending_ids(self, now: int) -> tuple[bytes, ...]:
        """Return nothing."""
        return ()

    def has_work(self) -> bool:
        """False: nobody trades here."""
        return False


class Follower:
    """A node that takes ranges, executes and writes."""

    def __init__(self, chain: LongChain, folder: Path) -> None:
        folder.mkdir(parents=True)
        file = chain.file
        self._chain = chain
        self.store = ChainStore(folder / "chain.sqlite", file.network_id)
        seats = tuple((s.address_bytes, s.weight, s.payout_bytes) for s in file.committee)
        self.ledger = Ledger(file.exchange, seats, make_scorekeeper(file))
        self.book = EpochBook(make_genesis_epoch(file))
        self._epochs = Epochs(
            make_parameters(file),
            self.book.current,
            OBSERVER.address,
            KeySigner(OBSERVER),
            KeyVerifier(),
            FollowingLedger(self.ledger),
            ScoredSuccession(self.ledger, self.book),
            Guard(),
        )
        self._now = 1
        self._begins: Epoch | None = None
        self._peer = chain.book.current.committee.address(0)

    def run(self, height: int) -> None:
        """Replay up to a height at least."""
        epochs = self._epochs
        self._take(epochs.start(self._now))
        while self.ledger.height < height:
            self._now += 1_000
            epoch = self._chain.book.current.number
            status = Status(0, epoch, 1 << 40, 1 << 40, self._chain.height, 0)
            if epoch == epochs.epoch.number:
                status = Status(0, epoch, 1, 0, self._chain.height, 0)
            self._take(epochs.on_message(self._now, self._peer, status))

    def _take(self, actions: tuple[Action, ...]) -> None:
        for action in actions:
            if isinstance(action, Final):
                self._execute(action)
            elif isinstance(action, BeginEpoch):
                self.book.begin(action.epoch)
                self._begins = action.epoch
            elif isinstance(action, Deliver) and isinstance(action.message, GetRange):
                self._answer(action.message)

    def _answer(self, question: GetRange) -> None:
        rows = self._chain.store.read.block_range(question.from_height, 128)
        found = make_range(rows)
        if found is not None:
            message = decode_message(encode_message(found))
            self._take(self._epochs.on_message(self._now, self._peer, message))
            self._now += 1_000
            self._take(self._epochs.on_application(self._now))

    def _execute(self, final: Final) -> None:
        outcome = self.ledger.execute(final.block, ())
        execution = Execution(
            final=FinalBlock(
                block=final.block,
                certificate=final.certificate,
                proposed_ms=0,
                final_ms=0,
                seals=final.seals,
                begins=self._begins,
            ),
            bundles=(),
            actions=(),
            outcome=outcome,
            tape=self.ledger.tape.block,
            chunks=(),
        )
        record = make_final_record(execution)
        self._begins = None
        self.store.write_final(record)
        self.store.write_executed(
            make_executed_record(outcome, self.ledger.state, self.ledger.tape.block)
        )


def replay(chain: LongChain, folder: Path, height: int) -> dict[str, Any]:
    """Replay the first blocks of a chain; return the rate and whether the roots are equal."""
    follower = Follower(chain, folder)
    began = time.perf_counter()
    follower.run(min(height, chain.height - chain.height % 128 - 128))
    seconds = time.perf_counter() - began
    done = follower.ledger.height
    known = chain.store.read.executed(done)
    follower.store.close()
    return {
        "replayed": done,
        "replay_blocks_per_s": round(done / seconds),
        "replay_equal": known is not None and known.state_root == follower.ledger.roots.state,
    }
