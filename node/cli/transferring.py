"""Move funds on the ledger: to another account, or between sub-accounts.

Rule: only the wallet's own key signs; what nobody could take out again is asked about first.
Spec: docs/reference/cli.md; docs/spec/actions.md (Transfer). Deviations: none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from node.cli.assets import atoms_of, find_asset
from node.cli.context import Context, json_option
from node.cli.show import show_result
from node.cli.trade_options import Signer, sub_option, wallet_options, with_trader
from node.cli.wallet_options import warn_of_recipient

if TYPE_CHECKING:
    from client.trader import Trader


@click.command()
@click.argument("asset")
@click.argument("amount")
@click.argument("address", required=False)
@click.option(
    "--to-sub", type=click.IntRange(0, 127), default=0, show_default=True, help="Its sub-account."
)
@click.option("--sure", is_flag=True, help="Also to a contract or to an address of nobody.")
@sub_option
@wallet_options
@json_option
@click.pass_obj
def transfer(
    context: Context,
    asset: str,
    amount: str,
    address: str | None,
    to_sub: int,
    sure: bool,
    as_json: bool,
    *,
    signer: Signer,
) -> None:
    """Move AMOUNT of ASSET to ADDRESS on the ledger; without ADDRESS, to an own sub-account.

    At once and without gas. It cannot be taken back.

    \b
    Example:
      omnibazaar wallet transfer USDX 50 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --as alice
      omnibazaar wallet transfer USDX 50 --to-sub 1 --as alice
    """
    from primitives.address import parse_address, to_checksum

    own = context.find_address(signer.key)
    target = to_checksum(parse_address(address)) if address else own
    if target == own and to_sub == signer.sub:
        raise click.UsageError("name another ADDRESS, or another sub-account by --to-sub")
    url = context.find_url()
    terms = find_asset(url, asset)
    atoms = atoms_of(amount, terms)
    if target != own:
        warn_of_recipient(context, url, terms["chain_id"], target, sure, doing="transfer")

    async def work(trader: Trader) -> dict[str, Any]:
        await trader.transfer(terms["id"], atoms, parse_address(target), to_sub=to_sub)
        return {"asset": terms["symbol"], "amount": str(atoms), "to": target, "to_sub": to_sub}

    result = with_trader(context, signer, work)
    text = f"{amount} {terms['symbol']} moved to {target}, sub-account {to_sub}"
    show_result(result, text, as_json)
