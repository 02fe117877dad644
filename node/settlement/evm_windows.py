"""Find the next window of EVM blocks with something to attest, and make the attestation of it.

Rule: blocking reads of one confirmed chain; a window's content depends on the chain and on how far
the ledger was, so all honest validators make the same bytes of it.
Spec: docs/spec/exchange.md#deposits. Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.registry_events import ValidatorChange
from contracts.settlement_client import SettlementClient
from contracts.settlement_types import DepositWindow
from exchange.limits import AMOUNT_ATOMS_MAX, DEPOSITS_PER_ATTESTATION_MAX, REGISTRY_EVENTS_MAX
from exchange.operations import Attest, Deposit, RegistryEvent, encode_amount
from exchange.vaults import Vault
from node.limits import EVM_SCAN_BLOCKS_MAX
from node.network_file import Chain
from primitives.errors import TransientError

UINT_LIMIT = 1 << 63  # of whole numbers in an action


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far the ledger has applied a chain's events."""

    content: bytes  # hash of the last applied attestation
    window: int
    credited: int
    changes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One confirmed window with all that happened in it."""

    deposits: DepositWindow
    changes: tuple[ValidatorChange, ...]


def read_cursor(vault: Vault) -> Cursor:
    """Return how far the ledger is now."""
    return Cursor(
        content=vault.last_hash,
        window=vault.window,
        credited=vault.credited,
        changes=vault.registry_changes,
    )


def read_cursor_before(vault: Vault) -> Cursor:
    """Return how far the ledger was before the last attestation that it applied."""
    before = vault.before
    assert before is not None
    return Cursor(
        content=before.previous,
        window=vault.window,
        credited=before.credited,
        changes=before.changes,
    )


class WindowReader:
    """Reads one chain; `has_registry` is true for the one whose registry the network follows."""

    def __init__(self, chain: Chain, client: SettlementClient, *, has_registry: bool) -> None:
        self._chain = chain
        self._client = client
        self._has_registry = has_registry
        self._scan_from = chain.first_block
        self._scan_hash = b""  # of the block before; empty if none was read
        self.head = 0  # newest EVM block seen

    def look(self) -> None:
        """Note the newest EVM block. Raises TransientError."""
        self.head, _ = self._client.head()

    def find_next(self, cursor: Cursor) -> Window | None:
        """Return the first confirmed window with something that is not applied yet."""
        size = self._chain.window_blocks
        self.look()
        self._forget_undone()
        last = (self.head - self._chain.confirmations + 1) // size * size - 1
        first = max(self._scan_from, cursor.window * size, 0)
        while first <= last:
            end = min(last, first + EVM_SCAN_BLOCKS_MAX - 1)
            mark = self._client.block_hash(end)
            block = self._find_block(first, end, cursor)
            if block is not None:
                self._scan_from, self._scan_hash = block // size * size, b""
                return self.read(block // size, cursor)
            if mark is None or self._client.block_hash(end) != mark:
                raise TransientError("the EVM chain was re-organised while it was searched")
            first = end + 1
            self._scan_from, self._scan_hash = first, mark
        return None

    def read(self, index: int, cursor: Cursor) -> Window | None:
        """Return what the ledger at a cursor can still take of a window, or None until it is
        confirmed. Raises TransientError, WrongNetwork.
        """
        ids = range(cursor.credited, cursor.credited + DEPOSITS_PER_ATTESTATION_MAX)
        found = self._client.deposit_window(index, ids)
        if found is None:
            return None
        numbers = range(cursor.changes, cursor.changes + REGISTRY_EVENTS_MAX)
        changes = self._changes(found.first_block, found.last_block, numbers)
        if self._client.block_hash(found.last_block) != found.end_hash:
            raise TransientError("the EVM chain was re-organised while a window was read")
        self._client.verify_chain()
        return Window(deposits=found, changes=changes)

    def _forget_undone(self) -> None:
        """Search again if what was searched is no longer, or never was, part of the chain."""
        if self._scan_hash and self._client.block_hash(self._scan_from - 1) != self._scan_hash:
            self._scan_from, self._scan_hash = self._chain.first_block, b""

    def _find_block(self, first: int, end: int, cursor: Cursor) -> int | None:
        """The block with the next deposit or change, of which there may be any number."""
        next_id = range(cursor.credited, cursor.credited + 1)
        number = range(cursor.changes, cursor.changes + 1)
        blocks = [one.block_number for one in self._client.deposits_in(first, end, next_id)]
        blocks += [one.block_number for one in self._changes(first, end, number)]
        return min(blocks, default=None)

    def _changes(self, first: int, last: int, numbers: range) -> tuple[ValidatorChange, ...]:
        if not self._has_registry:
            return ()
        found = self._client.validator_changes(first, last, numbers)
        for one in found:
            if one.stake > AMOUNT_ATOMS_MAX or max(one.number, one.services) >= UINT_LIMIT:
                raise TransientError("EVM RPC: a change of a validator that there cannot be")
        return found


def make_attestation(chain: Chain, window: Window, cursor: Cursor) -> Attest | None:
    """Return what is new in a window to a ledger at the cursor; None if nothing is."""
    deposits = [d for d in window.deposits.deposits if d.id >= cursor.credited]
    changes = [c for c in window.changes if c.number >= cursor.changes]
    if not deposits and not changes:
        return None
    return Attest(
        chain_id=chain.chain_id,
        vault=chain.vault_bytes,
        window=window.deposits.index,
        end_hash=window.deposits.end_hash,
        previous=cursor.content,
        deposits=tuple(
            Deposit(d.id, d.beneficiary, d.token, encode_amount(d.amount))
            for d in deposits[:DEPOSITS_PER_ATTESTATION_MAX]
        ),
        events=tuple(make_event(change) for change in changes[:REGISTRY_EVENTS_MAX]),
    )


def make_event(change: ValidatorChange) -> RegistryEvent:
    """Return a registry change as the ledger takes it."""
    return RegistryEvent(
        number=change.number,
        change=change.change,
        owner=change.owner,
        hot_key=change.hot_key,
        payout=change.payout,
        network_key=change.network_key,
        services=change.services,
        stake=encode_amount(change.stake),
        exiting=change.exiting,
    )
