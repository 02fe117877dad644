"""Watch a vault and the validator registry, and attest what happens there to the ledger.

Rule: what is attested was read from confirmed EVM blocks by this node itself; an attestation that
did not take effect is signed again with a new nonce, and the ledger applies each event once
whatever is sent. A window that others applied first is attested late, so that it counts as served.
Spec: docs/spec/exchange.md#deposits; docs/spec/node.md (Settlement). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import trio

from contracts.settlement_client import SettlementClient
from exchange.actions import Action, Attest, Doubt, Settled, SignedAction, sign
from exchange.vaults import NOWHERE, Vault, compute_window_hash
from node.clock import NodeClock
from node.limits import ATTEST_LIFETIME_MS, ATTEST_RESEND_MS, WITNESS_LOOK_MS
from node.network_file import Chain
from node.problems import Problems
from node.replica.ledger import Ledger
from node.settlement.chain_witness import ChainWitness, name_freezes
from node.settlement.evm_windows import (
    Cursor,
    WindowReader,
    make_attestation,
    read_cursor,
    read_cursor_before,
)
from primitives.errors import NodeError, TransientError
from primitives.secp256k1 import PrivateKey

log = logging.getLogger("omnibazaar.settlement")
T = TypeVar("T")


class Attester:
    """Attests the events of one chain."""

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
        accepted_height: Callable[[], int],
        has_registry: bool = False,
    ) -> None:
        """`accepted_height` returns the executed height of the newest checkpoint that the vault has
        accepted for good; `has_registry` is true for the chain whose registry the network follows.
        """
        self._chain = chain
        self._reader = WindowReader(chain, client, has_registry=has_registry)
        self._witness = ChainWitness(chain, accepted_height, key.address)
        self._looked_ms = 0
        self._limiter = limiter
        self._ledger = ledger
        self._key = key
        self._domain = domain
        self._clock = clock
        self._submit = submit
        self._problems = problems
        self._poll_s = poll_ms / 1_000
        self._sent: tuple[bytes, int] = (b"", 0)  # (previous content hash, when)
        self._seen: Cursor | None = None  # of the ledger, when last looked at
        self._last_nonce_ms = 0
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
                fix="check evm.rpc_urls and the chain's node",
            )

    @property
    def head(self) -> int:
        """The newest EVM block seen."""
        return self._reader.head

    async def _round(self) -> None:
        vault = self._vault()
        if vault is None:  # not yet, or no more, a place of assets
            self._seen = None
            await self._call(self._reader.look)
            return
        self._report_freeze(vault)
        await self._bear_witness(vault)
        cursor = read_cursor(vault)
        if self._seen is not None and self._seen.content != cursor.content:
            await self._catch_up(vault)
        self._seen = cursor
        previous, sent_ms = self._sent
        is_fresh = self._clock.now_ms() - sent_ms < ATTEST_RESEND_MS
        if previous == cursor.content and is_fresh and sent_ms:
            await self._call(self._reader.look)
            return
        window = await self._call(self._reader.find_next, cursor)
        vault = self._vault()
        if window is None or vault is None:
            return
        cursor = read_cursor(vault)  # it may have moved while the chain was asked
        op = make_attestation(self._chain, window, cursor)
        if op is not None:
            self._attest(op)

    async def _catch_up(self, vault: Vault) -> None:
        """Attest the window that others applied before this node could, if it sees the same.

        The ledger may have moved by more than one since this node looked: the last one counts.
        """
        if vault.before is None:
            return
        before, now = read_cursor_before(vault), read_cursor(vault)
        if self._sent[0] == before.content:
            return
        window = await self._call(self._reader.read, now.window, before)
        op = None if window is None else make_attestation(self._chain, window, before)
        if op is not None and compute_window_hash(op) == now.content:
            self._attest(op)

    def _report_freeze(self, vault: Vault) -> None:
        """Name what keeps the vault's assets where they are."""
        code = f"EVM010-{self._chain.chain_id}"
        if not vault.frozen:
            self._problems.clear(code)
            return
        why = " and ".join(name_freezes(vault.frozen))
        self._problems.set(
            code,
            f"the assets of the vault {self._chain.vault} are frozen: {why}",
            fix="see `omnibazaar vault show`; it thaws by itself when that is over",
        )

    async def _bear_witness(self, vault: Vault) -> None:
        """Say how far the vault follows, and now and then whether what was applied is there."""
        now_ms = self._clock.now_ms()
        settled = self._witness.find_settled(vault, now_ms)
        if settled is not None:
            self._say(settled)
        if now_ms - self._looked_ms < WITNESS_LOOK_MS or vault.before is None:
            return
        self._looked_ms = now_ms
        content = vault.last_hash
        window = await self._call(self._reader.read, vault.window, read_cursor_before(vault))
        if vault.last_hash != content:
            return  # another one was applied while the chain was asked
        doubt = self._witness.judge(vault, window, now_ms)
        if doubt is not None:
            self._say(doubt)
            log.warning(
                "chain %d %s what was applied of window %d",
                self._chain.chain_id,
                "does not show" if doubt.doubts else "shows again",
                vault.window,
            )

    def _vault(self) -> Vault | None:
        """The cursor of the vault while assets are in it."""
        place = (self._chain.chain_id, self._chain.vault_bytes)
        vault = self._ledger.state.vaults.get(place)
        return None if vault is None or vault.moved_to != NOWHERE else vault

    def _attest(self, op: Attest) -> None:
        self._sent = (op.previous, self._say(op))
        log.info(
            "attested window %d with %d deposits and %d registry changes",
            op.window,
            len(op.deposits),
            len(op.events),
        )

    def _say(self, op: Attest | Settled | Doubt) -> int:
        """Sign a word and send it; return its nonce."""
        now_ms = max(self._clock.now_ms(), self._last_nonce_ms + 1)
        self._last_nonce_ms = now_ms
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
        return now_ms

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await trio.to_thread.run_sync(
            function, *arguments, limiter=self._limiter, abandon_on_cancel=True
        )
