"""Trade in parts: icebergs, schedules and ladders, as commands of `omnibazaar trade`.

Rule: sizes and prices are exact, as in `trade`; the key signs here and never leaves.
Spec: docs/reference/cli.md; docs/spec/orders.md (Orders in parts). Deviations: none.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from node.cli.context import Context, json_option
from node.cli.show import show_json
from node.cli.trade import trade
from node.cli.trade_account import fills, orders
from node.cli.trade_changes import approve, replace
from node.cli.trade_fees import allowance, fees
from node.cli.trade_options import (
    Leg,
    Ordered,
    Signer,
    count_lots,
    count_ticks,
    end_of,
    exit_options,
    find_market,
    order_arguments,
    order_command,
    read_exits,
    rest_option,
    signer_options,
    until_option,
    verify_exits,
    with_trader,
)
from node.cli.trade_waiting import trail, trigger
from node.cli.units import count_steps

if TYPE_CHECKING:
    from client.trader import Trader
    from exchange.actions import PlaceBracket, PlaceIceberg, PlaceSchedule


@order_command("trades in parts")
@click.option("--limit", required=True, help="Price of every part.")
@click.option("--visible", required=True, help="Size of the part in the book.")
@until_option
def iceberg(ordered: Ordered, limit: str, visible: str, seconds: int | None) -> PlaceIceberg:
    """Rest in the book with one part at a time; each has its own place in line.

    \b
    Example:
      omnibazaar trade iceberg sell 5 WETH-USDX --limit 2010 --visible 0.5
    """
    from exchange.actions import PlaceIceberg

    part, ticks = ordered.count_lots(visible, "--visible"), ordered.count_ticks(limit)
    return PlaceIceberg(
        ordered.market, ordered.side, ticks, ordered.lots, part, expiry_ms=end_of(seconds)
    )


@order_command("rests with its exits")
@click.option("--limit", required=True, help="Price of the entry, which rests.")
@exit_options
@rest_option
def bracket(
    ordered: Ordered, limit: str, above: Leg | None, below: Leg | None, rest: bool
) -> PlaceBracket:
    """Rest in the book; what is filled gets a stop and a take-profit that cancel each other.

    \b
    Example:
      omnibazaar trade bracket buy 1 WETH-USDX --limit 2000 --below 1900 1880 --above 2200 2190
    """
    from client.waiting import make_bracket

    verify_exits(above, below)
    high, low = read_exits(above, below, ordered.terms)
    ticks = ordered.count_ticks(limit)
    return make_bracket(
        ordered.market, ordered.side, ticks, ordered.lots, above=high, below=low, rests=rest
    )


@order_command("trades in parts")
@click.option("--limit", required=True, help="Worst price of every part.")
@click.option("--slots", type=click.IntRange(2, 1_024), required=True, help="Number of parts.")
@click.option("--every", type=click.IntRange(1, 86_400), required=True, help="Seconds between.")
@click.option("--share", help="Percent of others' volume that a part may be; else equal parts.")
def schedule(
    ordered: Ordered, limit: str, slots: int, every: int, share: str | None
) -> PlaceSchedule:
    """Trade in parts over time (TWAP), or by a share of the volume (VWAP). Everybody can see it.

    \b
    Example:
      omnibazaar trade schedule buy 5 WETH-USDX --limit 2050 --slots 60 --every 60
    """
    from exchange.actions import PlaceSchedule

    ticks = ordered.count_ticks(limit)
    bps = count_steps(share, Fraction(1, 100), "--share") if share else 0
    return PlaceSchedule(
        ordered.market, ordered.side, ticks, ordered.lots, slots, every * 1_000, bps
    )


@click.command()
@order_arguments
@click.option("--between", nargs=2, required=True, help="PRICE PRICE: ends of the range.")
@click.option("--steps", type=click.IntRange(2, 64), default=10, show_default=True, help="Orders.")
@signer_options
@json_option
@click.pass_obj
def ladder(
    context: Context,
    side: str,
    size: str,
    market: str,
    between: tuple[str, str],
    steps: int,
    as_json: bool,
    *,
    signer: Signer,
) -> None:
    """Spread maker orders evenly over a range of prices; all of them rest, or none.

    \b
    Example:
      omnibazaar trade ladder sell 5 WETH-USDX --between 2010 2100 --steps 10
    """
    terms = find_market(context, market)
    lots = count_lots(size, terms)
    ends = sorted(count_ticks(price, terms, "--between") for price in between)

    async def work(trader: Trader) -> dict[str, Any]:
        from client.ladder import make_ladder

        ops = make_ladder(terms["id"], int(side == "sell"), lots, ends[0], ends[1], steps)
        receipt = await trader.execute(*ops, atomic=True)
        found = [{"code": s.code, "order_id": s.order_id} for s in receipt.statuses]
        return {"orders": found}

    result = with_trader(context, signer, work)
    if as_json:
        show_json(result)
    for order in () if as_json else result["orders"]:
        state = "rests" if order["code"] == "ok" else order["code"]
        click.echo(f"order {order['order_id']}: {state}")


for _command in (
    trigger, trail, bracket, iceberg, schedule, ladder, replace, orders, fills, fees, allowance,
    approve,
):  # fmt: skip
    trade.add_command(_command)
