"""Show what an account pays and may send, as commands of `omnibazaar trade`.

Rule: read from the node; nothing is signed.
Spec: docs/reference/cli.md; docs/spec/fees.md. Deviations: none.
"""

from __future__ import annotations

import click

from node.cli import http
from node.cli.account_options import account_options
from node.cli.context import Context, json_option
from node.cli.show import show_json, show_table

E8_PER_PERCENT = 10**6


@click.command()
@account_options
@json_option
@click.pass_obj
def fees(context: Context, as_json: bool, *, owner: bytes) -> None:
    """Show the fee tier, the volume behind it, and the fees in every market.

    \b
    Example:
      omnibazaar trade fees --account 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    from primitives.address import to_checksum

    address = to_checksum(owner)
    url = context.find_url()
    found = http.get(url, f"/v1/accounts/{address}/fees")
    if as_json:
        show_json(found)
        return
    click.echo(f"tier      {found['tier']} of {len(found['tiers'])}")
    click.echo(f"volume    {int(found['volume']):,} counting units in the 30 days before today")
    click.echo(f"today     {int(found['volume_today']):,}, counts from tomorrow (UTC)")
    following = found["tiers"][found["tier"] :]
    if following:
        click.echo(f"next      tier {found['tier'] + 1} from {int(following[0]['volume']):,}")
    names = {market["id"]: market["name"] for market in http.get(url, "/v1/markets")["markets"]}
    rows = [
        (
            names.get(one["market"], one["market"]),
            f"{one['maker_fee_e8'] / E8_PER_PERCENT:.4f} %",
            f"{one['taker_fee_e8'] / E8_PER_PERCENT:.4f} %",
        )
        for one in found["markets"]
    ]
    show_table(("market", "maker", "taker"), rows)


@click.command()
@account_options
@json_option
@click.pass_obj
def allowance(context: Context, as_json: bool, *, owner: bytes) -> None:
    """Show what the ledger lets an account send and leave standing.

    \b
    Example:
      omnibazaar trade allowance --account 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    from primitives.address import to_checksum

    address = to_checksum(owner)
    found = http.get(context.find_url(), f"/v1/accounts/{address}/allowance")
    if as_json:
        show_json(found)
        return
    click.echo(f"live orders   {found['orders_per_market']} per market and sub-account")
    click.echo(f"actions       {found['actions_per_block']} per block")
    if found["operations_left"] is None:
        click.echo("operations    no bound per hour")
        return
    click.echo(
        f"operations    {found['operations_left']} of {found['operations_per_hour']} left in this"
        f" hour; {found['cancels_left']} where all are cancels"
    )
