"""Build and sign actions: nonces, deadlines, and the secrets of sealed orders.

Rule: no network and no clock but the one handed in; the bytes that come out are final, and sending
them twice is harmless.
Spec: docs/spec/actions.md. Deviations: none.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from client.errors import ClientError
from client.keys import Credentials
from client.limits import DEADLINE_MS_DEFAULT, OPS_PER_ACTION_MAX, SALT_BYTES
from exchange.actions import (
    POST_ONLY,
    WALLET_OPS,
    Action,
    AnyOp,
    Commit,
    Open,
    Place,
    SignedAction,
    compute_commit_hash,
    compute_digest,
    encode_action,
)
from exchange.commits import choose_tier, compute_needs
from primitives.secp256k1 import PrivateKey

Clock = Callable[[], int]
"""Unix time in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed action, ready to be sent to any node."""

    id: bytes  # 32 bytes
    nonce_ms: int
    payload: bytes
    signature: bytes

    @property
    def pair(self) -> tuple[bytes, bytes]:
        """What goes over the wire."""
        return self.payload, self.signature

    @property
    def envelope(self) -> SignedAction:
        """What a bundle holds."""
        return SignedAction(self.payload, self.signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedOrder:
    """A commit and what will open it. Whoever sees the opening early can trade against it."""

    commit: Signed
    opening: Open
    orders: tuple[Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketTerms:
    """What the arithmetic of a sealed order needs to know of a market."""

    id: int
    tick: int  # quote atoms per base lot and unit of price
    lot: int  # base atoms
    taker_bps: int


class ActionBuilder:
    """Sign the actions of one sub-account with ever higher nonces. Not for several threads."""

    def __init__(
        self,
        *,
        domain: bytes,
        credentials: Credentials,
        clock: Clock,
        sub: int = 0,
        deadline_ms: int = DEADLINE_MS_DEFAULT,
    ) -> None:
        """Make actions that may be executed until `deadline_ms` after their making."""
        self._domain = domain
        self._credentials = credentials
        self._clock = clock
        self._sub = sub
        self._deadline_ms = deadline_ms
        self._last_nonce_ms: dict[bytes, int] = {}

    @property
    def account(self) -> bytes:
        """The account these actions belong to."""
        return self._credentials.account

    @property
    def sub(self) -> int:
        """The sub-account these actions belong to."""
        return self._sub

    def sign(self, *ops: AnyOp, atomic: bool = False, deadline_ms: int = 0) -> Signed:
        """Sign trading operations with the session key, wallet operations with the wallet.

        `deadline_ms` is a Unix time; 0 means the builder's default. Raises ClientError without the
        key it takes, or for more operations than an action holds.
        """
        if not 0 < len(ops) <= OPS_PER_ACTION_MAX:
            raise ClientError(f"an action has 1 to {OPS_PER_ACTION_MAX} operations")
        is_wallet = any(isinstance(op, WALLET_OPS) for op in ops)
        if is_wallet and len(ops) > 1:
            raise ClientError("a wallet operation is alone in its action")
        credentials = self._credentials
        key = credentials.get_wallet() if is_wallet else credentials.signer
        nonce_ms = self._next_nonce(key)
        return self._sign(key, nonce_ms, ops, atomic, deadline_ms or nonce_ms + self._deadline_ms)

    def seal(
        self,
        market: MarketTerms,
        *orders: Place,
        deadline_ms: int = 0,
        builder_ppm: int = 0,
    ) -> SealedOrder:
        """Make the commit that hides taking orders of one market, and its opening.

        The commit holds the smallest tier that covers them with the taker fee, and with the fee of
        the builder that the opening's action will name. Raises ClientError for orders that cannot
        be sealed.
        """
        commit, (opening,) = self.seal_many(
            market, [orders], deadline_ms=deadline_ms, builder_ppm=builder_ppm
        )
        return SealedOrder(commit=commit, opening=opening, orders=orders)

    def seal_many(
        self,
        market: MarketTerms,
        groups: Sequence[tuple[Place, ...]],
        *,
        deadline_ms: int = 0,
        builder_ppm: int = 0,
    ) -> tuple[Signed, tuple[Open, ...]]:
        """Make one action that commits to each group of orders by itself, and their openings.

        Raises ClientError for orders that cannot be sealed.
        """
        key = self._credentials.signer
        nonce_ms = self._next_nonce(key)
        commits, openings = [], []
        for orders in groups:
            commit, opening = self._hide(market, orders, nonce_ms, builder_ppm)
            commits.append(commit)
            openings.append(opening)
        deadline = deadline_ms or nonce_ms + self._deadline_ms
        return self._sign(key, nonce_ms, commits, False, deadline), tuple(openings)

    def _hide(
        self, market: MarketTerms, orders: tuple[Place, ...], nonce_ms: int, builder_ppm: int
    ) -> tuple[Commit, Open]:
        if not orders or any(order.market != market.id for order in orders):
            raise ClientError("a sealed order needs orders of its own market")
        if any(order.tif == POST_ONLY for order in orders):
            raise ClientError("a post-only order takes nothing and cannot be sealed")
        quote, base = compute_needs(orders, market.tick, market.lot, market.taker_bps, builder_ppm)
        hold, tier = choose_tier(quote, base, market.tick, market.lot)
        salt = secrets.token_bytes(SALT_BYTES)
        commit_hash = compute_commit_hash(
            self._domain, self.account, market.id, nonce_ms, orders, salt
        )
        commit = Commit(market=market.id, hold=hold, tier=tier, commit_hash=commit_hash)
        opening = Open(market=market.id, commit_hash=commit_hash, orders=orders, salt=salt)
        return commit, opening

    def _next_nonce(self, key: PrivateKey) -> int:
        nonce_ms = max(self._clock(), self._last_nonce_ms.get(key.address, 0) + 1)
        self._last_nonce_ms[key.address] = nonce_ms
        return nonce_ms

    def _sign(
        self, key: PrivateKey, nonce_ms: int, ops: Sequence[AnyOp], atomic: bool, deadline_ms: int
    ) -> Signed:
        action = Action(
            self._domain, self.account, self._sub, nonce_ms, deadline_ms, atomic, tuple(ops)
        )
        payload = encode_action(action)
        action_id = compute_digest(self._domain, action, payload)
        return Signed(
            id=action_id, nonce_ms=nonce_ms, payload=payload, signature=key.sign(action_id)
        )
