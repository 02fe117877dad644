"""Deposit and claim without gas: sign a fee, let a relay bring it, wait until it is done.

Rule: relays are asked in turn, the healthy ones with the fewest jobs first; one that refuses,
hangs, dies or lies is followed by the next, for nothing that is signed here can happen twice. It is
done when the vault says so, asked through the trader's own EVM node.
Spec: docs/how-to/relay.md; docs/spec/settlement.md §3, §5, §14. Deviations: none.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import msgspec
import trio

from client.errors import NotRelayed, RequestRefused
from client.evm_views import is_order_done, is_paid
from client.limits import RELAY_POLL_S, RELAY_SHOWN_S, RELAY_WAIT_S, SIGNED_FEE_S
from client.permit_terms import PermitTerms
from client.rest import RestClient
from client.views import Asset, Atoms, View, WithdrawalProof
from primitives.errors import NodeError
from primitives.secp256k1 import PrivateKey
from primitives.vault_orders import (
    ClaimFee,
    DepositOrder,
    Permit,
    compute_claim_fee_digest,
    compute_deposit_digest,
    sign_permit,
)

IsDone: TypeAlias = Callable[[], Awaitable[bool]]
"""Asks the vault. Raises NodeError."""


class RelayFee(View, frozen=True, kw_only=True):
    """What one asset costs."""

    asset: int
    atoms: Atoms  # least fee of a claim or a deposit


class RelayChain(View, frozen=True, kw_only=True):
    """Whether transactions get through on one chain now."""

    chain_id: int
    vault: bytes
    healthy: bool
    waiting: int  # jobs before yours


class RelayTerms(View, frozen=True, kw_only=True):
    """What a node brings for whom; empty lists: nothing."""

    chains: tuple[RelayChain, ...]
    fees: tuple[RelayFee, ...]


class RelayJob(View, frozen=True, kw_only=True):
    """One transaction on its way."""

    id: bytes
    state: str  # waiting, done, refused
    detail: str  # of a refusal: what the contract or the chain says


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed:
    """What has been brought, and by whom."""

    job: RelayJob
    url: str


async def deposit_by_relay(
    relays: Sequence[RestClient],
    wallet: PrivateKey,
    *,
    network_id: bytes,
    asset: Asset,
    atoms: int,
    fee: int,
    permit: PermitTerms,
    rpc_url: str,
) -> Relayed:
    """Deposit `atoms` for the wallet's account, `fee` of them for the relay; needs no gas.

    Returns when the EVM node at `rpc_url` has the deposit; the ledger credits it some blocks later.
    Raises NotRelayed when no relay did it. `permit` is from `read_permit_terms`.
    """
    deadline_s = _now_s() + SIGNED_FEE_S
    order = DepositOrder(
        depositor=wallet.address,
        token=asset.token,
        amount=atoms,
        fee=fee,
        beneficiary=wallet.address,
        nonce=secrets.randbits(64),
        deadline_s=deadline_s,
    )
    digest = compute_deposit_digest(
        order, network_id=network_id, chain_id=asset.chain_id, vault=asset.vault
    )
    allowed = sign_permit(
        wallet,
        domain=permit.domain,
        vault=asset.vault,
        value=atoms,
        nonce=permit.nonce,
        deadline_s=deadline_s,
    )
    body = {
        "chain_id": asset.chain_id,
        "depositor": "0x" + order.depositor.hex(),
        "token": "0x" + order.token.hex(),
        "amount": str(atoms),
        "fee": str(fee),
        "beneficiary": "0x" + order.beneficiary.hex(),
        "nonce": str(order.nonce),
        "deadline_s": deadline_s,
        "signature": "0x" + wallet.sign(digest).hex(),
        "permit": _permit_body(allowed),
    }
    is_done = partial(is_order_done, rpc_url, asset.vault, digest)
    place = asset.chain_id, asset.vault
    return await _bring(relays, place, "/v1/relay/deposits", body, is_done)


async def claim_by_relay(
    relays: Sequence[RestClient],
    wallet: PrivateKey,
    *,
    network_id: bytes,
    proof: WithdrawalProof,
    fee: int,
    rpc_url: str,
) -> Relayed:
    """Have a proven withdrawal paid to its receiver, less `fee` for the relay.

    The receiver of the withdrawal must be the wallet. Returns when the EVM node at `rpc_url` has
    the payment. Raises NotRelayed when no relay did it.
    """
    promise = ClaimFee(index=proof.index, atoms=fee, deadline_s=_now_s() + SIGNED_FEE_S)
    digest = compute_claim_fee_digest(
        promise, network_id=network_id, chain_id=proof.chain_id, vault=proof.vault
    )
    body = {
        "index": promise.index,
        "fee": str(promise.atoms),
        "deadline_s": promise.deadline_s,
        "signature": "0x" + wallet.sign(digest).hex(),
    }
    is_done = partial(is_paid, rpc_url, proof.vault, proof.index)
    place = proof.chain_id, proof.vault
    return await _bring(relays, place, "/v1/relay/claims", body, is_done)


async def _bring(
    relays: Sequence[RestClient],
    place: tuple[int, bytes],
    path: str,
    body: dict[str, Any],
    is_done: IsDone,
) -> Relayed:
    """Ask one relay after the other until the vault says that it is done."""
    problems: list[str] = []
    for relay in await _in_turn(relays, place, problems):
        try:
            job = await relay.post_json(path, body, RelayJob)
            return Relayed(job=await _wait(relay, job, is_done), url=relay.url)
        except NodeError as error:
            problems.append(f"{relay.url}: {error}")
    raise NotRelayed("; ".join(problems) or "no relay was named")


async def _in_turn(
    relays: Sequence[RestClient], place: tuple[int, bytes], problems: list[str]
) -> list[RestClient]:
    """The relays that serve a vault, the healthy ones with the fewest jobs first."""
    found: list[tuple[bool, int, int]] = []

    async def ask(number: int) -> None:
        try:
            terms = await relays[number].get("/v1/relay", RelayTerms)
        except NodeError as error:
            problems.append(f"{relays[number].url}: {error}")
            return
        rooms = [room for room in terms.chains if (room.chain_id, room.vault) == place]
        found.extend((not room.healthy, room.waiting, number) for room in rooms[:1])
        if not rooms:
            problems.append(f"{relays[number].url}: relays nothing on chain {place[0]}")

    async with trio.open_nursery() as nursery:
        for number in range(len(relays)):
            nursery.start_soon(ask, number)
    return [relays[number] for *_, number in sorted(found)]


async def _wait(relay: RestClient, job: RelayJob, is_done: IsDone) -> RelayJob:
    """Wait until the vault shows it. Raises RequestRefused when it was refused, was not done in
    time, or was said to be done and is not.
    """
    doubt = ""
    with trio.move_on_after(RELAY_WAIT_S) as patience:
        while job.state in ("waiting", "done"):
            try:
                if await is_done():
                    return msgspec.structs.replace(job, state="done")
                doubt = "the vault does not have it"
            except NodeError as error:
                doubt = f"the vault cannot be asked: {error}"
            if job.state == "done":
                patience.deadline = min(patience.deadline, trio.current_time() + RELAY_SHOWN_S)
            await trio.sleep(RELAY_POLL_S)
            if job.state == "waiting":
                job = await relay.get(f"/v1/relay/jobs/0x{job.id.hex()}", RelayJob)
    if job.state == "done":
        raise RequestRefused("relay_refused", f"says that it is done, but {doubt}")
    raise RequestRefused("relay_refused", f"{job.state}: {job.detail or 'not done in time'}")


def _permit_body(permit: Permit) -> dict[str, Any]:
    return {
        "value": str(permit.value),
        "deadline_s": permit.deadline_s,
        "v": permit.v,
        "r": "0x" + permit.r.hex(),
        "s": "0x" + permit.s.hex(),
    }


def _now_s() -> int:
    return time.time_ns() // 1_000_000_000
