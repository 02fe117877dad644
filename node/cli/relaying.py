"""Let somebody else pay the gas: the SDK's deposits and claims through relays, for commands.

Rule: nothing is signed here that the SDK does not sign; what no relay did becomes one error that
says what may still happen and names the ways out.
Spec: docs/how-to/relay.md; docs/spec/settlement.md §14. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import click
import trio

from client.errors import NotRelayed
from client.evm_views import is_paid
from client.gasless import Relayed, RelayJob, claim_by_relay, deposit_by_relay
from client.permit_terms import read_permit_terms
from client.rest import RestClient
from primitives.errors import OperatorError

if TYPE_CHECKING:
    from node.network_file import NetworkFile
    from primitives.secp256k1 import PrivateKey

ALREADY: Final = "already done"


def claim_for_fee(
    network: NetworkFile,
    node: str,
    relays: Sequence[str],
    rpc: str,
    index: int,
    atoms: int,
    key: PrivateKey,
) -> dict[str, Any]:
    """Have a proven withdrawal claimed for a fee. Raises OperatorError when no relay does it."""

    async def claim(rest: RestClient, brought_by: list[RestClient]) -> Relayed:
        proof = await rest.withdrawal_proof(index)
        if proof is None:
            raise NotRelayed(f"no checkpoint covers withdrawal {index} yet")
        if await is_paid(rpc, proof.vault, index):
            return Relayed(job=RelayJob(id=b"", state="done", detail=ALREADY), url="")
        return await claim_by_relay(
            brought_by, key, network_id=network.network_id, proof=proof, fee=atoms, rpc_url=rpc
        )

    return _run(node, relays, claim, "none: a withdrawal is paid once, whoever claims it")


def verify_fee(proof: dict[str, Any], atoms: int, owner: bytes) -> None:
    """Raise when a fee cannot be promised out of a withdrawal. Raises OperatorError, UsageError."""
    if proof["to"].lower() != "0x" + owner.hex():
        raise OperatorError(
            f"withdrawal {proof['index']} is paid to {proof['to']}, and only that key can promise "
            "a fee out of it",
            code="EVM008",
            risk="none: the withdrawal stays valid",
            fix="name its key with --as, or pay the gas without --fee",
        )
    if atoms >= int(proof["amount"]):
        raise click.UsageError("the fee comes out of the withdrawal, and must be less than it")


def deposit_for_fee(
    network: NetworkFile,
    node: str,
    relays: Sequence[str],
    rpc: str,
    asset_id: int,
    atoms: int,
    fee: int,
    key: PrivateKey,
) -> dict[str, Any]:
    """Have tokens deposited for a fee out of them, by the token's permit.

    Raises RequestRefused for a token without permits, OperatorError when no relay does it.
    """

    async def deposit(rest: RestClient, brought_by: list[RestClient]) -> Relayed:
        asset = next(one for one in await rest.assets() if one.id == asset_id)
        return await deposit_by_relay(
            brought_by,
            key,
            network_id=network.network_id,
            asset=asset,
            atoms=atoms,
            fee=fee,
            permit=await read_permit_terms(rpc, asset.token, key.address),
            rpc_url=rpc,
        )

    return _run(
        node,
        relays,
        deposit,
        "a relay that was asked may still bring this deposit, once, within the hour: look at "
        "`wallet balance` before you repeat it",
    )


def _run(
    node: str,
    relays: Sequence[str],
    work: Callable[[RestClient, list[RestClient]], Awaitable[Relayed]],
    risk: str,
) -> dict[str, Any]:
    """Do one thing through relays; return the job and who did it, for people and programs."""

    async def main() -> Relayed:
        async with AsyncExitStack() as stack:
            first, *others = [
                await stack.enter_async_context(RestClient(url)) for url in (node, *relays)
            ]
            return await work(first, others)

    try:
        done = trio.run(main)
    except NotRelayed as error:
        raise OperatorError(
            f"no relay has done it: {error}",
            code="EVM008",
            risk=risk,
            fix="name other relays with --relay, raise the fee, or pay the gas without --fee",
        ) from None
    job = done.job
    return {
        "id": "0x" + job.id.hex(),
        "state": job.state,
        "detail": job.detail,
        "relay": done.url,
    }
