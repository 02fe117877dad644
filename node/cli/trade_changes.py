"""Change orders that wait, and who may charge them, as commands of `omnibazaar trade`.

Rule: sizes and prices are exact, as in `trade`; the key signs here and never leaves.
Spec: docs/reference/cli.md; docs/spec/orders.md; docs/spec/fees.md. Deviations: none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli.context import Context, json_option
from node.cli.show import show_json
from node.cli.trade import find_market, get_leg, key_options, with_trader
from node.cli.units import count_steps, get_size_step

if TYPE_CHECKING:
    from client.trader import Trader


@click.command()
@click.argument("market")
@click.argument("order", type=int)
@click.argument("size")
@click.option("--above", nargs=2, help="PRICE LIMIT: reached by a trade at PRICE or higher.")
@click.option("--below", nargs=2, help="PRICE LIMIT: reached by a trade at PRICE or lower.")
@key_options
@json_option
@click.pass_obj
def replace(
    context: Context,
    market: str,
    order: int,
    size: str,
    above: tuple[str, str] | None,
    below: tuple[str, str] | None,
    key: str,
    password_file: Path | None,
    account: str | None,
    sub: int,
    as_json: bool,
) -> None:
    """Give an order that waits for a price another size and other legs.

    \b
    Example:
      omnibazaar trade replace WETH-USDX 4711 0.5 --below 1950 1930
    """
    if not above and not below:
        raise click.UsageError("give --above, --below, or both: the legs it shall have from now on")
    terms = find_market(context, market)
    lots = count_steps(size, get_size_step(terms), "SIZE")
    high, low = get_leg(above, "--above", terms), get_leg(below, "--below", terms)

    async def work(trader: Trader) -> dict[str, Any]:
        await trader.replace_waiting(terms["id"], order, lots, above=high, below=low)
        return {"order_id": order, "waits": True}

    result = with_trader(context, key, password_file, account, sub, work)
    show_json(result) if as_json else click.echo(f"order {order} waits with its new terms")


@click.command()
@click.argument("builder")
@click.argument("ppm", type=click.IntRange(0, 10_000))
@key_options
@json_option
@click.pass_obj
def approve(
    context: Context,
    builder: str,
    ppm: int,
    key: str,
    password_file: Path | None,
    account: str | None,
    sub: int,
    as_json: bool,
) -> None:
    """Let a builder charge your orders up to PPM millionths of what they trade; 0 takes it back.

    Signed by the wallet itself; 100 ppm are one basis point.

    \b
    Example:
      omnibazaar trade approve 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 250
    """
    from primitives.address import parse_address

    address = parse_address(builder)

    async def work(trader: Trader) -> dict[str, Any]:
        await trader.approve_builder(address, ppm)
        return {"builder": builder, "max_fee_ppm": ppm}

    result = with_trader(context, key, password_file, account, sub, work)
    end = f"may charge up to {ppm} ppm" if ppm else "may charge nothing any more"
    show_json(result) if as_json else click.echo(f"{builder} {end}")
