"""Check what peers say of a checkpoint: from a trusted committee to the digest of a snapshot.

Rule: trust begins with the settlement contract, a block the operator named, or genesis, and goes on
over certified borders only; a certificate proves its block, hashes prove the blocks before it.
Spec: docs/spec/state-sync.md (Proof). Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass

from client.errors import ProofRefused
from client.light import RECOVERING, Anchor, FinalityProof, verify_finality
from consensus.committee import Committee, Member
from consensus.header import HEADER_BYTES, ZERO_HASH, Header, decode_header, hash_header
from consensus.limits import CHECKPOINT_LAG
from consensus.signing import Verifier
from node.sync.messages import Border, Checkpoint, Members
from primitives.cid import DAG_CBOR, Cid
from primitives.errors import InvalidBlock, InvalidMessage

CHECKPOINT_AT = CHECKPOINT_LAG  # place of the header with the digest in a checkpoint's proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """A committee that is known to be that of an epoch, and how far its chain is at least."""

    epoch: int
    committee_hash: bytes
    executed_height: int = 0  # older checkpoints are refused
    source: str = "genesis"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A snapshot that a quorum has certified."""

    height: int
    header: Header  # of that height
    block_hash: bytes
    manifest: Cid
    stated_root: bytes | None  # the state root after it, where a header states exactly this height
    epoch: int  # of the certificate


def verify_checkpoint(
    domain: bytes,
    trust: Trust,
    proof: Checkpoint,
    *,
    interval: int,
    verifier: Verifier = RECOVERING,
) -> Target:
    """Return what a proof leads to; `trust` is of its certificate's epoch. Raises PeerError."""
    headers = [decode_header(words) for words in proof.headers]
    verify_links(proof.headers, headers)
    try:
        verify_finality(
            Anchor(domain=domain, epoch=trust.epoch, committee_hash=trust.committee_hash),
            FinalityProof(
                headers=(proof.headers[-1],),
                certificate=proof.certificate,
                members=make_members(proof.members),
            ),
            verifier,
        )
    except ProofRefused as error:
        raise InvalidBlock(str(error)) from error
    first, stating = headers[0], headers[CHECKPOINT_AT]
    if first.height < interval or first.height % interval:
        raise InvalidBlock(f"height {first.height} is no checkpoint")
    if stating.height != first.height + CHECKPOINT_LAG or stating.checkpoint_digest == ZERO_HASH:
        raise InvalidBlock("the header that should state the snapshot does not")
    if headers[-1].executed_height < trust.executed_height:
        raise InvalidBlock(
            f"a checkpoint from before height {trust.executed_height}, which is settled already"
        )
    stated = {h.executed_height: h.state_root for h in headers}
    return Target(
        height=first.height,
        header=first,
        block_hash=hash_header(proof.headers[0]),
        manifest=Cid(DAG_CBOR, stating.checkpoint_digest),
        stated_root=stated.get(first.height),
        epoch=headers[-1].epoch,
    )


def verify_border(
    domain: bytes, trust: Trust, border: Border, verifier: Verifier = RECOVERING
) -> Trust:
    """Return the trust in the next epoch. Raises PeerError."""
    try:
        header = verify_finality(
            Anchor(domain=domain, epoch=trust.epoch, committee_hash=trust.committee_hash),
            FinalityProof(
                headers=border.headers,
                certificate=border.certificate,
                members=make_members(border.members),
            ),
            verifier,
        )
    except ProofRefused as error:
        raise InvalidBlock(str(error)) from error
    if header.next_committee_hash == ZERO_HASH:
        raise InvalidBlock("the block ends no epoch")
    return Trust(
        epoch=trust.epoch + 1,
        committee_hash=header.next_committee_hash,
        executed_height=trust.executed_height,
        source=trust.source,
    )


def verify_links(words: tuple[bytes, ...], headers: list[Header]) -> None:
    """Check that every header is the parent of the next. Raises InvalidBlock."""
    for parent, before, child in zip(words, headers, headers[1:], strict=False):
        if child.parent_hash != hash_header(parent) or child.height != before.height + 1:
            raise InvalidBlock("the headers do not follow each other")


def split_headers(words: bytes) -> tuple[bytes, ...]:
    """Cut headers apart. Raises InvalidMessage."""
    if len(words) % HEADER_BYTES:
        raise InvalidMessage("headers have 512 bytes each")
    return tuple(words[i : i + HEADER_BYTES] for i in range(0, len(words), HEADER_BYTES))


def make_members(members: Members) -> tuple[Member, ...]:
    """Return members as the light client takes them."""
    return tuple(Member(address=address, weight=weight) for address, weight in members)


def list_members(committee: Committee) -> Members:
    """Return a committee as it travels."""
    return tuple((member.address, member.weight) for member in committee.members)
