"""Deposit and claim without gas: sign a fee, let a relay bring it, wait until it is done.

Rule: relays are asked in turn, the healthy ones with the fewest jobs first; one that refuses, hangs
or dies is followed by the next, for nothing that is signed here can happen twice.
Spec: docs/how-to/relay.md; docs/spec/settlement.md §3, §5, §14. Deviations: none.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import trio

from client.errors import NotRelayed, RequestRefused
from client.limits import RELAY_POLL_S, RELAY_WAIT_S, SIGNED_FEE_S
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
) -> Relayed:
    """Deposit `atoms` for the wallet's account, `fee` of them for the relay; needs no gas.

    Returns when the deposit is on the EVM chain; the ledger credits it some blocks later. Raises
    NotRelayed when no relay did it. `permit` is from `read_permit_terms`.
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
    return await _bring(relays, asset.chain_id, "/v1/relay/deposits", body)


async def claim_by_relay(
    relays: Sequence[RestClient],
    wallet: PrivateKey,
    *,
    network_id: bytes,
    proof: WithdrawalProof,
    fee: int,
) -> Relayed:
    """Have a proven withdrawal paid to its receiver, less `fee` for the relay.

    The receiver of the withdrawal must be the wallet. Raises NotRelayed when no relay did it.
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
    return await _bring(relays, proof.chain_id, "/v1/relay/claims", body)


async def _bring(
    relays: Sequence[RestClient], chain_id: int, path: str, body: dict[str, Any]
) -> Relayed:
    """Ask one relay after the other until one has done it."""
    problems = []
    for relay in await _in_turn(relays, chain_id):
        try:
            job = await relay.post_json(path, body, RelayJob)
            return Relayed(job=await _wait(relay, job), url=relay.url)
        except NodeError as error:
            problems.append(f"{relay.url}: {error}")
    raise NotRelayed("; ".join(problems) or "no relay serves this chain")


async def _in_turn(relays: Sequence[RestClient], chain_id: int) -> list[RestClient]:
    """The relays that serve a chain, the healthy ones with the fewest jobs first."""
    found: list[tuple[bool, int, int]] = []

    async def ask(place: int) -> None:
        try:
            terms = await relays[place].get("/v1/relay", RelayTerms)
        except NodeError:
            return
        rooms = [room for room in terms.chains if room.chain_id == chain_id]
        found.extend((not room.healthy, room.waiting, place) for room in rooms[:1])

    async with trio.open_nursery() as nursery:
        for place in range(len(relays)):
            nursery.start_soon(ask, place)
    return [relays[place] for *_, place in sorted(found)]


async def _wait(relay: RestClient, job: RelayJob) -> RelayJob:
    """Wait for the end of a job. Raises RequestRefused when it was refused or takes too long."""
    with trio.move_on_after(RELAY_WAIT_S):
        while job.state == "waiting":
            await trio.sleep(RELAY_POLL_S)
            job = await relay.get(f"/v1/relay/jobs/0x{job.id.hex()}", RelayJob)
    if job.state != "done":
        raise RequestRefused("relay_refused", f"{job.state}: {job.detail or 'not done in time'}")
    return job


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
