"""Join the network as a validator, change keys and payout, leave, and take out what is due.

Rule: every command says what it is going to do, tries it for free, does it, and can be repeated
after an interruption; nothing here touches a running node but the word of life of `unjail`.
Spec: docs/how-to/join-as-a-validator.md; docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli.context import Context, json_option
from node.cli.units import format_time
from node.cli.wallet_options import Purse, purse_options

if TYPE_CHECKING:
    from node.cli.staking import Desk, Steps
    from primitives.secp256k1 import PrivateKey

from_option = click.option(
    "--from", "--as", "key", default="trader", show_default=True, help="The owner's key."
)
hot_option = click.option(
    "--hot-key", default="", help="The key that signs votes; default: validator.key."
)
hot_password_option = click.option(
    "--hot-password-file",
    type=click.Path(path_type=Path),
    help="Its password; default: that of the owner's key.",
)


@click.command()
@click.option("--stake", default="1000", show_default=True, help="XOM to bond, at least 1,000.")
@click.option("--payout", help="Ledger account that is paid; default: the owner.")
@click.option(
    "--services", default="trading,chat,storage", show_default=True, help="What the node offers."
)
@hot_option
@hot_password_option
@purse_options(from_option)
@json_option
@click.pass_obj
def join(
    context: Context,
    stake: str,
    payout: str | None,
    services: str,
    hot_key: str,
    hot_password_file: Path | None,
    as_json: bool,
    *,
    purse: Purse,
) -> None:
    """Register this node: approve, stake, name its hot key, payout account and services.

    Run it again after an interruption, or to change what differs: it goes on from where the
    contract is.

    \b
    Example:
      omnibazaar validator join --stake 25000 --from trader
    """
    from node.cli import staking
    from primitives.address import parse_address

    atoms, mask = staking.parse_xom(stake), staking.parse_services(services)
    owner = purse.load_key(context)
    hot = staking.load_hot_key(context, hot_key, hot_password_file or purse.password_file)
    network_key = staking.load_network_key(context)
    desk = staking.open_desk(context, purse.rpc, owner)
    steps = staking.Steps(context, as_json)
    _plan_stake(desk, steps, atoms, hot, network_key, mask)
    account = parse_address(payout) if payout else None
    found = desk.find()
    if account is not None and (found is None or found.payout != account):
        steps.add(f"pay rewards to {payout}", partial(desk.client.change_payout, account))
    done = steps.run(
        f"The stake stays bonded until {staking.UNBONDING_DAYS} days after you have left; two "
        "conflicting votes cost 5 % of it or more, downtime costs nothing of it."
    )
    following = context.spell("validator status")
    staking.finish(
        as_json,
        done,
        desk,
        f"Next: `{context.spell('run')}`. The node follows as an observer and earns its score; a "
        f"seat requires 50 and comes at the border of an epoch: `{following}`.",
    )


def _plan_stake(
    desk: Desk, steps: Steps, atoms: int, hot: PrivateKey, network_key: bytes, mask: int
) -> None:
    """Add the steps between what the contract says and what is wanted."""
    from contracts.errors import ContractRefused
    from contracts.registry_reasons import explain
    from node.cli import staking
    from primitives.address import to_checksum
    from primitives.errors import ConfigError

    client, found = desk.client, desk.find()
    if found is None:
        if atoms < staking.STAKE_MIN:
            raise explain(ContractRefused("StakeTooSmall"))
        staking.verify_hot_key(desk, hot.address)
        staking.verify_funds(desk, atoms)
        steps.add(
            f"let the registry take {staking.show_xom(atoms)} from {to_checksum(desk.owner)}",
            partial(client.approve, atoms),
        )
        steps.add(
            f"stake it and register the hot key {to_checksum(hot.address)} with "
            f"{staking.name_services(mask)}",
            partial(client.register, atoms, hot, network_key, mask),
        )
        return
    if found.exiting:
        raise explain(ContractRefused("Leaving"))
    if found.hot_key != hot.address:
        raise ConfigError(
            f"this owner's validator signs with {to_checksum(found.hot_key)}, this node with "
            f"{to_checksum(hot.address)}",
            fix="omnibazaar validator rotate-key, or configure the registered key",
        )
    if found.stake < atoms:
        _plan_addition(desk, steps, desk.owner, atoms - found.stake, found.stake)
    if (found.network_key, found.services) != (network_key, mask):
        steps.add(
            f"name this node's p2p identity, with {staking.name_services(mask)}",
            partial(client.change_services, network_key, mask),
        )


def _plan_addition(desk: Desk, steps: Steps, owner: bytes, atoms: int, before: int) -> None:
    from contracts.errors import ContractRefused
    from contracts.registry_reasons import explain
    from node.cli import staking
    from primitives.address import to_checksum

    if atoms < staking.STAKE_ADDED_MIN:
        raise explain(ContractRefused("StakeTooSmall"))
    staking.verify_funds(desk, atoms)
    steps.add(
        f"let the registry take {staking.show_xom(atoms)} from {to_checksum(desk.owner)}",
        partial(desk.client.approve, atoms),
    )
    steps.add(
        f"add {staking.show_xom(atoms)} to the stake of {to_checksum(owner)}",
        partial(desk.client.add_stake, owner, atoms, before + atoms),
    )


@click.command()
@click.argument("amount")
@click.option("--validator", "target", help="Another owner's validator; default: one's own.")
@purse_options(from_option)
@json_option
@click.pass_obj
def stake(
    context: Context,
    amount: str,
    target: str | None,
    as_json: bool,
    *,
    purse: Purse,
) -> None:
    """Add AMOUNT of XOM to a validator's stake.

    Look at `validator status` before you repeat it: each run adds.

    \b
    Example:
      omnibazaar validator stake 500 --from trader
    """
    from contracts.errors import ContractRefused
    from contracts.registry_reasons import explain
    from node.cli import staking
    from primitives.address import parse_address

    atoms = staking.parse_xom(amount)
    desk = staking.open_desk(context, purse.rpc, purse.load_key(context))
    owner = parse_address(target) if target else desk.owner
    found = desk.client.find(owner)
    if found is None or found.exiting:
        raise explain(ContractRefused("NotRegistered" if found is None else "Leaving"))
    steps = staking.Steps(context, as_json)
    _plan_addition(desk, steps, owner, atoms, found.stake)
    staking.finish(as_json, steps.run(), desk, "The ledger counts it when it is attested.")


@click.command(name="rotate-key")
@click.option("--hot-key", required=True, help="The new key, in keys/.")
@hot_password_option
@purse_options(from_option)
@json_option
@click.pass_obj
def rotate_key(
    context: Context,
    hot_key: str,
    hot_password_file: Path | None,
    as_json: bool,
    *,
    purse: Purse,
) -> None:
    """Have another key sign votes, without unstaking. The old one stays punishable.

    \b
    Example:
      omnibazaar validator rotate-key --hot-key 4f2a --from trader
    """
    from node.cli import staking
    from primitives.address import to_checksum

    owner = purse.load_key(context)
    hot = context.load_key(hot_key, hot_password_file or purse.password_file)
    desk = staking.open_desk(context, purse.rpc, owner)
    steps = staking.Steps(context, as_json)
    if desk.require().hot_key != hot.address:
        staking.verify_hot_key(desk, hot.address)
        steps.add(
            f"have {to_checksum(hot.address)} sign votes instead of "
            f"{to_checksum(desk.require().hot_key)}",
            partial(desk.client.change_hot_key, hot),
        )
    digits = to_checksum(hot.address)[2:10]
    staking.finish(
        as_json,
        steps.run("The old key keeps its seat until the epoch ends; it never signs again after."),
        desk,
        f"Next: `{context.spell(f'config set validator.key {digits}')}`, and restart the node once "
        f"the old key has no seat: `{context.spell('validator status')}`.",
    )


@click.command(name="set-payout")
@click.argument("address")
@purse_options(from_option)
@json_option
@click.pass_obj
def set_payout(
    context: Context,
    address: str,
    as_json: bool,
    *,
    purse: Purse,
) -> None:
    """Have rewards credited to the ledger account ADDRESS.

    \b
    Example:
      omnibazaar validator set-payout 0x52908400098527886E0F7030069857D2E4169EE7
    """
    from node.cli import staking
    from primitives.address import parse_address, to_checksum

    account = parse_address(address)
    desk = staking.open_desk(context, purse.rpc, purse.load_key(context))
    steps = staking.Steps(context, as_json)
    if desk.require().payout != account:
        steps.add(
            f"pay rewards to {to_checksum(account)}", partial(desk.client.change_payout, account)
        )
    done = steps.run("Whoever has that account's key gets what is earned from then on.")
    staking.finish(as_json, done, desk)


@click.command(name="exit")
@purse_options(from_option)
@json_option
@click.pass_obj
def exit_(context: Context, as_json: bool, *, purse: Purse) -> None:
    """Ask to leave. It cannot be taken back; the node goes on until it has no seat.

    \b
    Example:
      omnibazaar validator exit --from trader
    """
    from node.cli import staking

    desk = staking.open_desk(context, purse.rpc, purse.load_key(context))
    steps = staking.Steps(context, as_json)
    if not desk.require().exiting:
        steps.add("ask the registry to leave", desk.client.request_exit)
    done = steps.run(
        f"The stake is bonded for {staking.UNBONDING_DAYS} days from the first committee without "
        "you that the vault accepts. Keep the node running until then: a seat left empty makes "
        "the others wait."
    )
    staking.finish(as_json, done, desk, f"Next: `{context.spell('validator status')}`.")


def show_standing(score: dict[str, Any] | None) -> str:
    """Return what the ledger says of a validator, in words."""
    if score is None:
        return "unknown: no node runs here, or the registry's events are not attested yet"
    if score["is_convicted"]:
        return "convicted of two conflicting votes: use a new hot key"
    if score["jailed_until_ms"]:
        return f"jailed until {format_time(score['jailed_until_ms'])} UTC"
    if score["seat"] is not None:
        return f"seat {score['seat']}, weight {score['weight']}"
    return "no seat"
