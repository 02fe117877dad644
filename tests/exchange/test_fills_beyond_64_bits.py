"""Fees of an 18-decimal quote asset exceed 64 bits; the running words must take them."""

from __future__ import annotations

from exchange.outcome import Fill
from exchange.roots import encode_fills


def make_fill(fee: int) -> Fill:
    return Fill(
        market=3,
        price=20_000,
        size=5_000,
        taker_side=0,
        maker_order=1,
        maker_account=1,
        maker_sub=0,
        maker_fee=fee,
        maker_left=0,
        taker_order=2,
        taker_account=2,
        taker_sub=0,
        taker_fee=2 * fee,
        taker_left=0,
        action_id=bytes(32),
        batch=7,
    )


def test_a_fee_of_a_hundred_whole_xom_is_hashed() -> None:
    large, larger = encode_fills([make_fill(10**20)]), encode_fills([make_fill(10**20 + 1)])
    assert large != larger
