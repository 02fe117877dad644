"""Orders that wait for a price, as commands of `omnibazaar trade`.

Rule: sizes and prices are exact, as in `trade`; the key signs here and never leaves.
Spec: docs/reference/cli.md; docs/spec/orders.md (Triggers). Deviations: none.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import click

from node.cli.trade_options import (
    Leg,
    Ordered,
    end_of,
    exit_options,
    order_command,
    read_exits,
    rest_option,
    until_option,
    verify_exits,
)
from node.cli.units import count_steps, get_price_step

if TYPE_CHECKING:
    from exchange.actions import PlaceTrailing, PlaceTrigger


@order_command("waits")
@exit_options
@rest_option
@until_option
def trigger(
    ordered: Ordered,
    above: Leg | None,
    below: Leg | None,
    rest: bool,
    seconds: int | None,
) -> PlaceTrigger:
    """Place an order that waits for a price: stop-loss, take-profit, or both as one.

    Everybody can see it. With both legs the one that is reached cancels the other.

    \b
    Example:
      omnibazaar trade trigger sell 0.5 WETH-USDX --below 1900 1880 --above 2200 2190
    """
    from exchange.actions import GTC, IOC, PlaceTrigger

    verify_exits(above, below)
    high, low = read_exits(above, below, ordered.terms)
    return PlaceTrigger(
        ordered.market, ordered.side, ordered.lots, *high, *low,
        tif=GTC if rest else IOC, expiry_ms=end_of(seconds),
    )  # fmt: skip


@order_command("follows the price")
@click.option("--by", required=True, help="Distance to the best price since.")
@click.option("--percent", is_flag=True, help="The distance is in percent of the best price.")
@click.option("--limit", required=True, help="Worst price once it is reached.")
@click.option("--from", "start", help="Price from which it follows.")
@rest_option
@until_option
def trail(
    ordered: Ordered,
    by: str,
    percent: bool,
    limit: str,
    start: str | None,
    rest: bool,
    seconds: int | None,
) -> PlaceTrailing:
    """Place a stop that follows the price and is reached when it turns.

    \b
    Example:
      omnibazaar trade trail sell 0.5 WETH-USDX --by 2 --percent --limit 1800
    """
    from client.waiting import make_trailing_stop

    step = Fraction(1, 100) if percent else get_price_step(ordered.terms)
    distance, worst = count_steps(by, step, "--by"), ordered.count_ticks(limit)
    activation = ordered.count_ticks(start, "--from") if start else 0
    return make_trailing_stop(
        ordered.market, ordered.side, ordered.lots, distance, worst,
        in_bps=percent, activation=activation, rests=rest, expiry_ms=end_of(seconds),
    )  # fmt: skip
