"""Watch a vault and attest its deposits, so that the ledger credits them.

Rule: what is attested was read from confirmed EVM blocks by this node itself; an attestation that
did not
take effect is signed again with a new nonce, and the ledger credits each deposit once whatever is
sent.
Spec: docs/spec/exchange.md#deposits; docs/spec/node.md (Settlement). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

from contracts.settlement_client import SettlementClient
from contracts.settlement_types import Deposit as EvmDeposit
from contracts.settlement_types import DepositWindow
from exchange.actions import Action, Attest, Deposit, SignedAction, encode_amount, sign
from exchange.limits import DEPOSITS_PER_ATTESTATION_MAX
from exchange.vaults import Vault
from node.clock import NodeClock
from node.ledger import Ledger
from node.limits import ATTEST_LIFETIME_MS, ATTEST_RESEND_MS, EVM_SCAN_BLOCKS_MAX
from node.network_file import Chain
from node.problems import Problems
from primitives.errors import NodeError, TransientError
from primitives.secp256k1 import PrivateKey

log = logging.getLogger("omnibazaar.settlement")
T = TypeVar("T")


class Attester:
    """Attests the deposits of one vault."""

    def __init__(
        self,
        chain: Chain,
        client: SettlementClient,
        limiter: trio.CapacityLimiter,
        *,
        ledger: Ledger,
        key: PrivateKey,
        domain: bytes,
        clock: NodeClock,
        submit: Callable[[SignedAction], None],
        problems: Problems,
        poll_ms: int,
    ) -> None:
        self._chain = chain
        self._client = client
        self._limiter = limiter
        self._ledger = ledger
        self._key = key
        self._domain = domain
        self._clock = clock
        self._submit = submit
        self._problems = problems
        self._poll_s = poll_ms / 1_000
        self._scan_from = chain.first_block
        self._sent: tuple[bytes, int] = (b"", 0)  # (previous content hash, when)
        self._last_nonce_ms = 0
        self.head = 0  # newest EVM block seen
        self.is_online = False

    async def run(self) -> None:
        """Poll until cancelled; a chain that is away is reported and waited for."""
        while True:
            try:
                await self._round()
                self._set_online(True, "")
            except TransientError as error:
                self._set_online(False, str(error))
            except NodeError as error:
                self._problems.set("EVM003", f"the EVM chain cannot be used: {error}")
            await trio.sleep(self._poll_s)

    def _set_online(self, online: bool, why: str) -> None:
        self.is_online = online
        code = f"EVM001-{self._chain.chain_id}"
        if online:
            self._problems.clear(code)
        else:
            self._problems.set(
                code,
                f"the EVM chain {self._chain.chain_id} does not answer: {why}; trading goes on, "
                "deposits and checkpoints wait",
                fix="check evm.rpc and the chain's node",
            )

    async def _round(self) -> None:
        vault = self._vault()
        now_ms = self._clock.now_ms()
        previous, sent_ms = self._sent
        if previous == vault.last_hash and now_ms - sent_ms < ATTEST_RESEND_MS and sent_ms:
            self.head, _ = await self._call(self._client.head)
            return
        window = await self._next_window(vault.credited, vault.window)
        vault = self._vault()  # it may have moved while the chain was asked
        if window is None:
            return
        deposits = [d for d in window.deposits if d.id >= vault.credited]
        if deposits:
            self._attest(window, deposits[:DEPOSITS_PER_ATTESTATION_MAX], vault.last_hash)

    def _vault(self) -> Vault:
        return self._ledger.state.vaults[(self._chain.chain_id, self._chain.vault_bytes)]

    async def _next_window(self, credited: int, applied: int) -> DepositWindow | None:
        """Return the first confirmed window with a deposit that is not credited yet."""
        size = self._chain.window_blocks
        self.head, _ = await self._call(self._client.head)
        last = (self.head - self._chain.confirmations + 1) // size * size - 1
        first = max(self._scan_from, applied * size, 0)
        while first <= last:
            end = min(last, first + EVM_SCAN_BLOCKS_MAX - 1)
            found = await self._call(self._client.deposits_in, first, end)
            new = [deposit for deposit in found if deposit.id >= credited]
            if new:
                self._scan_from = new[0].block_number // size * size
                return await self._call(self._client.deposit_window, new[0].block_number // size)
            first = end + 1
            self._scan_from = first
        return None

    def _attest(
        self, window: DepositWindow, deposits: Sequence[EvmDeposit], previous: bytes
    ) -> None:
        now_ms = max(self._clock.now_ms(), self._last_nonce_ms + 1)
        self._last_nonce_ms = now_ms
        op = Attest(
            chain_id=self._chain.chain_id,
            vault=self._chain.vault_bytes,
            window=window.index,
            end_hash=window.end_hash,
            previous=previous,
            deposits=tuple(
                Deposit(d.id, d.beneficiary, d.token, encode_amount(d.amount)) for d in deposits
            ),
        )
        action = Action(
            domain=self._domain,
            account=self._key.address,
            sub=0,
            nonce_ms=now_ms,
            deadline_ms=now_ms + ATTEST_LIFETIME_MS,
            atomic=False,
            ops=(op,),
        )
        self._submit(sign(action, self._key))
        self._sent = (previous, now_ms)
        log.info("attested window %d with %d deposits", window.index, len(deposits))

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await trio.to_thread.run_sync(
            function, *arguments, limiter=self._limiter, abandon_on_cancel=True
        )
