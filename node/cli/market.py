"""Show markets with their phases, and give this validator's word on a phase or a listing.

Rule: a word is signed by the validator's hot key and counts for the round that the node shows; more
than two thirds of the committee's weight decide, nobody else.
Spec: docs/spec/markets.md; docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from node.cli import http
from node.cli.context import Context, json_option
from node.cli.listing import propose, show_proposals, show_terms, vote_for_proposal
from node.cli.show import show_json
from node.cli.units import get_price_step, get_size_step, show
from node.cli.voting import password_option, send_vote
from primitives.errors import ConfigError

PHASES = ("open", "post-only", "cancel-only", "delisted", "auction")


@click.group()
def market() -> None:
    """Show markets and decide about their phases.

    \b
    Example:
      omnibazaar market vote WETH-USDX post-only
    """


@market.command(name="list")
@json_option
@click.pass_obj
def list_markets(context: Context, as_json: bool) -> None:
    """Show every market: mode, phase, fees, resting orders; its band and its next auction.

    \b
    Example:
      omnibazaar market list
    """
    rows = _read_markets(context)
    if as_json:
        show_json(rows)
        return
    click.echo(f"{'market':<14}{'mode':<8}{'phase':<13}{'maker':>8}{'taker':>8}{'orders':>9}")
    for row in rows:
        fees = (f"{int(row[key]) / 10_000:.2f} %" for key in ("maker_fee_ppm", "taker_fee_ppm"))
        maker, taker = fees
        click.echo(
            f"{row['name']:<14}{row['mode']:<8}{row['phase']:<13}{maker:>8}{taker:>8}"
            f"{row['orders']:>9}"
        )
        for line in describe_safety(row):
            click.echo(f"  {line}")


@market.command()
@click.argument("name")
@click.argument("phase", type=click.Choice(PHASES), required=False)
@click.option("--sure", is_flag=True, help="Do not ask before a word for delisting.")
@password_option
@json_option
@click.pass_obj
def vote(
    context: Context,
    name: str,
    phase: str | None,
    sure: bool,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Give this validator's word for a phase of a market, or for a proposal by its id.

    Delisting is for ever: all orders end and their funds are free again. A phase of auction
    collects orders for a while and then opens the market by an auction.

    \b
    Example:
      omnibazaar market vote WETH-USDX post-only
      omnibazaar market vote 0x3fa1
    """
    if phase is None:
        vote_for_proposal(context, name, password_file, as_json)
        return
    from client.governance import make_market_vote

    row = find_market(_read_markets(context), name)
    if phase == "delisted" and not sure and not as_json:
        click.confirm(f"say that {row['name']} shall be delisted for ever?", abort=True)
    word = make_market_vote(row["id"], row["phase_round"], phase.upper().replace("-", "_"))
    result = send_vote(context, word, password_file, look="see `market list`")
    if as_json:
        show_json(result)
        return
    click.echo(f"said: {row['name']} {phase}; decided once more than two thirds say so")


market.add_command(propose)
market.add_command(show_proposals)
market.add_command(show_terms)


def describe_safety(row: dict[str, Any]) -> list[str]:
    """Say what bounds a market's orders now, and which auction is to come."""
    lines = []
    if row.get("band_low"):
        low, high = (show(row[name] * get_price_step(row)) for name in ("band_low", "band_high"))
        quote = row["quote"]["symbol"]
        lines.append(f"band: sells from {low} {quote} up, buys from {high} {quote} down")
    if row["phase"] == "AUCTION" or row["mode"] == "auction":
        why = {"breaker": "the breaker tripped", "opening": "the market is new"}
        reason = why.get(row["phase_cause"], "") if row["phase"] == "AUCTION" else ""
        when = _format_time(row["auction_ms"]) if row["auction_ms"] else "soon"
        call = "no trade"
        if row["auction_price"]:
            size = show(row["auction_size"] * get_size_step(row))
            call = f"{size} at {show(row['auction_price'] * get_price_step(row))}"
        lines.append(f"auction {when}: {call}" + (f" ({reason})" if reason else ""))
    return lines


def find_market(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return a market by its name or id. Raises ConfigError."""
    for row in rows:
        if name.upper() == row["name"].upper() or name == str(row["id"]):
            return row
    names = ", ".join(row["name"] for row in rows)
    raise ConfigError(f"there is no market {name}", fix=f"the markets are {names}")


def _format_time(time_ms: int) -> str:
    return time.strftime("at %H:%M:%S UTC", time.gmtime(time_ms / 1_000))


def _read_markets(context: Context) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = http.get(context.find_url(), "/v1/markets")["markets"]
    return found
