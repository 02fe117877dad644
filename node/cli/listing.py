"""Propose assets, markets and terms as this validator, and show what is proposed.

Rule: a proposal is this validator's first word on it; the others say the same by its id. A file
has the names and units of the network file, assets by symbol or id.
Spec: docs/spec/markets.md#listing; docs/how-to/list-a-market.md. Deviations: none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from node.cli import http
from node.cli.assets import list_assets
from node.cli.context import Context, json_option
from node.cli.show import show_json
from node.cli.voting import password_option, send_vote
from primitives.errors import ConfigError, OperatorError

TERMS_BYTES_MAX = 16 * 1024
KINDS = {"asset": "list asset", "market": "list market", "terms": "new terms"}


@click.command(name="terms")
@click.argument("name")
@json_option
@click.pass_obj
def show_terms(context: Context, name: str, as_json: bool) -> None:
    """Show all terms of a market, as JSON that `market propose` takes; with --json its round too.

    \b
    Example:
      omnibazaar market terms WETH-USDX > terms.json
    """
    found = http.get(context.find_url(), f"/v1/markets/{name}/terms")
    show_json(found if as_json else found["terms"])


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--height", type=click.IntRange(0), default=0, help="First height; 0 = soon.")
@click.option(
    "--opening-blocks",
    type=click.IntRange(0, 1 << 20),
    default=0,
    help="Blocks before a new market opens by itself; 0 = by a vote.",
)
@password_option
@json_option
@click.pass_obj
def propose(
    context: Context,
    file: Path,
    height: int,
    opening_blocks: int,
    password_file: Path | None,
    as_json: bool,
) -> None:
    """Propose what a JSON file says: an asset (it has a token), a market, or a market's new terms.

    \b
    Example:
      omnibazaar market propose weth-xom.json --opening-blocks 300
    """
    url = context.find_url()
    wish = _make_wish(url, _read_file(file), height, opening_blocks)
    result = _say(context, wish, password_file)
    if as_json:
        show_json(result)
        return
    click.echo(f"proposed: {KINDS[wish['kind']]} {wish['terms'].get('name')}")
    click.echo("others look with `market proposals` and agree with `market vote ID`")


@click.command(name="proposals")
@json_option
@click.pass_obj
def show_proposals(context: Context, as_json: bool) -> None:
    """Show what validators want listed or changed, and what is decided.

    \b
    Example:
      omnibazaar market proposals
    """
    found = http.get(context.find_url(), "/v1/listings")
    if as_json:
        show_json(found)
        return
    for one in found["proposals"]:
        click.echo(
            f"{one['id'][:10]}  {KINDS[one['kind']]:<12}{one['terms']['name']:<14}"
            f"{100 * one['weight'] / found['weight']:.1f} % of the weight agree, more than two "
            "thirds decide"
        )
        click.echo(f"  {json.dumps(one['terms'])}")
    for one in found["decided"]:
        name = one["terms"]["name"]
        click.echo(f"decided     {KINDS[one['kind']]:<12}{name:<14}at {one['height']}")
    if not found["proposals"] and not found["decided"]:
        click.echo("nothing is proposed")


def vote_for_proposal(
    context: Context, reference: str, password_file: Path | None, as_json: bool
) -> None:
    """Say the same as a proposal. Raises ConfigError."""
    proposals = http.get(context.find_url(), "/v1/listings")["proposals"]
    found = [one for one in proposals if one["id"].startswith(reference.lower())]
    if not reference.startswith("0x") or len(reference) < 6 or len(found) != 1:
        raise ConfigError(
            f"there is no proposal {reference}",
            fix="name a phase after the market, or an id that `market proposals` shows",
        )
    result = _say(context, found[0], password_file)
    if as_json:
        show_json(result)
        return
    click.echo(f"said: {KINDS[found[0]['kind']]} {found[0]['terms']['name']}")


def _say(context: Context, wish: dict[str, Any], password_file: Path | None) -> dict[str, Any]:
    from client.errors import ClientError
    from client.governance import make_listing_vote
    from client.views import ListingProposal

    proposal = ListingProposal(**{**wish, "id": b"", "voters": ()})
    try:
        word = make_listing_vote(proposal)
    except ClientError as error:
        raise ConfigError(str(error), fix="see `market terms` for an example") from error
    return send_vote(context, word, password_file, look="see `market proposals`")


def _make_wish(url: str, terms: dict[str, Any], height: int, opening_blocks: int) -> dict[str, Any]:
    listings = http.get(url, "/v1/listings")
    wish = {
        "kind": "asset",
        "market": None,
        "round": listings["round"],
        "height": height,
        "opening_blocks": 0,
        "terms": terms,
        "weight": 0,
    }
    if "token" in terms:
        return wish
    ids = {asset["symbol"]: asset["id"] for asset in list_assets(url)}
    for side in ("base", "quote"):
        terms[side] = ids.get(terms.get(side), terms.get(side))
    markets = {row["name"]: row for row in http.get(url, "/v1/markets")["markets"]}
    known = markets.get(terms.get("name", ""))
    if known is None:
        return {**wish, "kind": "market", "opening_blocks": opening_blocks}
    return {**wish, "kind": "terms", "market": known["id"], "round": known["phase_round"]}


def _read_file(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > TERMS_BYTES_MAX:
            raise ValueError("it is too long for terms")
        terms = json.loads(file.read_text("utf-8"))
        if not isinstance(terms, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError) as error:
        raise _bad_file(file, error) from error
    return terms


def _bad_file(file: Path, error: Exception) -> OperatorError:
    return ConfigError(f"{file} cannot be read: {error}", fix="give the terms as a JSON object")
