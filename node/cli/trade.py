"""Buy, sell and cancel through any node; look at books and orders.

Rule: the key signs here and never leaves; taking liquidity goes through a sealed commit, so no
price is shown before its place in line is fixed.
Spec: docs/reference/cli.md; docs/spec/exchange.md (Sealed batches). Deviations: none.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from node.cli import http
from node.cli.context import Context, json_option
from node.cli.show import show_json, show_result, show_table
from node.cli.trade_options import (
    Signer,
    count_lots,
    count_ticks,
    end_of,
    find_market,
    rest_option,
    signer_options,
    with_trader,
)
from node.cli.units import get_price_step, get_size_step, show

if TYPE_CHECKING:
    from client.trader import Trader


@click.group()
def trade() -> None:
    """Buy, sell, cancel; books and orders.

    \b
    Example:
      omnibazaar trade buy 0.5 WETH-USDX --limit 2000 --as alice
    """


def _side(name: str, verb: str) -> None:
    @trade.command(
        name=name,
        help=f"{verb} SIZE (in base units) of MARKET at LIMIT or better.\n\n"
        "The order is sealed until its place in line is fixed, takes what it finds, and ends; with"
        " --rest, what finds nothing rests in the book. With --maker it only rests and never"
        " takes.\n\n"
        f"\b\nExample:\n  omnibazaar trade {name} 0.5 WETH-USDX --limit 2000 --as alice\n"
        f"  omnibazaar trade {name} 0.5 WETH-USDX --limit 2000 --maker --as alice",
    )
    @click.argument("size")
    @click.argument("market")
    @click.option("--limit", required=True, help="Price in quote units per base unit.")
    @click.option("--maker", is_flag=True, help="Rest in the book (post-only).")
    @rest_option
    @signer_options
    @json_option
    @click.pass_obj
    def command(
        context: Context,
        size: str,
        market: str,
        limit: str,
        maker: bool,
        rest: bool,
        as_json: bool,
        *,
        signer: Signer,
    ) -> None:
        if maker and rest:
            raise click.UsageError("--maker only rests, --rest takes first: give one of them")
        terms = find_market(context, market)
        ticks, lots = count_ticks(limit, terms), count_lots(size, terms)
        if maker:
            work = partial(_place, terms, name == "buy", ticks, lots)
        else:
            work = partial(_take, terms, name == "buy", ticks, lots, rest)
        result = with_trader(context, signer, work)
        show_result(result, _describe(result, terms), as_json)


_side("buy", "Buy")
_side("sell", "Sell")


@trade.command(name="cancel-after")
@click.argument("seconds", type=click.IntRange(0, 86_400))
@signer_options
@json_option
@click.pass_obj
def cancel_after(
    context: Context,
    seconds: int,
    as_json: bool,
    *,
    signer: Signer,
) -> None:
    """Cancel every order SECONDS from now unless this is called again; 0 takes it back.

    \b
    Example:
      omnibazaar trade cancel-after 60 --as alice
    """

    async def work(trader: Trader) -> dict[str, Any]:
        time_ms = end_of(seconds)
        await trader.cancel_after(time_ms)
        return {"cancel_after_ms": time_ms}

    result = with_trader(context, signer, work)
    again = f"every order is cancelled in {seconds} s unless you call this again"
    show_result(result, again if seconds else "orders stay", as_json)


@trade.command()
@click.argument("market")
@click.argument("order", type=int, required=False)
@click.option("--all", "all_", is_flag=True, help="Cancel every order in the market.")
@signer_options
@json_option
@click.pass_obj
def cancel(
    context: Context,
    market: str,
    order: int | None,
    all_: bool,
    as_json: bool,
    *,
    signer: Signer,
) -> None:
    """Cancel one order, or all of a market.

    \b
    Example:
      omnibazaar trade cancel WETH-USDX 4711 --as alice
    """
    if (order is None) == (not all_):
        raise click.UsageError("name an order, or give --all")
    terms = find_market(context, market)

    async def work(trader: Trader) -> dict[str, Any]:
        if order is None:
            await trader.cancel_all(terms["id"])
        else:
            await trader.cancel(terms["id"], order)
        return {"cancelled": "all" if order is None else order}

    result = with_trader(context, signer, work)
    show_result(result, f"cancelled {result['cancelled']}", as_json)


@trade.command()
@click.argument("market")
@click.option("--depth", default=10, show_default=True, help="Price levels per side.")
@json_option
@click.pass_obj
def book(context: Context, market: str, depth: int, as_json: bool) -> None:
    """Show the order book.

    \b
    Example:
      omnibazaar trade book WETH-USDX --depth 5
    """
    terms = find_market(context, market)
    found = http.get(context.find_url(), f"/v1/markets/{terms['id']}/book", depth=depth)
    if as_json:
        show_json(found)
        return
    price, size = get_price_step(terms), get_size_step(terms)
    rows = [("ask", show(price * p), show(size * s), n) for p, s, n in reversed(found["asks"])]
    rows += [("bid", show(price * p), show(size * s), n) for p, s, n in found["bids"]]
    show_table(("side", "price", "size", "orders"), rows)


async def _place(
    terms: dict[str, Any], is_buy: bool, ticks: int, lots: int, trader: Trader
) -> dict[str, Any]:
    from exchange.actions import BUY, SELL

    order = await trader.place(terms["id"], BUY if is_buy else SELL, ticks, lots)
    return {"order_id": order, "code": "resting", "filled": 0, "price": ticks, "size": lots}


async def _take(
    terms: dict[str, Any], is_buy: bool, ticks: int, lots: int, rest: bool, trader: Trader
) -> dict[str, Any]:
    from exchange.actions import BUY, GTC, IOC, SELL

    tif = GTC if rest else IOC
    taken = await trader.take(terms["id"], BUY if is_buy else SELL, ticks, lots, tif=tif)
    return {
        "order_id": taken.order_id,
        "code": "resting" if taken.code == "ok" else taken.code,
        "filled": taken.filled,
        "notional": taken.notional,
        "fee": str(taken.fee),
        "builder_fee": str(taken.builder_fee),
        "fills": [{"price": fill.price, "size": fill.size} for fill in taken.fills],
        "commit_height": taken.commit_height,
        "height": taken.height,
        "elapsed_ms": taken.elapsed_ms,
        "price": ticks,
        "size": lots,
    }


def _describe(result: dict[str, Any], terms: dict[str, Any]) -> str:
    base, quote = terms["base"]["symbol"], terms["quote"]["symbol"]
    price = f"{show(get_price_step(terms) * result['price'])} {quote}"
    step, filled = get_size_step(terms), result["filled"]
    left = f"{show(step * (result['size'] - filled))} {base}"
    parts = []
    if filled:
        mean = get_price_step(terms) * result["notional"] / filled
        whole = show(step * result["size"])
        parts.append(f"filled: {show(step * filled)} of {whole} {base} at {show(mean)} {quote}")
        parts[0] += " on average"
    if result["code"] == "resting":
        parts.append(f"order {result['order_id']} rests: {left} at {price}")
    elif not filled:
        found_none = result["code"] == "ioc_unfilled"
        reason = f"no counterpart at {price} or better" if found_none else result["code"]
        parts.append(f"nothing filled: {reason}")
    elif filled < result["size"]:
        parts.append(f"the other {left} found nothing and ended")
    if "height" in result:
        parts[-1] += f"   sealed in {result['commit_height']}, cleared in {result['height']},"
        parts[-1] += f" {result['elapsed_ms']} ms"
    return "; ".join(parts)
