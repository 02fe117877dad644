"""Change what waits, and who may charge orders, as commands of `omnibazaar trade`.

Rule: sizes and prices are exact, as in `trade`; the key signs here and never leaves.
Spec: docs/reference/cli.md; docs/spec/orders.md; docs/spec/fees.md. Deviations: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from node.cli.context import Context, json_option
from node.cli.show import show_result
from node.cli.trade_options import (
    Leg,
    Signer,
    count_lots,
    exit_options,
    find_market,
    read_exits,
    signer_options,
    verify_exits,
    with_trader,
)

if TYPE_CHECKING:
    from client.trader import Trader


@click.command()
@click.argument("market")
@click.argument("order", type=int)
@click.argument("size")
@exit_options
@signer_options
@json_option
@click.pass_obj
def replace(
    context: Context,
    market: str,
    order: int,
    size: str,
    above: Leg | None,
    below: Leg | None,
    as_json: bool,
    *,
    signer: Signer,
) -> None:
    """Give an order that waits for a price another size and other legs.

    \b
    Example:
      omnibazaar trade replace WETH-USDX 4711 0.5 --below 1950 1930
    """
    verify_exits(above, below)  # the legs it shall have from now on
    terms = find_market(context, market)
    lots = count_lots(size, terms)
    high, low = read_exits(above, below, terms)

    async def work(trader: Trader) -> dict[str, Any]:
        await trader.replace_waiting(terms["id"], order, lots, above=high, below=low)
        return {"order_id": order, "waits": True}

    result = with_trader(context, signer, work)
    show_result(result, f"order {order} waits with its new terms", as_json)


@click.command()
@click.argument("builder")
@click.argument("ppm", type=click.IntRange(0, 10_000))
@signer_options
@json_option
@click.pass_obj
def approve(
    context: Context,
    builder: str,
    ppm: int,
    as_json: bool,
    *,
    signer: Signer,
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

    result = with_trader(context, signer, work)
    end = f"may charge up to {ppm} ppm" if ppm else "may charge nothing any more"
    show_result(result, f"{builder} {end}", as_json)
