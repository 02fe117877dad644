"""Buy, sell and cancel through any node; look at books and orders.

Rule: the key signs here and never leaves; taking liquidity goes through a sealed commit, so no
price is shown before its place in line is fixed.
Spec: docs/reference/cli.md; docs/spec/exchange.md (Sealed batches). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from node.cli import http
from node.cli.context import Context, json_option
from node.cli.show import show_json, show_table
from node.cli.units import count_steps, get_price_step, get_size_step, show

if TYPE_CHECKING:
    from client.trader import Trader

F = TypeVar("F", bound=Callable[..., Any])


def key_options(command: F) -> F:
    """Add the options that name a key, a sub-account and the account a session key acts for."""
    for option in (
        click.option("--sub", default=0, show_default=True, help="Sub-account, 0 to 127."),
        click.option("--account", help="The wallet a session key acts for."),
        click.option(
            "--password-file", type=click.Path(path_type=Path), help="Password of the key."
        ),
        click.option(
            "--as",
            "key",
            default="trader",
            show_default=True,
            help="Key: name, role or digits.",
        ),
    ):
        command = option(command)
    return command


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
        "Without --maker the order is sealed until its place in line is fixed and takes what it"
        " finds; with --maker it rests in the book and never takes.\n\n"
        f"\b\nExample:\n  omnibazaar trade {name} 0.5 WETH-USDX --limit 2000 --maker",
    )
    @click.argument("size")
    @click.argument("market")
    @click.option("--limit", required=True, help="Price in quote units per base unit.")
    @click.option("--maker", is_flag=True, help="Rest in the book (post-only).")
    @key_options
    @json_option
    @click.pass_obj
    def command(
        context: Context,
        size: str,
        market: str,
        limit: str,
        maker: bool,
        key: str,
        password_file: Path | None,
        account: str | None,
        sub: int,
        as_json: bool,
    ) -> None:
        terms = find_market(context, market)
        ticks = count_steps(limit, get_price_step(terms), "--limit")
        lots = count_steps(size, get_size_step(terms), "SIZE")
        work = partial(_place if maker else _take, terms, name == "buy", ticks, lots)
        result = with_trader(context, key, password_file, account, sub, work)
        if as_json:
            show_json(result)
        else:
            click.echo(_describe(result, terms))


_side("buy", "Buy")
_side("sell", "Sell")


@trade.command()
@click.argument("side", type=click.Choice(["buy", "sell"]))
@click.argument("size")
@click.argument("market")
@click.option("--above", nargs=2, help="PRICE LIMIT: reached by a trade at PRICE or higher.")
@click.option("--below", nargs=2, help="PRICE LIMIT: reached by a trade at PRICE or lower.")
@click.option("--rest", is_flag=True, help="What finds nothing rests at the limit.")
@click.option("--for", "seconds", type=click.IntRange(1), help="Seconds until it is cancelled.")
@key_options
@json_option
@click.pass_obj
def trigger(
    context: Context,
    side: str,
    size: str,
    market: str,
    above: tuple[str, str] | None,
    below: tuple[str, str] | None,
    rest: bool,
    seconds: int | None,
    key: str,
    password_file: Path | None,
    account: str | None,
    sub: int,
    as_json: bool,
) -> None:
    """Place an order that waits for a price: stop-loss, take-profit, or both as one.

    Everybody can see it. With both legs the one that is reached cancels the other.

    \b
    Example:
      omnibazaar trade trigger sell 0.5 WETH-USDX --below 1900 1880 --above 2200 2190
    """
    if not above and not below:
        raise click.UsageError("give --above, --below, or both")
    terms = find_market(context, market)
    lots = count_steps(size, get_size_step(terms), "SIZE")
    high, low = get_leg(above, "--above", terms), get_leg(below, "--below", terms)

    async def work(trader: Trader) -> dict[str, Any]:
        import time

        from exchange.actions import BUY, GTC, IOC, SELL, PlaceTrigger

        expiry_ms = time.time_ns() // 1_000_000 + seconds * 1_000 if seconds else 0
        op = PlaceTrigger(
            terms["id"], BUY if side == "buy" else SELL, lots, *high, *low,
            tif=GTC if rest else IOC, expiry_ms=expiry_ms,
        )  # fmt: skip
        return {"order_id": await trader.place_waiting(op), "waits": True}

    result = with_trader(context, key, password_file, account, sub, work)
    show_json(result) if as_json else click.echo(f"order {result['order_id']} waits")


@trade.command()
@click.argument("side", type=click.Choice(["buy", "sell"]))
@click.argument("size")
@click.argument("market")
@click.option("--by", required=True, help="Distance to the best price since.")
@click.option("--percent", is_flag=True, help="The distance is in percent of the best price.")
@click.option("--limit", required=True, help="Worst price once it is reached.")
@click.option("--from", "start", help="Price from which it follows.")
@click.option("--rest", is_flag=True, help="What finds nothing rests at the limit.")
@click.option("--for", "seconds", type=click.IntRange(1), help="Seconds until it is cancelled.")
@key_options
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
    key: str,
    password_file: Path | None,
    account: str | None,
    sub: int,
    as_json: bool,
) -> None:
    """Place a stop that follows the price and is reached when it turns.

    \b
    Example:
      omnibazaar trade trail sell 0.5 WETH-USDX --by 2 --percent --limit 1800
    """
    terms = find_market(context, market)
    lots = count_steps(size, get_size_step(terms), "SIZE")
    step = get_price_step(terms)
    distance = count_steps(by, Fraction(1, 100) if percent else step, "--by")
    ticks = count_steps(limit, step, "--limit")
    activation = count_steps(start, step, "--from") if start else 0

    async def work(trader: Trader) -> dict[str, Any]:
        import time

        from client.waiting import make_trailing_stop
        from exchange.actions import BUY, SELL

        expiry_ms = time.time_ns() // 1_000_000 + seconds * 1_000 if seconds else 0
        op = make_trailing_stop(
            terms["id"], BUY if side == "buy" else SELL, lots, distance, ticks,
            in_bps=percent, activation=activation, rests=rest, expiry_ms=expiry_ms,
        )  # fmt: skip
        return {"order_id": await trader.place_waiting(op), "waits": True}

    result = with_trader(context, key, password_file, account, sub, work)
    show_json(result) if as_json else click.echo(f"order {result['order_id']} follows the price")


@trade.command(name="cancel-after")
@click.argument("seconds", type=click.IntRange(0, 86_400))
@key_options
@json_option
@click.pass_obj
def cancel_after(
    context: Context,
    seconds: int,
    key: str,
    password_file: Path | None,
    account: str | None,
    sub: int,
    as_json: bool,
) -> None:
    """Cancel every order SECONDS from now unless this is called again; 0 takes it back.

    \b
    Example:
      omnibazaar trade cancel-after 60 --as alice
    """

    async def work(trader: Trader) -> dict[str, Any]:
        import time

        time_ms = time.time_ns() // 1_000_000 + seconds * 1_000 if seconds else 0
        await trader.cancel_after(time_ms)
        return {"cancel_after_ms": time_ms}

    result = with_trader(context, key, password_file, account, sub, work)
    if as_json:
        show_json(result)
    elif seconds:
        click.echo(f"every order is cancelled in {seconds} s unless you call this again")
    else:
        click.echo("orders stay")


@trade.command()
@click.argument("market")
@click.argument("order", type=int, required=False)
@click.option("--all", "all_", is_flag=True, help="Cancel every order in the market.")
@key_options
@json_option
@click.pass_obj
def cancel(
    context: Context,
    market: str,
    order: int | None,
    all_: bool,
    key: str,
    password_file: Path | None,
    account: str | None,
    sub: int,
    as_json: bool,
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

    result = with_trader(context, key, password_file, account, sub, work)
    show_json(result) if as_json else click.echo(f"cancelled {result['cancelled']}")


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


@trade.command()
@click.option("--as", "key", default="trader", show_default=True, help="Key: name, role or digits.")
@click.option("--account", help="Any wallet's address instead of a key.")
@json_option
@click.pass_obj
def orders(context: Context, key: str, account: str | None, as_json: bool) -> None:
    """Show resting orders.

    \b
    Example:
      omnibazaar trade orders --account 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    from node.keys.keystore import find_key
    from primitives.address import to_checksum

    address = account or to_checksum(find_key(context.data.keys, key).address)
    url = context.find_url()
    found = http.get(url, "/v1/orders", account=address)
    if as_json:
        show_json(found)
        return
    markets = {market["id"]: market for market in http.get(url, "/v1/markets")["markets"]}
    rows = []
    for order in found["orders"]:
        terms = markets[order["market"]]
        price = show(get_price_step(terms) * order["price"])
        left = show(get_size_step(terms) * order["remaining"])
        rows.append((order["id"], terms["name"], order["side"], price, left, order["sub"]))
    show_table(("order", "market", "side", "price", "open", "sub"), rows)


async def _place(
    terms: dict[str, Any], is_buy: bool, ticks: int, lots: int, trader: Trader
) -> dict[str, Any]:
    from exchange.actions import BUY, SELL

    order = await trader.place(terms["id"], BUY if is_buy else SELL, ticks, lots)
    return {"order_id": order, "code": "resting", "filled": 0, "price": ticks, "size": lots}


async def _take(
    terms: dict[str, Any], is_buy: bool, ticks: int, lots: int, trader: Trader
) -> dict[str, Any]:
    from exchange.actions import BUY, SELL

    taken = await trader.take(terms["id"], BUY if is_buy else SELL, ticks, lots)
    return {
        "order_id": taken.order_id,
        "code": taken.code,
        "filled": taken.filled,
        "notional": taken.notional,
        "fee": str(taken.fee),
        "builder_fee": str(taken.builder_fee),
        "fills": [{"price": fill.price, "size": fill.size} for fill in taken.fills],
        "commit_height": taken.commit_height,
        "height": taken.height,
        "elapsed_ms": taken.elapsed_ms,
        "size": lots,
    }


def get_leg(leg: tuple[str, str] | None, name: str, terms: dict[str, Any]) -> tuple[int, int]:
    """Return the price that reaches a leg and its limit in ticks; zeros for no leg."""
    if leg is None:
        return 0, 0
    step = get_price_step(terms)
    return count_steps(leg[0], step, name), count_steps(leg[1], step, name)


def _describe(result: dict[str, Any], terms: dict[str, Any]) -> str:
    base, quote = terms["base"]["symbol"], terms["quote"]["symbol"]
    size = show(get_size_step(terms) * result["size"])
    if result["code"] == "resting":
        price = show(get_price_step(terms) * result["price"])
        return f"order {result['order_id']} rests: {size} {base} at {price} {quote}"
    filled = show(get_size_step(terms) * result["filled"])
    line = f"{result['code']}: {filled} of {size} {base}"
    if result["filled"]:
        mean = get_price_step(terms) * result["notional"] / result["filled"]
        line += f" at {show(mean)} {quote} on average"
    return f"{line}   sealed in {result['commit_height']}, cleared in {result['height']}," + (
        f" {result['elapsed_ms']} ms"
    )


def with_trader(
    context: Context,
    key: str,
    password_file: Path | None,
    account: str | None,
    sub: int,
    work: Callable[[Trader], Any],
) -> Any:
    """Open key, node and trader, do the work and return its result."""
    import trio

    from client.keys import Credentials
    from client.node_client import open_node
    from client.trader import open_trader
    from primitives.address import parse_address

    secret = context.load_key(key, password_file)
    credentials = (
        Credentials.of_session(parse_address(account), secret)
        if account
        else Credentials.of_wallet(secret)
    )
    url = context.find_url()

    async def main() -> Any:
        async with (
            open_node(url, network_id=context.network_id) as node,
            open_trader(node, credentials, sub=sub) as trader,
        ):
            return await work(trader)

    return trio.run(main)


def find_market(context: Context, reference: str) -> dict[str, Any]:
    markets: list[dict[str, Any]] = http.get(context.find_url(), "/v1/markets")["markets"]
    for market in markets:
        if reference.upper() == market["name"] or reference == str(market["id"]):
            return market
    names = ", ".join(market["name"] for market in markets)
    raise click.UsageError(f"there is no market {reference!r}; there are {names}")
