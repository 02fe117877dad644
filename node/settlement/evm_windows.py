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


class WindowReader:
    """Reads one chain; `has_registry` is true for the one whose registry the network follows."""

    def __init__(self, chain: Chain, client: SettlementClient, *, has_registry: bool) -> None:
        self._chain = chain
        self._client = client
        self._has_registry = has_registry
        self._scan_from = chain.first_block
        self.head = 0  # newest EVM block seen

    def look(self) -> None:
        """Note the newest EVM block. Raises TransientError."""
        self.head, _ = self._client.head()

    def find_next(self, cursor: Cursor) -> Window | None:
        """Return the first confirmed window with something that is not applied yet."""
        size = self._chain.window_blocks
        self.look()
        last = (self.head - self._chain.confirmations + 1) // size * size - 1
        first = max(self._scan_from, cursor.window * size, 0)
        while first <= last:
            end = min(last, first + EVM_SCAN_BLOCKS_MAX - 1)
            block = self._find_block(first, end, cursor)
            if block is not None:
                self._scan_from = block // size * size
                return self.read(block // size)
            first = end + 1
            self._scan_from = first
        return None

    def read(self, index: int) -> Window | None:
        """Return a window, or None until it is confirmed. Raises TransientError."""
        found = self._client.deposit_window(index)
        if found is None:
            return None
        changes = self._changes(found.first_block, found.last_block)
        if self._client.block_hash(found.last_block) != found.end_hash:
            raise TransientError("the EVM chain was re-organised while a window was read")
        return Window(deposits=found, changes=changes)

    def _find_block(self, first: int, end: int, cursor: Cursor) -> int | None:
        blocks = [
            one.block_number
            for one in self._client.deposits_in(first, end)
            if one.id >= cursor.credited
        ]
        blocks += [
            one.block_number for one in self._changes(first, end) if one.number >= cursor.changes
        ]
        return min(blocks, default=None)

    def _changes(self, first: int, last: int) -> tuple[ValidatorChange, ...]:
        found = self._client.validator_changes(first, last) if self._has_registry else ()
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
