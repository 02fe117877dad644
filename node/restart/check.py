"""Check an export of a last final state by doing everything again: certificate, blocks, root.

Rule: the committee must be one that the reader knows by itself: genesis, its own chain, or a hash
read from a vault; everything else follows from it. An export that contradicts the reader's own
final blocks is refused.
Spec: docs/spec/restart.md (Check). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from client.errors import ProofRefused
from client.light import Anchor, FinalityProof, verify_finality
from consensus.block import Block
from consensus.certificate import Certificate
from consensus.header import Header, decode_header, hash_header
from node.committee.epoch_book import FIRST, make_genesis_epoch
from node.network_file import NetworkFile, parse_network
from node.replica.ledger import Ledger
from node.restart.record import Blocks, Export, take_archive, take_network
from node.settlement.escape_archive import Archive
from node.settlement.escape_replay import execute_block, load_block, open_ledger
from primitives import codec
from primitives.eip712 import network_domain
from primitives.errors import ConfigError, InvalidBlock, InvalidMessage

CommitteeHash = Callable[[int], bytes | None]
"""Hash of the committee of an epoch, as the reader knows it; None if it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnBlocks:
    """What is final in the reader's own chain."""

    height: int  # the newest that comes with a certificate
    hash_at: Callable[[int], bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LastState:
    """The last final state of a network, proven."""

    file: NetworkFile
    header: Header  # of the last final block
    block_hash: bytes
    ledger: Ledger  # after it

    @property
    def height(self) -> int:
        """Of the last final block."""
        return self.header.height

    @property
    def state_root(self) -> bytes:
        """After the last final block."""
        return self.ledger.roots.state


def trust_genesis(file: NetworkFile) -> CommitteeHash:
    """Return what the network file alone says of committees."""
    genesis = make_genesis_epoch(file)

    def find(epoch: int) -> bytes | None:
        return genesis.committee.hash if epoch == FIRST else None

    return find


def check_export(
    export: Export,
    blocks: Blocks,
    *,
    committee: Callable[[NetworkFile], CommitteeHash] = trust_genesis,
    own: OwnBlocks | None = None,
) -> LastState:
    """Return the proven state. Raises PeerError when it does not hold, ConfigError when the
    reader knows no committee to check it with.
    """
    file = parse_network(take_network(export, blocks), "the export's network file")
    header = decode_header(export.headers[0])
    if own is not None and own.height > header.height:
        raise ConfigError(
            f"the export ends at height {header.height}, blocks up to {own.height} are final here",
            code="RST002",
            fix="export from this data directory, and have the others check yours",
        )
    _verify_final(file, export, header, committee(file)(header.epoch))
    ledger = _replay(file, take_archive(export, blocks), blocks, export.headers[0], own)
    return LastState(
        file=file, header=header, block_hash=hash_header(export.headers[0]), ledger=ledger
    )


def _verify_final(
    file: NetworkFile, export: Export, header: Header, committee_hash: bytes | None
) -> None:
    if committee_hash is None:
        raise ConfigError(
            f"nothing here says who sat in epoch {header.epoch}",
            code="RST002",
            fix="check it in the data directory of a member, or give --committee-hash with what "
            "`committeeHash` of the vault says",
        )
    certificate: Certificate = codec.decode(export.certificate, Certificate)
    try:
        verify_finality(
            Anchor(
                domain=network_domain(file.network_id),
                epoch=header.epoch,
                committee_hash=committee_hash,
            ),
            FinalityProof(headers=export.headers, certificate=certificate, members=export.members),
        )
    except ProofRefused as error:
        raise InvalidBlock(str(error)) from error
    for words in export.headers[1:]:
        if decode_header(words).height != header.height:
            raise InvalidBlock("only seals may stand between the last block and its certificate")


def _replay(
    file: NetworkFile, archive: Archive, blocks: Blocks, last: bytes, own: OwnBlocks | None
) -> Ledger:
    """Execute the blocks; every root that a header states must come out."""
    ledger = open_ledger(file, archive, blocks)
    parent = file.genesis_hash if archive.snapshot is None else b""
    block: Block | None = None
    for cid in archive.blocks:
        block = load_block(cid, blocks)
        if parent and block.parent_hash != parent:
            raise InvalidBlock("the export's blocks do not follow each other")
        execute_block(file, ledger, block, blocks)
        parent = block.hash
        known = None if own is None else own.hash_at(block.height)
        if known is not None and known != block.hash:
            raise InvalidBlock(f"height {block.height} is another block here, and final")
        stated = ledger.roots_at(block.header.executed_height)
        if stated is not None and stated.state != block.header.state_root:
            raise InvalidBlock(f"height {block.height} states another root than comes out")
    if block is None or block.body.header != last:
        raise InvalidBlock("the export's blocks do not lead to the certified one")
    if ledger.roots_at(block.header.executed_height) is None:
        raise InvalidBlock("the export begins after the root that its last block certifies")
    if ledger.height != archive.height or ledger.roots.state != archive.state_root:
        raise InvalidMessage("the export does not lead to the state root that it states")
    return ledger
