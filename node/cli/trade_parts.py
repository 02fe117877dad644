"""Trade in parts: icebergs, schedules and ladders, as commands of `omnibazaar trade`.

Rule: sizes and prices are exact, as in `trade`; the key signs here and never leaves.
Spec: docs/reference/cli.md; docs/spec/orders.md (Orders in parts). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from node.cli.context import Context, json_option
from node.cli.show import show_json
from node.cli.trade import (
    find_market,
    get_leg,
    key_options,
    trade,
    with_trader,
)
from node.cli.trade_changes import approve, replace
from node.cli.trade_fees import allowance, fees
from node.cli.units import count_steps, get_price_step, get_size_step

if TYPE_CHECKING:
    from client.trader import Trader

F = TypeVar("F", bound=Callable[..., Any])


class Signer(NamedTuple):
    """Whose key signs, and for which account."""

    key: str
    password_file: Path | None
    account: str | None
    sub: int


def order_arguments(command: F) -> F:
    """Add side, size and market, in this order."""
    for argument in (
        click.argument("market"),
        click.argument("size"),
        click.argument("side", type=click.Choice(["buy", "sell"])),
    ):
        command = argument(command)
    return command


@click.command()
@order_arguments
@click.option("--limit", required=True, help="Price of every part.")
@click.option("--visible", required=True, help="Size of the part in the book.")
@click.option("--for", "seconds", type=click.IntRange(1), help="Seconds until it is cancelled.")
@key_options
@json_option
@click.pass_obj
def iceberg(
    context: Context,
    /,
    side: str,
    size: str,
    market: str,
    limit: str,
    visible: str,
    seconds: int | None,
    as_json: bool,
    **signer: Any,
) -> None:
    """Rest in the book with one part at a time; each has its own place in line.

    \b
    Example:
      omnibazaar trade iceberg sell 5 WETH-USDX --limit 2010 --visible 0.5
    """
    terms = find_market(context, market)
    step = get_size_step(terms)
    lots, part = count_steps(size, step, "SIZE"), count_steps(visible, step, "--visible")
    ticks = count_steps(limit, get_price_step(terms), "--limit")

    async def work(trader: Trader) -> dict[str, Any]:
        import time

        from exchange.actions import PlaceIceberg

        expiry_ms = time.time_ns() // 1_000_000 + seconds * 1_000 if seconds else 0
        op = PlaceIceberg(terms["id"], int(side == "sell"), ticks, lots, part, expiry_ms=expiry_ms)
        return {"order_id": await trader.place_waiting(op)}

    _finish(context, signer, work, as_json, "trades in parts")


@click.command()
@order_arguments
@click.option("--limit", required=True, help="Price of the entry, which rests.")
@click.option("--above", nargs=2, help="PRICE LIMIT of an exit reached at PRICE or higher.")
@click.option("--below", nargs=2, help="PRICE LIMIT of an exit reached at PRICE or lower.")
@click.option("--rest", is_flag=True, help="What the exit leaves rests at its limit.")
@key_options
@json_option
@click.pass_obj
def bracket(
    context: Context,
    /,
    side: str,
    size: str,
    market: str,
    limit: str,
    above: tuple[str, str] | None,
    below: tuple[str, str] | None,
    rest: bool,
    as_json: bool,
    **signer: Any,
) -> None:
    """Rest in the book; what is filled gets a stop and a take-profit that cancel each other.

    \b
    Example:
      omnibazaar trade bracket buy 1 WETH-USDX --limit 2000 --below 1900 1880 --above 2200 2190
    """
    if not above and not below:
        raise click.UsageError("give --above, --below, or both")
    terms = find_market(context, market)
    lots = count_steps(size, get_size_step(terms), "SIZE")
    ticks = count_steps(limit, get_price_step(terms), "--limit")
    high, low = get_leg(above, "--above", terms), get_leg(below, "--below", terms)

    async def work(trader: Trader) -> dict[str, Any]:
        from client.waiting import make_bracket

        op = make_bracket(
            terms["id"], int(side == "sell"), ticks, lots, above=high, below=low, rests=rest
        )
        return {"order_id": await trader.place_waiting(op)}

    _finish(context, signer, work, as_json, "rests with its exits")


@click.command()
@order_arguments
@click.option("--limit", required=True, help="Worst price of every part.")
@click.option("--slots", type=click.IntRange(2, 1_024), required=True, help="Number of parts.")
@click.option("--every", type=click.IntRange(1, 86_400), required=True, help="Seconds between.")
@click.option("--share", help="Percent of others' volume that a part may be; else equal parts.")
@key_options
@json_option
@click.pass_obj
def schedule(
    context: Context,
    /,
    side: str,
    size: str,
    market: str,
    limit: str,
    slots: int,
    every: int,
    share: str | None,
    as_json: bool,
    **signer: Any,
) -> None:
    """Trade in parts over time (TWAP), or by a share of the volume (VWAP). Everybody can see it.

    \b
    Example:
      omnibazaar trade schedule buy 5 WETH-USDX --limit 2050 --slots 60 --every 60
    """
    from fractions import Fraction

    terms = find_market(context, market)
    lots = count_steps(size, get_size_step(terms), "SIZE")
    ticks = count_steps(limit, get_price_step(terms), "--limit")
    bps = count_steps(share, Fraction(1, 100), "--share") if share else 0

    async def work(trader: Trader) -> dict[str, Any]:
        from exchange.actions import PlaceSchedule

        op = PlaceSchedule(terms["id"], int(side == "sell"), ticks, lots, slots, every * 1_000, bps)
        return {"order_id": await trader.place_waiting(op)}

    _finish(context, signer, work, as_json, "trades in parts")


@click.command()
@order_arguments
@click.option("--between", nargs=2, required=True, help="PRICE PRICE: ends of the range.")
@click.option("--steps", type=click.IntRange(2, 64), default=10, show_default=True, help="Orders.")
@key_options
@json_option
@click.pass_obj
def ladder(
    context: Context,
    /,
    side: str,
    size: str,
    market: str,
    between: tuple[str, str],
    steps: int,
    as_json: bool,
    **signer: Any,
) -> None:
    """Spread maker orders evenly over a range of prices; all of them rest, or none.

    \b
    Example:
      omnibazaar trade ladder sell 5 WETH-USDX --between 2010 2100 --steps 10
    """
    terms = find_market(context, market)
    lots = count_steps(size, get_size_step(terms), "SIZE")
    ends = sorted(count_steps(price, get_price_step(terms), "--between") for price in between)

    async def work(trader: Trader) -> dict[str, Any]:
        from client.ladder import make_ladder

        ops = make_ladder(terms["id"], int(side == "sell"), lots, ends[0], ends[1], steps)
        receipt = await trader.execute(*ops, atomic=True)
        found = [{"code": s.code, "order_id": s.order_id} for s in receipt.statuses]
        return {"orders": found}

    result = with_trader(context, *Signer(**signer), work)
    if as_json:
        show_json(result)
    for order in () if as_json else result["orders"]:
        click.echo(f"order {order['order_id']}: {order['code']}")


def _finish(
    context: Context,
    signer: dict[str, Any],
    work: Callable[[Trader], Any],
    as_json: bool,
    end: str,
) -> None:
    result = with_trader(context, *Signer(**signer), work)
    show_json(result) if as_json else click.echo(f"order {result['order_id']} {end}")


for _command in (bracket, iceberg, schedule, ladder, fees, allowance, replace, approve):
    trade.add_command(_command)
