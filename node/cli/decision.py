"""Propose, approve and bring what the committee decides about its vaults.

Rule: a validator's key signs in its own node and only at its operator's word; bringing needs no
leave, since everything is in the signatures.
Spec: docs/how-to/decide.md; docs/spec/settlement.md §7. Deviations: none.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli import http
from node.cli.context import Context, json_option
from node.cli.show import shorten, show_json, show_table
from node.cli.wallet_options import (
    chain_option,
    find_chain,
    key_option,
    open_settlement,
    password_option,
    rpc_option,
)
from primitives.errors import ConfigError, OperatorError

if TYPE_CHECKING:
    from primitives.secp256k1 import PrivateKey

PAUSE, LIST, ANNOUNCE = 1, 2, 3
WISHES: Final[dict[str, tuple[int, int, bool]]] = {
    "pause": (PAUSE, 1, False),
    "resume": (PAUSE, 0, False),
    "list": (LIST, 1, True),
    "delist": (LIST, 0, True),
    "announce": (ANNOUNCE, 0, True),
    "call-off": (ANNOUNCE, 0, False),
}
"""Kind, value, whether an address goes with it."""
NOBODY = "0x" + "00" * 20
BORDER_S: Final = 90
"""Longest wait for signatures of a new epoch: a node looks every 15 s and then tells the others."""
BORDER_LOOK_S: Final = 2


@click.group()
def decision() -> None:
    """Decide with the committee about a vault: deposits, tokens, migration.

    \b
    Example:
      omnibazaar decision list
    """


@decision.command()
@click.argument("wish", type=click.Choice(tuple(WISHES)))
@click.argument("address", required=False)
@click.option("--vault", help="That decides; default: where the assets are.")
@chain_option
@click.option("--days", type=click.IntRange(1, 30), default=7, show_default=True)
@json_option
@click.pass_obj
def propose(
    context: Context,
    wish: str,
    address: str | None,
    vault: str | None,
    chain: int | None,
    days: int,
    as_json: bool,
) -> None:
    """Sign a new decision with this node's validator key and send it to the others.

    ADDRESS is a token (list, delist) or the next vault (announce).

    \b
    Example:
      omnibazaar decision propose pause
      omnibazaar decision propose announce 0x52908400098527886E0F7030069857D2E4169EE7
    """
    from node.network_file import load_network

    kind, value, needs_address = WISHES[wish]
    if needs_address != (address is not None):
        raise click.UsageError("an address goes with all but pause, resume and call-off")
    url = context.find_url()
    place = find_chain(load_network(context.data.network_file), chain)
    of_chain = [
        one
        for one in http.get(url, "/v1/settlement")["vaults"]
        if one["chain_id"] == place.chain_id
    ]
    if vault is None:
        vault = next(one["vault"] for one in of_chain if one["moved_to"] == NOBODY)
    body = {
        "chain_id": place.chain_id,
        "vault": vault,
        "kind": kind,
        "subject": address or NOBODY,
        "value": str(value),
        "days": days,
    }
    _show(http.post(url, "/v1/operator/decisions", body, context.find_token()), as_json)


@decision.command(name="list")
@json_option
@click.pass_obj
def list_decisions(context: Context, as_json: bool) -> None:
    """Show what is open and who has signed.

    \b
    Example:
      omnibazaar decision list --json
    """
    found = http.get(context.find_url(), "/v1/decisions")["decisions"]
    if as_json:
        show_json(found)
        return
    show_table(
        ("decision", "chain", "nonce", "wish", "address", "signed by", "this node"),
        [
            (
                shorten(one["id"]),
                one["chain_id"],
                one["nonce"],
                _name(one),
                "-" if one["subject"] == NOBODY else shorten(one["subject"]),
                _describe_weight(one),
                "approves" if one["approved_here"] else "-",
            )
            for one in found
        ],
    )


@decision.command()
@click.argument("name")
@json_option
@click.pass_obj
def approve(context: Context, name: str, as_json: bool) -> None:
    """Sign decision NAME (its first digits) with this node's validator key.

    \b
    Example:
      omnibazaar decision approve 0x3fa1
    """
    url = context.find_url()
    body = {"id": _find(url, name)["id"]}
    _show(http.post(url, "/v1/operator/decisions/approve", body, context.find_token()), as_json)


@decision.command()
@click.argument("name")
@key_option
@password_option
@rpc_option
@json_option
@click.pass_obj
def submit(
    context: Context,
    name: str,
    key: str,
    password_file: Path | None,
    rpc: str | None,
    as_json: bool,
) -> None:
    """Bring decision NAME to its vault once enough have signed; the key pays the gas.

    When the vault has just come to another epoch, it waits for the signatures of that one.

    \b
    Example:
      omnibazaar decision submit 0x3fa1 --as alice
    """
    from contracts.errors import ContractRefused, MinedInVain

    url = context.find_url()
    _require_weight(_find(url, name))  # before a password is asked for
    secret = context.load_key(key, password_file)
    deadline, is_after_border, was_in_vain = time.monotonic() + BORDER_S, False, False
    while True:
        found = _find(url, name)
        try:
            _require_weight(found)
            outcome = _bring(context, found, rpc, secret)
            break
        except (ContractRefused, MinedInVain, TooFewSigned) as error:
            is_after_border |= getattr(error, "reason", None) == "WrongDecisionEpoch"
            if isinstance(error, MinedInVain) and not was_in_vain:
                was_in_vain = True  # a border came between the look and the block: look again
                continue
            if not is_after_border or time.monotonic() > deadline:
                raise
            click.echo("the vault is in another epoch, and its committee signs again", err=True)
            time.sleep(BORDER_LOOK_S)
    if as_json:
        show_json({"id": found["id"], "state": outcome})
    else:
        click.echo(f"{_name(found)}: {outcome}")


@decision.command()
@click.argument("name")
@json_option
@click.pass_obj
def withdraw(context: Context, name: str, as_json: bool) -> None:
    """Sign decision NAME no more: what was signed stands until the vault's next epoch.

    \b
    Example:
      omnibazaar decision withdraw 0x3fa1
    """
    url = context.find_url()
    body = {"id": _find(url, name)["id"]}
    found = http.post(url, "/v1/operator/decisions/withdraw", body, context.find_token())
    if as_json:
        show_json(found)
    else:
        click.echo(f"{_name(found)}: no longer signed here after epoch {found['epoch']}")


class TooFewSigned(OperatorError):
    """The weight of those who have signed does not suffice."""


def _require_weight(found: dict[str, Any]) -> None:
    if found["weight"] < found["quorum"]:
        raise TooFewSigned(
            f"only {_describe_weight(found)} have signed it",
            code="DEC001",
            fix="ask the other validators: `omnibazaar decision approve`; who has approved signs "
            "again within half a minute after an epoch border",
        )


def _bring(context: Context, found: dict[str, Any], rpc: str | None, secret: PrivateKey) -> str:
    from contracts.decisions import Decision
    from contracts.settlement_types import CommitteeMember
    from node.network_file import load_network
    from node.settlement.vaults import at_vault

    network = load_network(context.data.network_file)
    of_file = find_chain(network, found["chain_id"])
    chain = at_vault(of_file, bytes.fromhex(found["vault"][2:]))
    terms = Decision(
        epoch=found["epoch"],
        nonce=found["nonce"],
        valid_until_s=found["valid_until_s"],
        kind=found["kind"],
        subject=bytes.fromhex(found["subject"][2:]),
        value=int(found["value"]),
    )
    outcome = open_settlement(context, network, chain, rpc, secret).decide(
        terms,
        {one["seat"]: bytes.fromhex(one["signature"][2:]) for one in found["signatures"]},
        [
            CommitteeMember(address=bytes.fromhex(one["address"][2:]), weight=one["weight"])
            for one in found["members"]
        ],
    )
    return outcome.value


def _find(url: str, name: str) -> dict[str, Any]:
    digits = name.lower().removeprefix("0x")
    found: list[dict[str, Any]] = [
        one
        for one in http.get(url, "/v1/decisions")["decisions"]
        if one["id"][2:].startswith(digits)
    ]
    if len(found) != 1:
        raise ConfigError(
            f"{len(found)} open decisions begin with {name}",
            fix="`omnibazaar decision list` shows them; after an epoch border one that was "
            "approved comes back within half a minute",
        )
    return found[0]


def _name(one: dict[str, Any]) -> str:
    for name, (kind, value, needs_address) in WISHES.items():
        has_address = one["subject"] != NOBODY
        if (kind, value, needs_address) == (one["kind"], int(one["value"]), has_address):
            return name
    return f"kind {one['kind']}"


def _describe_weight(one: dict[str, Any]) -> str:
    """Say how many have signed, and how much of the weight that is; the vault wants over 2/3."""
    members = one["members"]
    tenths = 1_000 * one["weight"] // sum(member["weight"] for member in members)
    share = f"{tenths // 10}.{tenths % 10} %"
    return f"{len(one['signatures'])} of {len(members)} validators ({share}, > 66.6 % needed)"


def _show(one: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show_json(one)
        return
    click.echo(f"{_name(one)}: decision {one['id']}")
    click.echo(f"signed by {_describe_weight(one)}; the others approve it with")
    click.echo(f"  omnibazaar decision approve {one['id'][:12]}")
