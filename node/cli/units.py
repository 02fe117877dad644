"""Turn what people write (prices, sizes, amounts, spans) into ticks, lots, atoms, seconds, exactly.

Rule: nothing is rounded: what is not a whole number of ticks, lots or atoms is refused with the
nearest values that are.
Spec: docs/spec/exchange.md (Units). Deviations: none.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

import click

UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
DECIMAL: Final = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?")


def parse_decimal(text: str, what: str) -> Fraction:
    """Parse a plain decimal number above zero. Raises click.UsageError."""
    if not DECIMAL.fullmatch(text) or not Fraction(text):
        raise click.UsageError(f"{what} is a decimal number above zero, not {text!r}")
    return Fraction(text)


def price_step(*, tick: int, lot: int, base_decimals: int, quote_decimals: int) -> Fraction:
    """Return the price of one tick, in quote units per base unit."""
    return Fraction(tick * 10**base_decimals, lot * 10**quote_decimals)


def size_step(*, lot: int, base_decimals: int) -> Fraction:
    """Return the size of one lot, in base units."""
    return Fraction(lot, 10**base_decimals)


def get_price_step(market: dict[str, Any]) -> Fraction:
    """Return the price of one tick of a market that a node shows."""
    return price_step(
        tick=int(market["tick"]),
        lot=int(market["lot"]),
        base_decimals=market["base"]["decimals"],
        quote_decimals=market["quote"]["decimals"],
    )


def get_size_step(market: dict[str, Any]) -> Fraction:
    """Return the size of one lot of a market that a node shows."""
    return size_step(lot=int(market["lot"]), base_decimals=market["base"]["decimals"])


def count_steps(text: str, step: Fraction, what: str) -> int:
    """Return how many steps a text is. Raises click.UsageError unless it is a whole number."""
    value = parse_decimal(text, what)
    steps = value / step
    if steps.denominator == 1:
        return steps.numerator
    below = steps.numerator // steps.denominator
    near = " or ".join(show(step * n) for n in (below, below + 1) if n)
    raise click.UsageError(f"{what} comes in steps of {show(step)}; the nearest are {near}")


def show(value: Fraction) -> str:
    """Write a number with up to 18 decimals, without trailing zeros."""
    scaled = value * 10**18
    whole, part = divmod(scaled.numerator // scaled.denominator, 10**18)
    text = f"{part:018d}".rstrip("0")
    return f"{whole}.{text}" if text else str(whole)


def parse_span(text: str, what: str) -> int:
    """Return the seconds of `30s`, `10m`, `2h` or `7d`. Raises click.UsageError."""
    match = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text)
    if match is None:
        raise click.UsageError(f"{what} is a number with s, m, h or d, for instance 10m")
    return int(match[1]) * UNITS_S[match[2]]


def format_time(time_ms: int) -> str:
    """Return a time in UTC to the second."""
    return datetime.fromtimestamp(time_ms // 1_000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
