"""Orders that wait for a price, as commands of `omnibazaar trade`.

Rule: sizes and prices are exact, as in `trade`; the key signs here and never leaves.
Spec: docs/reference/cli.md; docs/spec/orders.md (Triggers). Deviations: none.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from node.cli.context import Context, json_option
from node.cli.show import show_result
from node.cli.trade_options import (
    Leg,
    Signer,
    count_lots,
    count_ticks,
    end_of,
    exit_options,
    find_market,
    order_arguments,
    read_exits,
    rest_option,
    signer_options,
    until_option,
    verify_exits,
    with_trader,
)
from node.cli.units import count_steps, get_price_step

if TYPE_CHECKING:
    from client.trader import Trader


@click.command()
@order_arguments
@exit_options
@rest_option
@until_option
@signer_options
@json_option
@click.pass_obj
def trigger(
    context: Context,
    side: str,
    size: str,
    market: str,
    above: Leg | None,
    below: Leg | None,
    rest: bool,
    seconds: int | None,
    as_json: bool,
    *,
    signer: Signer,
) -> None:
    """Place an order that waits for a price: stop-loss, take-profit, or both as one.

    Everybody can see it. With both legs the one that is reached cancels the other.

    \b
    Example:
      omnibazaar trade trigger sell 0.5 WETH-USDX --below 1900 1880 --above 2200 2190
    """
    verify_exits(above, below)
    terms = find_market(context, market)
    lots = count_lots(size, terms)
    high, low = read_exits(above, below, terms)

    async def work(trader: Trader) -> dict[str, Any]:
        from exchange.actions import BUY, GTC, IOC, SELL, PlaceTrigger

        op = PlaceTrigger(
            terms["id"], BUY if side == "buy" else SELL, lots, *high, *low,
            tif=GTC if rest else IOC, expiry_ms=end_of(seconds),
        )  # fmt: skip
        return {"order_id": await trader.place_waiting(op), "waits": True}

    result = with_trader(context, signer, work)
    show_result(result, f"order {result['order_id']} waits", as_json)


@click.command()
@order_arguments
@click.option("--by", required=True, help="Distance to the best price since.")
@click.option("--percent", is_flag=True, help="The distance is in percent of the best price.")
@click.option("--limit", required=True, help="Worst price once it is reached.")
@click.option("--from", "start", help="Price from which it follows.")
@rest_option
@until_option
@signer_options
@json_option
@click.pass_obj
def trail(
    context: Context,
    side: str,
    size: str,
    market: str,
    by: str,
    percent: bool,
    limit: str,
    start: str | None,
    rest: bool,
    seconds: int | None,
    as_json: bool,
    *,
    signer: Signer,
) -> None:
    """Place a stop that follows the price and is reached when it turns.

    \b
    Example:
      omnibazaar trade trail sell 0.5 WETH-USDX --by 2 --percent --limit 1800
    """
    terms = find_market(context, market)
    lots, ticks = count_lots(size, terms), count_ticks(limit, terms)
    step = Fraction(1, 100) if percent else get_price_step(terms)
    distance = count_steps(by, step, "--by")
    activation = count_ticks(start, terms, "--from") if start else 0

    async def work(trader: Trader) -> dict[str, Any]:
        from client.waiting import make_trailing_stop
        from exchange.actions import BUY, SELL

        op = make_trailing_stop(
            terms["id"], BUY if side == "buy" else SELL, lots, distance, ticks,
            in_bps=percent, activation=activation, rests=rest, expiry_ms=end_of(seconds),
        )  # fmt: skip
        return {"order_id": await trader.place_waiting(op), "waits": True}

    result = with_trader(context, signer, work)
    show_result(result, f"order {result['order_id']} follows the price", as_json)
