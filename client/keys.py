"""Hold the keys of a trader: the wallet that owns, and the session key that acts.

Rule: a session key never leaves this process and can never withdraw; what a wallet must sign is
signed by nothing else.
Spec: docs/spec/actions.md. Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from client.errors import ClientError
from exchange.actions import TRADING_MASK, ApproveBuilder, Grant, Revoke, encode_amount
from primitives.secp256k1 import PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who trades: an account, the key that signs trades, and the wallet if it is at hand."""

    account: bytes  # 20 bytes
    signer: PrivateKey
    wallet: PrivateKey | None = None

    @classmethod
    def of_wallet(cls, wallet: PrivateKey) -> Credentials:
        """Trade with the wallet's own key."""
        return cls(account=wallet.address, signer=wallet, wallet=wallet)

    @classmethod
    def of_session(cls, account: bytes, session: PrivateKey) -> Credentials:
        """Trade with a session key that the account has granted."""
        return cls(account=account, signer=session)

    def with_session(self, session: PrivateKey) -> Credentials:
        """Keep the wallet for what only it may sign, and trade with a session key."""
        return Credentials(account=self.account, signer=session, wallet=self.wallet)

    def get_wallet(self) -> PrivateKey:
        """Return the wallet. Raises ClientError without one."""
        if self.wallet is None:
            raise ClientError("this needs the wallet's own signature, and its key is not here")
        return self.wallet


def make_grant(
    key: bytes,
    expiry_ms: int,
    *,
    actions: int = TRADING_MASK,
    markets: tuple[int, ...] = (),
    notional_cap: int = 0,
    cancel_on_revoke: bool = False,
    notional_total: int = 0,
    orders_cap: int = 0,
) -> Grant:
    """Let `key` trade until `expiry_ms`; no markets means all, no cap (quote atoms) means none.

    `notional_cap` bounds one order, `notional_total` and `orders_cap` the key's whole life; a sell
    counts at its limit or the market's last price, whichever is higher.
    """
    return Grant(
        key=key,
        expiry_ms=expiry_ms,
        actions=actions,
        markets=tuple(sorted(set(markets))),
        notional_cap=encode_amount(notional_cap),
        cancel_on_revoke=cancel_on_revoke,
        notional_total=encode_amount(notional_total),
        orders_cap=orders_cap,
    )


def make_approval(builder: bytes, max_fee_ppm: int) -> ApproveBuilder:
    """Let a builder charge up to a fee in millionths of the notional; 0 takes it back."""
    return ApproveBuilder(builder=builder, max_fee_ppm=max_fee_ppm)


def make_revoke(key: bytes) -> Revoke:
    """End a session key at once."""
    return Revoke(key=key)
