"""Run one market of the real exchange under one rule of ordering, without signatures.

Rule: orders go through `exchange.execute` as in a node; what differs between venues is only who
decides the order in which they meet. Fees are zero, so that figures show extraction alone.
Spec: docs/explanation/mev.md. Deviations: none.
"""

from __future__ import annotations

from typing import Final

from exchange.actions import (
    Action,
    AnyOp,
    Commit,
    Open,
    Place,
    VerifiedAction,
    compute_commit_hash,
)
from exchange.commits import choose_tier, compute_needs
from exchange.execute import BlockInput, execute
from exchange.genesis import AssetConfig, ExchangeGenesis, MarketConfig
from exchange.ledger import credit
from exchange.outcome import Fill
from exchange.roots import update_accounts
from exchange.state import State
from primitives.keccak import keccak256

CONTINUOUS: Final = "continuous"
FAIR: Final = "fair"
SHUFFLE: Final = "sealed/shuffle"
UNIFORM: Final = "sealed/uniform"
VENUES: Final = (CONTINUOUS, FAIR, SHUFFLE, UNIFORM)

BLOCK_MS: Final = 100
OPENING_DELAY: Final = 2  # blocks until a commit is known to be final
START_MS: Final = 1_700_000_000_000
DOMAIN: Final = bytes(32)
FUNDS: Final = 10**18
VALIDATOR: Final = b"\x99" * 20
NO_FEES: Final = {"maker_bps": 0, "taker_bps": 0, "commit_fee_ppm": 0}


class Venue:
    """One market; everything of a block is queued, then executed."""

    def __init__(self, name: str, seed: int, price: int, accounts: list[bytes]) -> None:
        self.name = name
        self.is_sealed = name in (SHUFFLE, UNIFORM)
        self._state = State(make_genesis(name, price))
        self._seed = seed
        self._time_ms = START_MS
        self._nonce = START_MS
        self._queue: list[VerifiedAction] = []
        self._openings: list[tuple[int, bytes, Open]] = []
        for account in accounts:
            for asset in (0, 1):
                credit(self._state, account, 0, asset, FUNDS)
                self._state.deposited[asset] += FUNDS
        update_accounts(self._state)
        self.numbers = {self._state.by_address[a].number: a for a in accounts}

    def send(self, account: bytes, *ops: AnyOp) -> None:
        """Put an action into the coming block, behind those that were sent before."""
        self._nonce += 1
        self._queue.append(self._make(account, ops, self._nonce))

    def take(self, account: bytes, order: Place) -> int:
        """Take liquidity in the way of this venue: in plain sight, or sealed and opened later.

        Returns the height whose batch the order belongs to.
        """
        if not self.is_sealed:
            self.send(account, order)
            return self._state.height + (len(self._queue) if self.name == CONTINUOUS else 1)
        self._nonce += 1
        nonce = self._nonce
        salt = keccak256(b"salt %d %d" % (self._seed, nonce))
        commit_hash = compute_commit_hash(DOMAIN, account, 0, nonce, (order,), salt)
        hold, tier = choose_tier(*compute_needs((order,), 1, 1, 0), 1, 1)
        self._queue.append(self._make(account, (Commit(0, hold, tier, commit_hash),), nonce))
        due = self._state.height + 1 + OPENING_DELAY
        self._openings.append((due, account, Open(0, commit_hash, (order,), salt)))
        return self._state.height + 1

    def step(self) -> list[tuple[bytes, bytes, Fill]]:
        """Execute the block; return (maker, taker, fill) of its trades."""
        height = self._state.height + 1
        for _, account, opening in [o for o in self._openings if o[0] <= height]:
            self.send(account, opening)
        self._openings = [o for o in self._openings if o[0] > height]
        queue, self._queue = self._queue, []
        self._time_ms += BLOCK_MS
        if self.name != CONTINUOUS:
            return self._execute(queue)
        fills = []  # each action is a block of its own, in the order that the proposer likes
        for action in queue:
            fills += self._execute([action])
        return fills

    def _execute(self, actions: list[VerifiedAction]) -> list[tuple[bytes, bytes, Fill]]:
        height = self._state.height + 1
        self._time_ms += 1
        block = BlockInput(
            height=height,
            time_ms=self._time_ms,
            block_hash=keccak256(b"block %d %d" % (self._seed, height)),
            proposer=0,
            executed_height=height - 1,
            is_seal=False,
            committee=((VALIDATOR, 1, VALIDATOR),),
            actions=tuple(actions),
        )
        outcome = execute(self._state, block)
        names = self.numbers
        return [(names[f.maker_account], names[f.taker_account], f) for f in outcome.fills]

    def _make(self, account: bytes, ops: tuple[AnyOp, ...], nonce: int) -> VerifiedAction:
        action = Action(DOMAIN, account, 0, nonce, nonce + 80_000_000, False, ops)
        action_id = keccak256(b"action %d %d" % (self._seed, nonce))
        return VerifiedAction(action_id, 0, action, account)


def make_genesis(venue: str, price: int) -> ExchangeGenesis:
    """Return one market of the venue's rule; the opening window is closed by the openings."""
    assets = tuple(
        AssetConfig(
            name=name,
            decimals=0,
            chain_id=1,
            vault="0x" + "11" * 20,
            token="0x" + bytes([number + 1] * 20).hex(),
        )
        for number, name in enumerate(("Q", "B"))
    )
    sealed = venue in (SHUFFLE, UNIFORM)
    market = MarketConfig(
        name="B-Q",
        base=1,
        quote=0,
        tick=1,
        lot=1,
        mode="sealed" if sealed else "fair",
        matching="shuffle" if venue == SHUFFLE else "uniform",
        reference_price=price,
        **NO_FEES,
    )
    return ExchangeGenesis(assets=assets, markets=(market,), checkpoint_interval=1 << 31)
