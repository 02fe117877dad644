"""What is left to do with a vault that the ledger's assets have left: funds and followers go on.

Rule: every step is one that anyone may take, and does nothing the second time.
Spec: docs/spec/settlement.md §15. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from contracts.limits import FOLLOW_GAS, HAND_OVER_GAS, TOKEN_ACCOUNT_WORDS
from contracts.settlement_calls import as_integer, encode_view
from contracts.settlement_client import VAULT, SettlementClient
from contracts.settlement_types import Submission

FOLLOWERS: Final = (
    ("registry", "ValidatorRegistry", "settlement", "followSettlement"),
    ("rewardToken", "OmniCoin", "minter", "followMinter"),
)
"""Where the vault names it, the contract, whom it follows, what makes it follow the successor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One transaction that is due; `take` raises like `SettlementClient.submit_checkpoint`."""

    about: str
    take: Callable[[], Submission]


class VaultLeaving:
    """The steps of one vault; everything blocks."""

    def __init__(self, client: SettlementClient) -> None:
        """`client` is the old vault's."""
        self._client = client

    def count_owed(self, token: bytes) -> int:
        """Return the atoms of a token that the successor is owed by the last checkpoint and that
        `hand_over` can give it now. Raises TransientError.
        """
        words = self._words(TOKEN_ACCOUNT_WORDS, "tokenAccount", token)
        left = as_integer(words[9]) - as_integer(words[10])
        return min(left, self._client.held(token)) if any(words[2]) and left else 0

    def hand_over(self, token: bytes, height: int) -> Submission:
        """Give the successor what it is owed of a token; raises like `submit_checkpoint`.

        `height` is an executed height since the move whose root both vaults have accepted.
        """
        return self._client.calls.submit_once(
            VAULT,
            self._client.vault,
            encode_view(VAULT, "handOver", token, height),
            gas=HAND_OVER_GAS,
            is_done=lambda: self.count_owed(token) == 0,
        )

    def list_steps(self, tokens: Iterable[bytes], height: int) -> list[Step]:
        """Return what is due now: tokens that can be handed over by a height, and contracts that
        can follow the successor. Raises TransientError.
        """
        steps = []
        for token in tokens:
            if self.count_owed(token):
                take = lambda token=token: self.hand_over(token, height)  # noqa: E731
                steps.append(Step(about=f"funds in 0x{token.hex()}", take=take))
        successor, at_s = self._client.succession()
        if not any(successor) or self._client.now_s() < at_s:
            return steps
        for name, contract, getter, follow in FOLLOWERS:
            address = self._words(1, name)[0][12:]
            if any(address) and self._is_followed_by(contract, address, getter):
                take = lambda a=(contract, address, getter, follow): self._let_follow(*a)  # noqa: E731
                steps.append(Step(about=contract, take=take))
        return steps

    def _let_follow(self, contract: str, address: bytes, getter: str, follow: str) -> Submission:
        return self._client.calls.submit_once(
            contract,
            address,
            encode_view(contract, follow),
            gas=FOLLOW_GAS,
            is_done=lambda: not self._is_followed_by(contract, address, getter),
        )

    def _is_followed_by(self, contract: str, address: bytes, getter: str) -> bool:
        words = self._client.calls.words(contract, address, 1, getter)
        return words[0][12:] == self._client.vault

    def _words(self, count: int, function: str, *arguments: bytes) -> tuple[bytes, ...]:
        vault = self._client.vault
        return self._client.calls.words(VAULT, vault, count, function, *arguments)
