"""A relay and a table of decisions without a chain: they take whatever is well formed.

Rule: answers are of the right form; nothing is checked.
"""

from __future__ import annotations

from node.api.decision_views import DecisionSeat, DecisionView, Signature
from node.api.relay_views import Recipient, RelayChain, RelayFee, RelayJob, RelayTerms
from primitives.errors import InvalidMessage
from primitives.vault_orders import ClaimFee, DepositOrder, Permit

VAULT = b"v" * 20
RELAYER = b"r" * 20
JOB = b"j" * 32


class FakeRelay:
    """Takes whatever is signed."""

    def terms(self) -> RelayTerms:
        return RelayTerms(
            chains=(
                RelayChain(chain_id=31337, vault=VAULT, relayer=RELAYER, healthy=True, waiting=0),
            ),
            fees=(RelayFee(asset=0, symbol="USDX", atoms=10**6),),
        )

    def job(self, job_id: bytes) -> RelayJob | None:
        if not any(job_id):
            return None
        return RelayJob(id=JOB, chain_id=31337, kind="claim", state="done", detail="done")

    async def claim(self, fee: ClaimFee, signature: bytes) -> RelayJob:
        if fee.atoms == 0:
            raise InvalidMessage("this relay wants more")
        return RelayJob(id=JOB, chain_id=31337, kind="claim", state="waiting", detail="")

    async def deposit(
        self, chain_id: int, order: DepositOrder, signature: bytes, permit: Permit
    ) -> RelayJob:
        return RelayJob(id=JOB, chain_id=chain_id, kind="deposit", state="waiting", detail="")

    async def recipient(self, chain_id: int, address: bytes) -> Recipient:
        warning = "" if any(address) else "the zero address"
        return Recipient(chain_id=chain_id, address=address, contract=False, warning=warning)


DECISION = DecisionView(
    id=b"d" * 32,
    approved_here=True,
    chain_id=31337,
    vault=b"\x22" * 20,
    kind=1,
    subject=bytes(20),
    value=1,
    epoch=1,
    nonce=0,
    valid_until_s=2_000_000_000,
    weight=1,
    quorum=3,
    signatures=(Signature(seat=0, address=RELAYER, signature=b"s" * 65),),
    members=(DecisionSeat(address=RELAYER, weight=1),),
)


class FakeDecisions:
    """One is always open."""

    def all(self) -> tuple[DecisionView, ...]:
        return (DECISION,)

    async def propose(
        self, chain_id: int, vault: bytes, kind: int, subject: bytes, value: int, days: int
    ) -> DecisionView:
        return DECISION

    async def approve(self, name: bytes) -> DecisionView:
        return DECISION

    def withdraw(self, name: bytes) -> DecisionView:
        return DECISION
