"""Show what an account has standing and what it has traded, as commands of `omnibazaar trade`.

Rule: read from the node; nothing is signed.
Spec: docs/reference/cli.md; docs/reference/api.md (REST). Deviations: none.
"""

from __future__ import annotations

from typing import Any

import click

from node.cli import http
from node.cli.account_options import account_options
from node.cli.context import Context, json_option
from node.cli.show import format_atoms, show_json, show_table
from node.cli.units import format_time, get_price_step, get_size_step, show

HEADERS = ("time (UTC)", "market", "side", "price", "size", "fee", "in", "as", "order", "sub")


@click.command()
@account_options
@json_option
@click.pass_obj
def orders(context: Context, as_json: bool, *, owner: bytes) -> None:
    """Show live orders: those in the book and those that wait for a price or a time.

    \b
    Example:
      omnibazaar trade orders --as alice
    """
    from primitives.address import to_checksum

    url = context.find_url()
    found = http.get(url, "/v1/orders", account=to_checksum(owner))
    if as_json:
        show_json(found)
        return
    markets = {market["id"]: market for market in http.get(url, "/v1/markets")["markets"]}
    rows = []
    for order in found["orders"]:
        terms = markets[order["market"]]
        price = show(get_price_step(terms) * order["price"])
        left = show(get_size_step(terms) * order["remaining"])
        state = describe_state(order, terms)
        rows.append((order["id"], terms["name"], order["side"], price, left, order["sub"], state))
    show_table(("order", "market", "side", "price", "open", "sub", "state"), rows)


def describe_state(order: dict[str, Any], terms: dict[str, Any]) -> str:
    """Say where a live order is: in the book, in a batch, or what it waits for."""
    price = get_price_step(terms)
    legs = [f"{name} {show(price * order[name])}" for name in ("below", "above") if order[name]]
    if order["status"] == "open":
        text = "in the book"
    elif order["status"] == "pending":
        text = "in a batch"
    elif legs:
        text = f"waits for a trade {' or '.join(legs)}"
    elif order["slots"]:
        text = f"{order['slots']} parts to come, next {format_time(order['next_slot_ms'])}"
    elif order["visible"]:
        text = f"rest of an iceberg; order {order['part']} is its part in the book"
    else:
        text = "waits"
    return f"{text}, until {format_time(order['expiry_ms'])}" if order["expiry_ms"] else text


@click.command()
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1, 500),
    default=20,
    show_default=True,
    help="Newest shown.",
)
@account_options
@json_option
@click.pass_obj
def fills(context: Context, lines: int, as_json: bool, *, owner: bytes) -> None:
    """Show what an account has traded, newest first. All of it, for taxes: `wallet statement`.

    \b
    Example:
      omnibazaar trade fills --as alice
    """
    from primitives.address import to_checksum

    url = context.find_url()
    found = http.get(url, f"/v1/accounts/{to_checksum(owner)}/fills", limit=lines)
    if as_json:
        show_json(found)
        return
    if not found["fills"]:
        click.echo("no fills yet; `trade orders` shows what waits for one")
        return
    markets = {market["id"]: market for market in http.get(url, "/v1/markets")["markets"]}
    show_table(HEADERS, [_row(fill, markets[fill["market"]]) for fill in found["fills"]])


def _row(fill: dict[str, Any], terms: dict[str, Any]) -> tuple[object, ...]:
    fee = int(fill["fee"]) + int(fill["builder_fee"])
    return (
        format_time(fill["time_ms"]),
        terms["name"],
        fill["side"],
        show(get_price_step(terms) * fill["price"]),
        show(get_size_step(terms) * fill["size"]),
        format_atoms(fee, terms["quote"]["decimals"]),
        terms["quote"]["symbol"],
        "maker" if fill["maker"] else "taker",
        fill["order"],
        fill["sub"],
    )
