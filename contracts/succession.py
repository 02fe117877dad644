"""Follow a vault to those that take over from it, as the committee has announced on chain.

Rule: only the vault itself says what its successor is; whoever knows the first vault of a network
needs nobody else's word to find the present one.
Spec: docs/spec/settlement.md §15. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from contracts.limits import SUCCESSORS_MAX
from contracts.settlement_client import SettlementClient
from contracts.settlement_types import VaultStatus
from primitives.errors import WrongNetwork

NONE: Final = bytes(20)

OpenClient = Callable[[bytes], SettlementClient]
"""Makes a client of the vault at an address, on the same chain and network."""


def follow_vaults(open_client: OpenClient, vault: bytes) -> tuple[bytes, ...]:
    """Return a vault and the successors announced from there on, in order.

    Raises TransientError, and WrongNetwork for a circle or a successor of another network.
    """
    found = [vault]
    while (following := open_client(found[-1]).succession()[0]) != NONE:
        if following in found or len(found) > SUCCESSORS_MAX:
            raise WrongNetwork("the vaults of this network name each other in a circle", fix="")
        found.append(following)
    return tuple(found)


def read_newest(open_client: OpenClient, vault: bytes) -> tuple[bytes, VaultStatus]:
    """Return the vault, of one and its successors, that has followed the ledger farthest, and what
    it has accepted. Raises like `follow_vaults`.
    """
    found = [(one, open_client(one).status()) for one in follow_vaults(open_client, vault)]
    return max(found, key=lambda one: (one[1].epoch, one[1].executed_height))


def is_vault_of(open_client: OpenClient, first: bytes, vault: bytes) -> bool:
    """Tell whether the first vault is, or leads to, another. Raises like `follow_vaults`."""
    return vault == first or vault in follow_vaults(open_client, first)
