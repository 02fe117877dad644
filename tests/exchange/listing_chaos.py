"""Chaos in which validators list assets and markets, change terms, delist, and change their minds.

Rule: the words given depend on the state of the one ledger that makes the blocks; the same blocks
can be fed to any other.
Spec: docs/spec/markets.md
Deviations: none.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from exchange.actions import ListAsset, ListMarket, SetMarket, SetTerms, VerifiedAction
from exchange.execute import BlockInput
from exchange.genesis import AssetConfig, MarketConfig
from exchange.market import AUCTION, CANCEL_ONLY, DELISTED, OPEN, POST_ONLY
from primitives.keccak import keccak256
from tests.exchange.chaos import Chaos
from tests.exchange.world import DOMAIN

MODES: tuple[Literal["sealed"], Literal["fair"], Literal["auction"]] = (
    "sealed",
    "fair",
    "auction",
)
Vote = ListAsset | ListMarket | SetTerms | SetMarket


class ListingChaos(Chaos):
    """Chaos over a number of markets that grows and shrinks."""

    def make_block(self) -> BlockInput:
        block = super().make_block()
        rng = self.random
        self.markets = len(self.world.state.markets) + (rng.random() < 0.1)
        if rng.random() < 0.5:
            wish = self.make_wish()
            voters = self.world.committee[: 4 if rng.random() < 0.7 else 2]
            actions = [*block.actions, *(self.make_vote(voter[0], wish) for voter in voters)]
            rng.shuffle(actions)
            block.actions = tuple(actions)
        return block

    def make_wish(self) -> Vote:
        rng, state = self.random, self.world.state
        height = rng.choice((0, self.height + 9, self.height + 15))
        draw = rng.randrange(8)
        listings = state.listings
        if draw == 0:
            return ListAsset(listings.round, height, self.make_asset())
        if draw < 3:
            opening = rng.choice((0, 1, 5))
            return ListMarket(listings.round, height, opening, self.make_market())
        market = rng.choice(state.markets)
        if draw < 6:
            return SetTerms(market.id, market.round, height, self.change_terms(market.terms))
        status = rng.choice((OPEN, OPEN, OPEN, OPEN, POST_ONLY, CANCEL_ONLY, AUCTION))
        if market.id > 1 and rng.random() < 0.2:
            status = DELISTED
        return SetMarket(market.id, market.round, status)

    def make_asset(self) -> AssetConfig:
        rng = self.random
        n = rng.randrange(5)
        known = self.world.state.assets[0].terms
        token = "0x" + bytes([0x90 + n] * 20).hex()
        return msgspec.structs.replace(known, name=f"NEW{n}", token=token)

    def make_market(self) -> MarketConfig:
        rng, state = self.random, self.world.state
        terms = rng.choice(state.markets).terms
        base = rng.choice((1, 1, 1, rng.randrange(6)))
        terms = self.guard(terms) if rng.random() < 0.4 else terms
        return msgspec.structs.replace(terms, name=f"L{rng.randrange(7)}", base=base)

    def guard(self, terms: MarketConfig) -> MarketConfig:
        """Bands, breakers and auctions, with short waits."""
        rng = self.random
        return msgspec.structs.replace(
            terms,
            band_bps=rng.choice((0, 0, 40, 400)),
            breaker_bps=rng.choice((0, 0, 30, 300)),
            halt_ms=rng.choice((1_000, 2_000)),
            opening_ms=rng.choice((0, 0, 600)),
            auction_interval_ms=1_000,
        )

    def change_terms(self, terms: MarketConfig) -> MarketConfig:
        rng = self.random
        kind = rng.randrange(8)
        if kind == 0:
            return terms
        if kind > 5:
            return self.guard(terms)
        if kind < 3:
            taker = max(0, terms.taker_bps - rng.randrange(1, 4))
            return msgspec.structs.replace(
                terms, taker_bps=taker, maker_bps=min(terms.maker_bps, taker)
            )
        if kind == 3:
            mode = rng.choice([mode for mode in MODES if mode != terms.mode])
            return msgspec.structs.replace(terms, mode=mode)
        if kind == 4:
            return msgspec.structs.replace(terms, taker_bps=terms.taker_bps + 3)
        return msgspec.structs.replace(terms, tick=rng.choice((1, 2, 3)), lot=rng.choice((5, 10)))

    def make_vote(self, voter: bytes, op: Vote) -> VerifiedAction:
        self.nonce += 1
        action = VerifiedAction(keccak256(self.nonce.to_bytes(8, "big")), 0, None, voter)
        action.domain = DOMAIN
        action.account = voter
        action.nonce_ms = self.nonce
        action.deadline_ms = self.nonce + 80_000_000
        action.ops = (op,)
        return action
