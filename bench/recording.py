"""Write down what a node was given, block by block, and run it again.

Rule: a recording holds everything `execute` takes and nothing it gives; whoever replays it with the
same rules gets the same roots.
Spec: docs/how-to/compile-the-exchange.md
Deviations: funds are credited before the first block instead of being attested.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from exchange.actions import Action, VerifiedAction, decode_action, encode_action
from exchange.execute import BlockInput, Member, execute
from exchange.genesis import ExchangeGenesis
from exchange.ledger import credit
from exchange.roots import update_accounts
from exchange.state import State


class RecordedAction(Struct, array_like=True, frozen=True):
    """An action after its signature check; the payload is empty if it could not be decoded."""

    id: bytes
    error: int
    payload: bytes
    signer: bytes


class RecordedBlock(Struct, array_like=True, frozen=True):
    """One block as the exchange sees it."""

    height: int
    time_ms: int
    block_hash: bytes
    proposer: int
    executed_height: int
    is_seal: bool
    committee: tuple[Member, ...]
    actions: tuple[RecordedAction, ...]


class Funds(Struct, array_like=True, frozen=True):
    """What an account owns before the first block."""

    owner: bytes
    asset: int
    amount: bytes


class Recording(Struct, array_like=True, frozen=True):
    """A genesis, who owns what, and blocks."""

    genesis: ExchangeGenesis
    funds: tuple[Funds, ...]
    blocks: tuple[RecordedBlock, ...]

    def start(self) -> State:
        """Return the state before the first block."""
        return start(self.genesis, self.funds)

    def replay(self) -> Iterator[tuple[bytes, bytes]]:
        """Execute every block; yields state root and fees root."""
        state = self.start()
        for block in self.blocks:
            outcome = execute(state, load_block(block))
            yield outcome.state_root, outcome.fees_root


def start(genesis: ExchangeGenesis, funds: tuple[Funds, ...]) -> State:
    """Make a state in which the funds are credited."""
    state = State(genesis)
    for fund in funds:
        amount = int.from_bytes(fund.amount, "big")
        credit(state, fund.owner, 0, fund.asset, amount)
        state.deposited[fund.asset] += amount
    update_accounts(state)
    return state


def record_block(block: BlockInput) -> RecordedBlock:
    """Write a block down."""
    return RecordedBlock(
        block.height,
        block.time_ms,
        block.block_hash,
        block.proposer,
        block.executed_height,
        block.is_seal,
        block.committee,
        tuple(_record_action(action) for action in block.actions),
    )


def _record_action(action: VerifiedAction) -> RecordedAction:
    payload = b""
    if action.ops:
        payload = encode_action(
            Action(
                action.domain,
                action.account,
                action.sub,
                action.nonce_ms,
                action.deadline_ms,
                action.atomic,
                action.ops,
            )
        )
    return RecordedAction(action.id, action.error, payload, action.signer)


def load_block(block: RecordedBlock) -> BlockInput:
    """Make the input of `execute` again."""
    return BlockInput(
        height=block.height,
        time_ms=block.time_ms,
        block_hash=block.block_hash,
        proposer=block.proposer,
        executed_height=block.executed_height,
        is_seal=block.is_seal,
        committee=block.committee,
        actions=tuple(
            VerifiedAction(a.id, a.error, decode_action(a.payload) if a.payload else None, a.signer)
            for a in block.actions
        ),
    )


def write_recording(recording: Recording, path: Path) -> None:
    """Write a recording to a file."""
    path.write_bytes(msgspec.msgpack.encode(recording))


def read_recording(path: Path) -> Recording:
    """Read a recording. Raises msgspec.MsgspecError if it is none."""
    return msgspec.msgpack.decode(path.read_bytes(), type=Recording)
