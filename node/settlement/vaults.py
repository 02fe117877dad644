"""Name the vaults that a node follows on a chain: the network file's and those that take over.

Rule: where assets are is read from the ledger alone. A vault only announced on chain is told
of checkpoints already, because it would close without them before it takes over.
Spec: docs/spec/settlement.md §15. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from exchange.roots import list_fee_rows
from exchange.state import State
from exchange.vaults import NOWHERE, Vault
from node.network_file import Chain
from primitives.address import to_checksum


def at_vault(chain: Chain, vault: bytes) -> Chain:
    """Return a chain of the network file with another vault in the place of its own."""
    return msgspec.structs.replace(chain, vault=to_checksum(vault))


def find_vaults(state: State, chain: Chain, announced: Iterable[bytes] = ()) -> tuple[bytes, ...]:
    """Return the file's vault, those that its assets moved to or are going to, in order, and those
    that are `announced` on chain only.
    """
    found = [chain.vault_bytes]
    while True:
        vault = state.vaults.get((chain.chain_id, found[-1]))
        following = NOWHERE if vault is None else get_successor(vault)
        if following == NOWHERE:
            found += [one for one in announced if one != NOWHERE and one not in found]
            return tuple(found)
        found.append(following)


def get_successor(vault: Vault) -> bytes:
    """Return where a vault's assets moved or are going, NOWHERE for nowhere."""
    return vault.next_vault if vault.moved_to == NOWHERE else vault.moved_to


def find_left_height(state: State, chain_id: int, vault: bytes) -> int | None:
    """Return the height at which a vault's assets left it, None if they have not."""
    for one in state.retired:
        if (one.chain_id, one.vault) == (chain_id, vault):
            return one.height
    return None


def list_tokens(state: State, chain_id: int, vault: bytes) -> tuple[bytes, ...]:
    """Return the tokens of all assets that are or were in a vault."""
    rows = list_fee_rows(state)
    return tuple(row.token for row in rows if (row.chain_id, row.vault) == (chain_id, vault))
