"""Show how an own validator stands, end its jail, and take out what is due to it.

Rule: rewards are credit of the payout account on the ledger, so what can be claimed on chain is
that account's withdrawals and, after unbonding, the stake; anybody may pay the gas of the former.
Spec: docs/how-to/join-as-a-validator.md; docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli import http
from node.cli.assets import list_assets
from node.cli.context import Context, json_option
from node.cli.owning import from_option, hot_option, show_standing
from node.cli.show import format_atoms, show_json
from node.cli.wallet_options import password_option, rpc_option
from primitives.errors import NotRunning, OperatorError

if TYPE_CHECKING:
    from contracts.registry_client import Registered
    from contracts.settlement_types import Submission
    from primitives.secp256k1 import PrivateKey

HEARTBEAT_LIFETIME_MS = 60_000


@click.command()
@click.option("--owner", help="Any owner's address instead of a key.")
@from_option
@rpc_option
@json_option
@click.pass_obj
def status(context: Context, owner: str | None, key: str, rpc: str | None, as_json: bool) -> None:
    """Show an own validator: stake, keys, seat, unbonding, and what to do next.

    \b
    Example:
      omnibazaar validator status --from trader
    """
    from node.cli import staking
    from node.keys.keystore import find_key
    from primitives.address import parse_address, to_checksum

    address = parse_address(owner) if owner else find_key(context.data.keys, key).address
    desk = staking.open_desk(context, rpc, None, address)
    found, now_s = desk.find(), desk.client.now_s()
    score = None if found is None else find_score(context, to_checksum(found.hot_key))
    advice = advise(found, score, now_s)
    if as_json:
        show_json({"validator": staking.describe(found), "ledger": score, "next": advice})
        return
    if found is None:
        click.echo(f"{to_checksum(address)} has no validator")
    else:
        click.echo(f"owner     {to_checksum(found.owner)}")
        click.echo(f"hot key   {to_checksum(found.hot_key)}")
        click.echo(f"payout    {to_checksum(found.payout)}")
        click.echo(f"services  {staking.name_services(found.services)}")
        state = "leaving" if found.exiting else "bonded" if found.is_active else "not enough"
        click.echo(f"stake     {staking.show_xom(found.stake)}  {state}")
        click.echo(f"ledger    {show_standing(score)}")
        if score is not None:
            click.echo(
                f"score     {score['score'] / 10_000:.2f} of 100; it changes next at "
                f"height {score['period_ends_height']}"
            )
    click.echo(f"next      {advice}")


def find_score(context: Context, hot_key: str) -> dict[str, Any] | None:
    """Return what a node says of a validator; None when it knows none, or does not run."""
    try:
        found: dict[str, Any] = http.get(context.find_url(), f"/v1/validators/{hot_key}/score")
    except (NotRunning, http.Refused):
        return None
    return found


def advise(found: Registered | None, score: dict[str, Any] | None, now_s: int) -> str:
    """Return what an owner should do now."""
    if found is None:
        return "`omnibazaar validator join`"
    if found.exiting:
        if not found.exit_at_s:
            return (
                "keep the node running: unbonding begins when the vault accepts a committee "
                "without you"
            )
        if now_s < found.exit_at_s:
            days, rest = divmod(found.exit_at_s - now_s, 86_400)
            return f"wait {days} days and {rest // 3_600} hours, then `omnibazaar validator claim`"
        return "`omnibazaar validator claim` takes the stake out"
    if not found.is_active:
        return "`omnibazaar validator stake AMOUNT`: 1,000 XOM are needed for a seat"
    if score is None:
        return "`omnibazaar run`, and wait until the registration is attested"
    if score["is_convicted"]:
        return "`omnibazaar keys new --role validator`, then `omnibazaar validator rotate-key`"
    if score["jailed_until_ms"]:
        return "keep the node running: its heartbeat ends the jail (`omnibazaar validator unjail`)"
    if score["seat"] is None:
        return "keep the node running: heartbeats and services earn the score that a seat requires"
    return "nothing: keep the node running"


@click.command()
@hot_option
@password_option
@json_option
@click.pass_obj
def unjail(context: Context, hot_key: str, password_file: Path | None, as_json: bool) -> None:
    """Send the sign of life that ends a jail term; a running node does it by itself.

    \b
    Example:
      omnibazaar validator unjail
    """
    import time

    from exchange.actions import Action, sign
    from exchange.operations import Heartbeat
    from node.cli import staking
    from node.network_file import load_network
    from primitives.address import to_checksum
    from primitives.eip712 import network_domain

    url = context.find_url()
    key = staking.load_hot_key(context, hot_key, password_file)
    now_ms = time.time_ns() // 1_000_000
    verify_jailed(url, to_checksum(key.address), now_ms)
    network = load_network(context.data.network_file)
    action = Action(
        domain=network_domain(network.network_id),
        account=key.address,
        sub=0,
        nonce_ms=now_ms,
        deadline_ms=now_ms + HEARTBEAT_LIFETIME_MS,
        atomic=False,
        ops=(Heartbeat(),),
    )
    signed = sign(action, key)
    body = {"payload": "0x" + signed.payload.hex(), "signature": "0x" + signed.signature.hex()}
    result = http.post(url, "/v1/actions", {"actions": [body]})["results"][0]
    if not result["accepted"]:
        raise OperatorError(
            f"the node does not take the heartbeat: {result.get('error', '')}",
            code="VAL003",
            fix="run the command again",
        )
    if as_json:
        show_json(result)
        return
    click.echo(f"sent {result['id']}")
    click.echo("The jail ends when it is in a final block, a seat comes at the next border.")


def verify_jailed(url: str, hot_key: str, now_ms: int) -> None:
    """Raise OperatorError when a heartbeat cannot end anything now."""
    score = http.get(url, f"/v1/validators/{hot_key}/score")
    until_ms = score["jailed_until_ms"]
    if not until_ms:
        raise OperatorError(
            f"{hot_key} is not jailed", code="VAL003", fix="`omnibazaar validator status`"
        )
    if until_ms > now_ms:
        raise OperatorError(
            f"the term of {hot_key} ends in {(until_ms - now_ms) // 1_000 + 1} s",
            code="VAL003",
            fix="repeat it then; a running node does it by itself",
        )


@click.command()
@from_option
@password_option
@rpc_option
@json_option
@click.pass_obj
def claim(
    context: Context, key: str, password_file: Path | None, rpc: str | None, as_json: bool
) -> None:
    """Take out what is due on chain: the stake after unbonding, withdrawals of the payout account.

    Rewards and the validators' 70 % of the fees are credited to the payout account on the ledger
    at each checkpoint. `wallet withdraw` with that account's key takes them from there.

    \b
    Example:
      omnibazaar validator claim --from trader
    """
    from node.cli import staking
    from primitives.address import to_checksum

    owner = context.load_key(key, password_file)
    desk = staking.open_desk(context, rpc, owner)
    found = desk.find()
    payout = to_checksum(owner.address if found is None else found.payout)
    steps = staking.Steps(context, as_json)
    if found is not None and found.exiting and 0 < found.exit_at_s <= desk.client.now_s():
        text = f"take the stake of {staking.show_xom(found.stake)} out"
        steps.add(text, desk.client.withdraw_stake)
    # What was earned before the payout account was changed stays with the one before.
    accounts = dict.fromkeys((payout, to_checksum(owner.address)))
    held = []
    for account in accounts:
        held += _look_at(context, steps, account, owner, rpc)
    done = steps.run()
    if as_json:
        show_json({"steps": done, "payout": payout, "balances": held})
        return
    if not done:
        click.echo("Nothing to claim on chain.")
    for row in held:
        click.echo(f"on the ledger: {row['shown']} {row['symbol']} of {row['account']}")
    for account in dict.fromkeys(row["account"] for row in held):
        click.echo(
            f"take it out with the key of {account}: omnibazaar wallet withdraw ASSET AMOUNT"
        )


def _look_at(
    context: Context, steps: Any, account: str, owner: PrivateKey, rpc: str | None
) -> list[dict[str, Any]]:
    """Plan the withdrawals of an account; return what it has on the ledger."""
    try:
        url = context.find_url()
        balances = http.get(url, f"/v1/accounts/{account}")["balances"]
        decimals = {asset["id"]: asset["decimals"] for asset in list_assets(url)}
        _plan_withdrawals(context, steps, url, account, owner, rpc)
    except NotRunning as error:
        click.echo(f"rewards are not looked at: {error}", err=True)
        return []
    except http.Refused as error:
        if error.code != "not_found":
            click.echo(f"rewards of {account} are not looked at: {error}", err=True)
        return []  # nothing was ever credited to it
    return [
        {
            **row,
            "account": account,
            "shown": format_atoms(int(row["free"]), decimals[row["asset"]]),
        }
        for row in balances
        if int(row["free"])
    ]


def _plan_withdrawals(
    context: Context, steps: Any, url: str, payout: str, key: PrivateKey, rpc: str | None
) -> None:
    """Add a step for every withdrawal of an account that a checkpoint covers and nobody paid."""
    from node.cli.wallet_options import find_chain, find_rpc_url, open_settlement
    from node.cli.withdrawing import claim_withdrawal
    from node.network_file import load_network
    from node.settlement.vaults import at_vault

    network = load_network(context.data.network_file)
    listed = http.get(url, f"/v1/accounts/{payout}/withdrawals")["withdrawals"]
    for entry in listed:
        of_file = find_chain(network, entry["chain_id"])
        chain = at_vault(of_file, bytes.fromhex(entry["vault"][2:]))
        if open_settlement(context, network, chain, rpc, None).is_paid(entry["index"]):
            continue
        try:
            proof = http.get(url, f"/v1/settlement/withdrawals/{entry['index']}/proof")
        except http.Refused:
            continue  # no checkpoint covers it yet
        endpoint = find_rpc_url(context, rpc, entry["chain_id"])

        def pay(proof: dict[str, Any] = proof, endpoint: str = endpoint) -> Submission:
            return claim_withdrawal(context, endpoint, url, proof, key)

        steps.add(f"have withdrawal {entry['index']} paid to {entry['to']}", pay)
