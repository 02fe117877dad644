"""Bring claims and deposits to the vaults for traders without gas, for the fee that they signed.

Rule: a job is a pure function of what was signed; it is tried for free before it costs gas, happens
at most once whoever else brings it, and is refused here when it cannot pay.
Spec: docs/spec/settlement.md §14; docs/how-to/relay.md. Deviations: none.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import trio

from contracts.errors import ContractRefused
from contracts.settlement_client import SettlementClient
from contracts.settlement_types import Submission, WithdrawalClaim
from contracts.vault_reasons import explain_refusal
from exchange.state import Asset
from node.limits import (
    RELAY_ATTEMPTS_MAX,
    RELAY_DEADLINE_S_MIN,
    RELAY_JOBS_KEPT_MAX,
    RELAY_LOOK_S,
    RELAY_QUEUE_MAX,
    RELAY_RETRY_S,
)
from node.network_file import Chain, NetworkFile
from primitives.errors import (
    InvalidMessage,
    InvalidSignature,
    NodeError,
    TransientError,
)
from primitives.secp256k1 import recover_address
from primitives.vault_orders import (
    ClaimFee,
    DepositOrder,
    Permit,
    compute_claim_fee_digest,
    compute_deposit_digest,
)

log = logging.getLogger("omnibazaar.settlement")
T = TypeVar("T")
WAITING, DONE, REFUSED = "waiting", "done", "refused"


@dataclass(slots=True, kw_only=True)
class Job:
    """One transaction that somebody has signed a fee for."""

    id: bytes  # the digest that was signed
    chain_id: int
    kind: str
    bring: Callable[[SettlementClient], Submission]
    state: str = WAITING
    detail: str = ""


class ChainRelay:
    """The jobs of one chain, one after the other."""

    def __init__(
        self,
        chain: Chain,
        client: SettlementClient,
        limiter: trio.CapacityLimiter,
        relayer: bytes,
    ) -> None:
        """`limiter` is shared with whatever else sends from the same account."""
        self.chain = chain
        self.relayer = relayer
        self.is_healthy = False
        self._client = client
        self._limiter = limiter
        self._put, self._take = trio.open_memory_channel[Job](RELAY_QUEUE_MAX)

    @property
    def waiting(self) -> int:
        """Jobs that wait for their turn."""
        return self._put.statistics().current_buffer_used

    def add(self, job: Job) -> None:
        """Queue a job. Raises TransientError when too many wait."""
        try:
            self._put.send_nowait(job)
        except trio.WouldBlock:
            raise TransientError("this relay has as many jobs as it may; try another") from None

    async def run(self) -> None:
        """Bring jobs until cancelled, and look now and then whether they would get through."""
        while True:
            await self._look()
            job: Job | None = None
            with trio.move_on_after(RELAY_LOOK_S):
                job = await self._take.receive()
            if job is not None:
                await self._finish(job)

    async def _look(self) -> None:
        try:
            self.is_healthy = await self._call(self._client.gas_balance) > 0
        except NodeError:
            self.is_healthy = False

    async def _finish(self, job: Job) -> None:
        for attempt in range(RELAY_ATTEMPTS_MAX):
            try:
                outcome = await self._call(job.bring, self._client)
            except TransientError as error:
                job.detail = str(error)
                await trio.sleep(RELAY_RETRY_S * (attempt + 1))
            except NodeError as error:
                refused = explain_refusal(error) if isinstance(error, ContractRefused) else error
                job.detail = str(refused)
                break
            else:
                job.state, job.detail = DONE, outcome.value
                log.info("relayed a %s on chain %d: %s", job.kind, job.chain_id, outcome.value)
                return
        job.state = REFUSED

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await trio.to_thread.run_sync(
            function, *arguments, limiter=self._limiter, abandon_on_cancel=True
        )


class Relay:
    """What this node brings, for what, and what became of it."""

    def __init__(
        self,
        file: NetworkFile,
        fees: tuple[str, ...],
        now_s: Callable[[], int],
        assets: Callable[[], Sequence[Asset]],
    ) -> None:
        """`fees` are ASSET:ATOMS; an asset that is not listed yet is taken once it is."""
        self._file = file
        self._now_s = now_s
        self.rooms: dict[tuple[int, bytes], ChainRelay] = {}  # by chain and vault
        self.jobs: OrderedDict[bytes, Job] = OrderedDict()
        self.wanted = {name: int(atoms) for name, _, atoms in (one.partition(":") for one in fees)}
        self._assets = assets
        unknown = self.wanted.keys() - {asset.name for asset in assets()}
        if unknown:
            log.warning("evm.relay_fees names what is not listed: %s", ", ".join(sorted(unknown)))

    @property
    def fees(self) -> dict[int, int]:
        """The least fee per asset that is listed, in atoms."""
        return {a.id: self.wanted[a.name] for a in self._assets() if a.name in self.wanted}

    def add_claim(
        self, chain_id: int, vault: bytes, claim: WithdrawalClaim, fee: ClaimFee, sig: bytes
    ) -> Job:
        """Take a withdrawal. Raises InvalidSignature, InvalidMessage, TransientError."""
        room = self._room(chain_id, vault)
        digest = compute_claim_fee_digest(
            fee, network_id=self._file.network_id, chain_id=chain_id, vault=vault
        )
        _verify_signer(digest, sig, claim.to)
        if fee.atoms > claim.amount:
            raise InvalidMessage("the fee is more than the withdrawal")
        self._verify_pay(chain_id, claim.token, fee.atoms)
        return self._add(
            room,
            Job(
                id=digest,
                chain_id=chain_id,
                kind="claim",
                bring=lambda client: client.withdraw_for_fee(claim, fee, sig),
            ),
            fee.deadline_s,
        )

    def add_deposit(
        self, chain_id: int, vault: bytes, order: DepositOrder, sig: bytes, permit: Permit
    ) -> Job:
        """Take a deposit. Raises InvalidSignature, InvalidMessage, TransientError."""
        room = self._room(chain_id, vault)
        digest = compute_deposit_digest(
            order, network_id=self._file.network_id, chain_id=chain_id, vault=vault
        )
        _verify_signer(digest, sig, order.depositor)
        self._verify_pay(chain_id, order.token, order.fee)
        return self._add(
            room,
            Job(
                id=digest,
                chain_id=chain_id,
                kind="deposit",
                bring=lambda client: client.deposit_by_order(order, sig, permit),
            ),
            order.deadline_s,
        )

    def _room(self, chain_id: int, vault: bytes) -> ChainRelay:
        room = self.rooms.get((chain_id, vault))
        if room is None or not self.wanted:
            raise InvalidMessage(f"this node relays nothing on chain {chain_id}; see /v1/relay")
        return room

    def _verify_pay(self, chain_id: int, token: bytes, atoms: int) -> None:
        for asset, least in self.fees.items():
            terms = self._assets()[asset]
            if (terms.chain_id, terms.token) == (chain_id, token):
                if atoms < least:
                    raise InvalidMessage(f"this relay wants {least} atoms of {terms.name}")
                return
        raise InvalidMessage("this relay takes no fees in that token; see /v1/relay")

    def _add(self, room: ChainRelay, job: Job, deadline_s: int) -> Job:
        known = self.jobs.get(job.id)
        if known is not None and known.state != REFUSED:
            return known
        if deadline_s < self._now_s() + RELAY_DEADLINE_S_MIN:
            raise InvalidMessage(f"the fee must be good for {RELAY_DEADLINE_S_MIN} s at least")
        room.add(job)
        self.jobs[job.id] = job
        self.jobs.move_to_end(job.id)
        while len(self.jobs) > RELAY_JOBS_KEPT_MAX:
            self.jobs.popitem(last=False)
        return job


def _verify_signer(digest: bytes, signature: bytes, signer: bytes) -> None:
    if recover_address(digest, signature) != signer:
        raise InvalidSignature("the fee is not signed by whom it is taken from")
