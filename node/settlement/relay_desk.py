"""Answer the API about relayed transactions, from the running node.

Rule: a claim's proof is this node's own, against the vault's newest root; what is unknown is said
to be unknown, never to be safe.
Spec: docs/reference/api.md (Relay). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from contracts.settlement_types import StateWords, WithdrawalClaim
from node.api.relay_views import Recipient, RelayChain, RelayFee, RelayJob, RelayTerms
from node.api.settlement_views import WithdrawalProof
from node.settlement.relay import Job
from primitives.errors import InvalidMessage, NodeError, TransientError
from primitives.vault_orders import ClaimFee, DepositOrder, Permit

if TYPE_CHECKING:
    from node.node import Node

ZERO = bytes(20)
RECIPIENT_WAITING_MAX = 4  # questions to the chain that may wait
log = logging.getLogger("omnibazaar.settlement")


class RelayDesk:
    """`node.api.service.RelayService` over a `Node`."""

    def __init__(
        self, node: Node, prove: Callable[[int], Awaitable[WithdrawalProof | None]]
    ) -> None:
        self._node = node
        self._prove = prove

    def terms(self) -> RelayTerms:
        """Return what this node brings, and for what."""
        relay, assets = self._node.relay, self._node.ledger.state.assets
        return RelayTerms(
            chains=tuple(
                RelayChain(
                    chain_id=room.chain.chain_id,
                    vault=room.chain.vault_bytes,
                    relayer=room.relayer,
                    healthy=room.is_healthy,
                    waiting=room.waiting,
                )
                for room in relay.rooms.values()
            ),
            fees=tuple(
                RelayFee(asset=asset, symbol=assets[asset].name, atoms=atoms)
                for asset, atoms in relay.fees.items()
            ),
        )

    def job(self, job_id: bytes) -> RelayJob | None:
        """Return where a transaction is."""
        job = self._node.relay.jobs.get(job_id)
        return None if job is None else _view(job)

    async def claim(self, fee: ClaimFee, signature: bytes) -> RelayJob:
        """Take a withdrawal. Raises PeerError."""
        proof = await self._prove(fee.index)
        if proof is None:
            raise InvalidMessage("no checkpoint on chain covers this withdrawal yet")
        claim = make_claim(proof)
        return _view(self._node.relay.add_claim(proof.chain_id, proof.vault, claim, fee, signature))

    async def deposit(
        self, chain_id: int, order: DepositOrder, signature: bytes, permit: Permit
    ) -> RelayJob:
        """Take a deposit. Raises PeerError."""
        node = self._node
        chain = next((one for one in node.file.chains if one.chain_id == chain_id), None)
        if chain is None:
            raise InvalidMessage(f"this network does not settle on chain {chain_id}")
        vault = node.ledger.state.find_present(chain_id, chain.vault_bytes)
        return _view(node.relay.add_deposit(chain_id, vault, order, signature, permit))

    async def recipient(self, chain_id: int, address: bytes) -> Recipient:
        """Return what speaks against paying an address. Raises InvalidMessage."""
        monitor = next((m for m in self._node.monitors if m.chain.chain_id == chain_id), None)
        if monitor is None:
            raise InvalidMessage(f"this network does not settle on chain {chain_id}")
        contract: bool | None = None
        try:
            # The monitor's own look at the chain must not wait behind everybody's questions.
            if monitor.limiter.statistics().tasks_waiting >= RECIPIENT_WAITING_MAX:
                raise TransientError("too many ask at once")
            contract = await trio.to_thread.run_sync(
                monitor.client.has_code, address, limiter=monitor.limiter, abandon_on_cancel=True
            )
        except NodeError as error:
            log.debug("0x%s on chain %d: %s", address.hex(), chain_id, error)
        warning = ""
        if address == ZERO:
            warning = "the zero address: nobody can ever use what is paid there"
        elif contract:
            warning = "a contract: if it does not know what to do with the token, it is lost there"
        elif contract is None:
            warning = "unknown: the chain cannot be asked now whether it is a contract"
        return Recipient(chain_id=chain_id, address=address, contract=contract, warning=warning)


def make_claim(proof: WithdrawalProof) -> WithdrawalClaim:
    """Return what the vault wants of a proven withdrawal."""
    height, *words = proof.roots
    names = ("accounts", "withdrawals", "deposits", "fills", "effects", "rest")
    return WithdrawalClaim(
        words=StateWords(
            height=int.from_bytes(height, "big"), **dict(zip(names, words, strict=True))
        ),
        index=proof.index,
        token=proof.token,
        amount=proof.amount,
        to=proof.to,
        siblings=proof.proof,
    )


def _view(job: Job) -> RelayJob:
    return RelayJob(
        id=job.id, chain_id=job.chain_id, kind=job.kind, state=job.state, detail=job.detail
    )
