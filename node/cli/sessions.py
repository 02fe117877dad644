"""Session keys of a wallet: let a key trade within a budget, list them, end one.

Rule: only the wallet's own key signs here; a budget is in units of one quote asset.
Spec: docs/reference/cli.md; docs/spec/actions.md (Grant). Deviations: none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli import http
from node.cli.account_options import account_options
from node.cli.assets import atoms_of, list_assets
from node.cli.context import Context, json_option
from node.cli.show import format_atoms, show_json, show_result, show_table
from node.cli.trade_options import Signer, find_market, wallet_options, with_trader
from node.cli.units import format_time, parse_span

if TYPE_CHECKING:
    from client.trader import Trader

SPAN_DEFAULT: Final = "1d"
MARKETS_MAX: Final = 64  # of one grant, docs/spec/actions.md


@click.command()
@click.argument("session_key")
@click.option("--for", "span", default=SPAN_DEFAULT, show_default=True, help="30m, 12h or 7d.")
@click.option("--market", "markets", multiple=True, help="Only there; repeatable.  [all]")
@click.option(
    "--order-max",
    help="Quote units of one order; a sealed one counts as its tier, up to ten times.",
)
@click.option("--total", help="Quote units that all its orders together may be worth.")
@click.option("--orders", type=click.IntRange(1, (1 << 32) - 1), help="Orders in all.")
@click.option("--cancel-on-revoke", is_flag=True, help="`revoke` also cancels what it placed.")
@wallet_options
@json_option
@click.pass_obj
def grant(
    context: Context,
    session_key: str,
    span: str,
    markets: tuple[str, ...],
    order_max: str | None,
    total: str | None,
    orders: int | None,
    cancel_on_revoke: bool,
    as_json: bool,
    *,
    signer: Signer,
) -> None:
    """Let SESSION_KEY trade for the wallet: an address, or a key here by name or digits.

    It can place and cancel, never withdraw or transfer. Without bounds it may trade all there is.

    \b
    Example:
      omnibazaar wallet grant bot --for 7d --market WETH-USDX --total 5000 --as alice
    """
    from primitives.address import to_checksum

    if len(markets) > MARKETS_MAX:
        raise click.UsageError(f"at most {MARKETS_MAX} markets")
    address = _find_address(context, session_key)
    lifetime_ms = parse_span(span, "--for") * 1_000
    terms = [find_market(context, market) for market in markets]
    each, whole = (_read_budget(context, text, terms) for text in (order_max, total))
    wallet = context.find_address(signer.key)

    async def work(trader: Trader) -> dict[str, Any]:
        expiry_ms = await trader.grant(
            address,
            lifetime_ms=lifetime_ms,
            markets=[market["id"] for market in terms],
            notional_cap=each,
            notional_total=whole,
            orders_cap=orders or 0,
            cancel_on_revoke=cancel_on_revoke,
        )
        return {"key": to_checksum(address), "account": wallet, "expiry_ms": expiry_ms}

    result = with_trader(context, signer, work)
    where = ", ".join(market["name"] for market in terms) or "every market"
    text = f"{result['key']} may trade in {where} until {format_time(result['expiry_ms'])} UTC\n"
    text += f"it signs with: --as {session_key} --account {wallet}"
    show_result(result, text, as_json)


@click.command()
@click.argument("session_key")
@wallet_options
@json_option
@click.pass_obj
def revoke(context: Context, session_key: str, as_json: bool, *, signer: Signer) -> None:
    """End SESSION_KEY at once: an address, or a key here by name or digits.

    \b
    Example:
      omnibazaar wallet revoke bot --as alice
    """
    from primitives.address import to_checksum

    address = _find_address(context, session_key)

    async def work(trader: Trader) -> dict[str, Any]:
        await trader.revoke(address)
        return {"key": to_checksum(address), "revoked": True}

    result = with_trader(context, signer, work)
    show_result(result, f"{result['key']} may do nothing any more", as_json)


@click.command()
@account_options
@json_option
@click.pass_obj
def grants(context: Context, as_json: bool, *, owner: bytes) -> None:
    """List the session keys of a wallet with what they have used up.

    \b
    Example:
      omnibazaar wallet grants --as alice
    """
    from primitives.address import to_checksum

    url = context.find_url()
    found = http.get(url, f"/v1/accounts/{to_checksum(owner)}")["grants"]
    if as_json:
        show_json({"grants": found})
        return
    if not found:
        click.echo("no session keys; `wallet grant` makes one")
        return
    markets = {market["id"]: market for market in http.get(url, "/v1/markets")["markets"]}
    show_table(
        ("key", "until (UTC)", "state", "markets", "per order", "used", "of", "orders", "of"),
        [_row(one, markets) for one in found],
    )


def _row(one: dict[str, Any], markets: dict[int, dict[str, Any]]) -> tuple[object, ...]:
    granted = [markets[number] for number in one["markets"] if number in markets]
    quotes = {market["quote"]["symbol"]: market["quote"] for market in granted or markets.values()}
    quote = next(iter(quotes.values())) if len(quotes) == 1 else None

    def amount(atoms: str) -> str:
        if not int(atoms):
            return "-"
        if quote is None:
            return f"{atoms} atoms"
        return f"{format_atoms(int(atoms), quote['decimals'])} {quote['symbol']}"

    over = one["expiry_ms"] <= time.time_ns() // 1_000_000
    return (
        one["key"],
        format_time(one["expiry_ms"]),
        "revoked" if one["revoked"] else "expired" if over else "valid",
        ",".join(market["name"] for market in granted) or "all",
        amount(one["notional_cap"]),
        amount(one["notional_used"]),
        amount(one["notional_total"]),
        one["orders_used"],
        one["orders_cap"] or "-",
    )


def _find_address(context: Context, key: str) -> bytes:
    """Return the address of a session key. Raises KeystoreError, InvalidMessage."""
    from primitives.address import parse_address

    if key.startswith("0x") and len(key) == 42:
        return parse_address(key)
    return parse_address(context.find_address(key))


def _read_budget(context: Context, text: str | None, terms: list[dict[str, Any]]) -> int:
    """Return a budget in quote atoms, 0 for none. Raises click.UsageError."""
    if text is None:
        return 0
    quotes = {market["quote"]["symbol"] for market in terms}
    if len(quotes) != 1:
        raise click.UsageError("a budget is in one quote asset: name markets of one by --market")
    symbol = quotes.pop()
    asset = next(one for one in list_assets(context.find_url()) if one["symbol"] == symbol)
    return atoms_of(text, asset)
