"""List assets and markets by a quorum of the committee, from a height on.

Rule: more than two thirds of the committee's weight must say the very same in the same round; every
decision ends its round. Ids are dense in the order in which things begin, names and tokens are
never given twice, and an asset lies in a vault that the network already has. A new market takes
only orders that rest until it opens.
Spec: docs/spec/markets.md#listing
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exchange.genesis import AssetConfig, MarketConfig, find_contradiction
from exchange.governance import is_quorum, open_market, set_status
from exchange.limits import ASSETS_MAX, LISTING_NOTICE_HEIGHTS, MARKETS_MAX
from exchange.market import AUCTION, BY_OPENING, POST_ONLY, Market
from exchange.operations import ListAsset, ListMarket
from exchange.outcome import ASSET_LISTED, MARKET_LISTED, Listing
from exchange.reasons import Reason
from exchange.state import State
from exchange.vaults import NOWHERE

OK: Final = int(Reason.OK)
COUNTED: Final = int(Reason.COUNTED)
NOT_VALIDATOR: Final = int(Reason.NOT_VALIDATOR)
NOT_THIS_ROUND: Final = int(Reason.NOT_THIS_ROUND)
UNKNOWN_VAULT: Final = int(Reason.UNKNOWN_VAULT)
UNKNOWN_ASSET: Final = int(Reason.UNKNOWN_ASSET)
BAD_LISTING: Final = int(Reason.BAD_LISTING)
VAULT_MOVED: Final = int(Reason.VAULT_MOVED)
LISTED_ALREADY: Final = int(Reason.LISTED_ALREADY)
LISTINGS_FULL: Final = int(Reason.LISTINGS_FULL)


def process_listing_vote(
    state: State,
    committee: Sequence[tuple[bytes, int, bytes]],
    validator: bytes,
    op: ListAsset | ListMarket,
) -> int:
    """Count a validator's word on a listing; decide once enough weight agrees.

    A newer word of the same validator in the same round takes the place of its older one. Returns
    OK if it was decided now, COUNTED if it waits for others, or why it was refused.
    """
    listings = state.listings
    weights = {member[0]: member[1] for member in committee}
    if validator not in weights:
        return NOT_VALIDATOR
    if op.round != listings.round:
        return NOT_THIS_ROUND
    reason = (
        check_asset(state, op.terms) if isinstance(op, ListAsset) else check_market(state, op.terms)
    )
    if reason:
        return reason
    listings.words[validator] = op
    if not is_quorum(weights, [v for v, word in listings.words.items() if word == op]):
        return COUNTED
    listings.decided.append((max(op.height, state.height + LISTING_NOTICE_HEIGHTS), op))
    listings.round += 1
    listings.words.clear()
    return OK


def check_asset(state: State, terms: AssetConfig) -> int:
    """Check that an asset could be listed beside all that is. Returns a reason code."""
    vault, token = (terms.chain_id, terms.vault_bytes), terms.token_bytes
    if vault not in state.vaults:
        return UNKNOWN_VAULT
    if state.vaults[vault].moved_to != NOWHERE:
        return VAULT_MOVED
    if terms.vault_bytes == token:
        return BAD_LISTING
    taken = [(asset.name, (asset.chain_id, asset.vault, asset.token)) for asset in state.assets]
    for _, op in state.listings.decided:
        if isinstance(op, ListAsset):
            one = op.terms
            present = state.find_present(one.chain_id, one.vault_bytes)
            taken.append((one.name, (one.chain_id, present, one.token_bytes)))
    if len(taken) >= ASSETS_MAX:
        return LISTINGS_FULL
    for name, place in taken:
        if name == terms.name or place == (terms.chain_id, terms.vault_bytes, token):
            return LISTED_ALREADY
    return OK


def check_market(state: State, terms: MarketConfig) -> int:
    """Check that a market could be listed beside all that are. Returns a reason code."""
    if max(terms.base, terms.quote) >= len(state.assets):
        return UNKNOWN_ASSET
    if find_contradiction(terms) or terms.name.isdigit():  # a number would be taken for an id
        return BAD_LISTING
    names = [market.name for market in state.markets]
    names += [op.terms.name for _, op in state.listings.decided if isinstance(op, ListMarket)]
    if len(names) >= MARKETS_MAX:
        return LISTINGS_FULL
    return LISTED_ALREADY if terms.name in names else OK


def begin_listings(state: State) -> None:
    """Let begin what was decided for the height in execution, and open markets that are due."""
    listings = state.listings
    if listings.decided:
        waiting = []
        for height, op in listings.decided:
            if height > state.height:
                waiting.append((height, op))
            elif isinstance(op, ListAsset):
                asset = state.add_asset(op.terms)
                asset.vault = state.find_present(asset.chain_id, asset.vault)
                state.log.listings.append(Listing(ASSET_LISTED, asset.id))
            else:
                _begin_market(state, op)
        listings.decided = waiting
    for market in state.markets:
        if 0 < market.opens_height <= state.height:
            _open_market(state, market)


def _open_market(state: State, market: Market) -> None:
    """Open a new market, by an auction if its terms say so."""
    if market.opening_ms:
        set_status(market, AUCTION, BY_OPENING, state.time_ms + market.opening_ms)
    else:
        open_market(state, market)


def _begin_market(state: State, op: ListMarket) -> None:
    market = state.add_market(op.terms)
    market.enter(POST_ONLY, BY_OPENING, 0)
    if op.opening_blocks:
        market.opens_height = state.height + op.opening_blocks
    state.log.listings.append(Listing(MARKET_LISTED, market.id))
