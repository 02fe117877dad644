"""Show what the network has measured of a validator; join it with one's own.

Rule: scores are the node's, printed as they decide about seats and pay.
Spec: docs/reference/cli.md; docs/explanation/participation.md. Deviations: none.
"""

from __future__ import annotations

from typing import Any

import click

from node.cli import http
from node.cli.claiming import claim, status, unjail
from node.cli.context import Context, json_option
from node.cli.owning import exit_, join, rotate_key, set_payout, stake
from node.cli.show import shorten, show_json, show_table
from node.cli.units import format_time
from primitives.errors import ConfigError


@click.group()
def validator() -> None:
    """Join, leave, change keys; show scores, part by part.

    \b
    Example:
      omnibazaar validator score
    """


for command in (join, stake, status, rotate_key, set_payout, unjail, exit_, claim):
    validator.add_command(command)


@validator.command(name="list")
@json_option
@click.pass_obj
def list_validators(context: Context, as_json: bool) -> None:
    """Show the committee with scores.

    \b
    Example:
      omnibazaar validator list --json
    """
    found = http.get(context.find_url(), "/v1/validators")
    if as_json:
        show_json(found)
        return
    total = sum(one["weight"] for one in found["validators"]) or 1
    show_table(
        ("seat", "name", "validator", "weight", "score", "link"),
        [
            (
                one["index"],
                one["name"],
                shorten(one["address"]),
                f"{100 * one['weight'] / total:.2f} %",
                one["score"],
                "up" if one["connected"] else "away",
            )
            for one in found["validators"]
        ],
    )


@validator.command()
@click.argument("address", required=False)
@json_option
@click.pass_obj
def score(context: Context, address: str | None, as_json: bool) -> None:
    """Show the score of a validator (this node's own without ADDRESS), part by part.

    \b
    Example:
      omnibazaar validator score 0x52908400098527886E0F7030069857D2E4169EE7
    """
    url = context.find_url()
    if address is None:
        own = http.get(url, "/v1/status")["validator"]
        if own is None:
            raise ConfigError(
                "this node is no validator",
                fix="name one: `omnibazaar validator score ADDRESS`",
            )
        address = own["address"]
    found = http.get(url, f"/v1/validators/{address}/score")
    if as_json:
        show_json(found)
        return
    for line in describe(found):
        click.echo(line)
    show_table(
        ("part", "points", "offered", "open period", "last period"),
        [
            (
                part["name"],
                part["points"],
                "yes" if part["is_offered"] else "no",
                f"{part['credits'] / 1_000:g} of {part['opportunities']}",
                "left out" if part["ratio"] is None else f"{part['ratio'] / 10_000:.2f} %",
            )
            for part in found["parts"]
        ],
    )


def describe(found: dict[str, Any]) -> list[str]:
    """Return the lines above the table of parts."""
    seat = "no seat" if found["seat"] is None else f"seat {found['seat']}"
    state = "serving"
    if found["is_convicted"]:
        state = "convicted of two conflicting votes"
    elif found["jailed_until_ms"]:
        until = format_time(found["jailed_until_ms"])
        state = f"jailed until {until} UTC, then until its next heartbeat"
    elif found["is_leaving"]:
        state = "leaving"
    return [
        f"validator  {found['address']}  {seat}  weight {found['weight']}  {state}",
        f"score      {found['score'] / 10_000:.4f} of 100; a seat requires 50",
        f"period     {found['period_score'] / 10_000:.4f} in the last one, which pays "
        f"{found['pay_share'] / 10_000:.2f} % of the validators' fees",
        f"           the open one closes at height {found['period_ends_height']}",
        f"votes      {found['votes']} of the newest {found['votes_possible']}"
        f"   slots missed in a row {found['missed_slots_in_row']}   jailed {found['jail_count']} ×",
        "storage    " + describe_question(found["storage"]),
    ]


def describe_question(asked: dict[str, Any]) -> str:
    """Say what a chunk is asked of and what the validator said."""
    if not asked["snapshot_height"]:
        return "nothing is asked before the first snapshot"
    said = "committed to an answer" if asked["is_committed"] else "no commitment yet"
    shown = "shown" if asked["is_answered"] else "not shown"
    return (
        f"part {asked['part']} asks for a chunk of the snapshot of height "
        f"{asked['snapshot_height']}: {said}; the answer of the part before is {shown}"
    )
