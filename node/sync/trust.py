"""Find the committee that a node which catches up may believe.

Rule: a block that the operator names goes before the settlement contract, the contract before
genesis. Where committees change and the contract cannot be read, nothing is believed: old keys
could have made up another history.
Spec: docs/spec/state-sync.md (Trust). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from consensus.committee import compute_committee_hash
from consensus.header import decode_header, hash_header
from contracts.settlement_types import VaultStatus
from node.committee.epoch_book import FIRST, make_genesis_epoch
from node.network_file import NetworkFile
from node.sync.proofs import Trust
from primitives.errors import InvalidBlock, NodeError, TransientError

log = logging.getLogger("omnibazaar.sync")


def trust_genesis(file: NetworkFile) -> Trust:
    """Return the committee of the network file."""
    members = make_genesis_epoch(file).committee.members
    return Trust(epoch=FIRST, committee_hash=compute_committee_hash(members))


def trust_header(words: bytes, named: tuple[int, bytes]) -> Trust:
    """Return the committee of the block that the operator named. Raises InvalidBlock."""
    height, block_hash = named
    if hash_header(words) != block_hash:
        raise InvalidBlock(f"another block than the trusted one of height {height}")
    header = decode_header(words)
    return Trust(
        epoch=header.epoch,
        committee_hash=header.committee_hash,
        executed_height=header.executed_height,
        source=f"the trusted block {height}",
    )


async def read_trust(file: NetworkFile, read_status: Callable[[], VaultStatus] | None) -> Trust:
    """Ask the settlement contract; genesis where there is none. Raises TransientError."""
    genesis = trust_genesis(file)
    if read_status is None:
        return genesis
    try:
        status = await trio.to_thread.run_sync(read_status, abandon_on_cancel=True)
    except NodeError as error:
        if file.scoring.rotates:
            raise TransientError(f"the settlement contract cannot be read: {error}") from error
        log.warning("the settlement contract cannot be read (%s); the committee is fixed", error)
        return genesis
    return Trust(
        epoch=status.epoch,
        committee_hash=status.committee_hash,
        executed_height=status.executed_height,
        source="the settlement contract",
    )
