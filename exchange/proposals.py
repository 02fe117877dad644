"""What validators want listed or changed, and what was decided and waits for its height.

Rule: data only; `listing.py` and `terms.py` count words and carry out decisions.
Spec: docs/spec/markets.md
Deviations: none.
"""

from __future__ import annotations

from exchange.genesis import MarketConfig
from exchange.operations import ListAsset, ListMarket, SetTerms


class Listings:
    """Words on new assets and markets, and those decided, of the whole exchange."""

    __slots__ = ("decided", "round", "words")

    def __init__(self) -> None:
        self.round: int = 0
        """Decisions so far; validators vote on one round at a time."""
        self.words: dict[bytes, ListAsset | ListMarket] = {}
        """What each validator wants, by hot key, in this round."""
        self.decided: list[tuple[int, ListAsset | ListMarket]] = []
        """(first height, what begins there), in order of decision."""


class TermsChange:
    """Words on other terms of one market, and what was decided."""

    __slots__ = ("height", "is_sweeping", "reopen", "terms", "words")

    def __init__(self) -> None:
        self.words: dict[bytes, SetTerms] = {}
        """What each validator wants, by hot key, in the market's round."""
        self.terms: MarketConfig | None = None
        """What was decided; None for nothing."""
        self.height: int = 0
        """First height of the change."""
        self.is_sweeping: bool = False
        """The height has come, and the orders end because of it."""
        self.reopen: int = 0
        """The status that the market had before it."""
