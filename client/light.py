"""Verify finality and balances from what the settlement contract says, trusting no node.

Rule: the contract's epoch and committee hash are the only roots of trust; a certificate of that
committee proves a header, a header proves a state root, a state root proves a balance. Whatever
does not follow raises ProofRefused.
Spec: docs/spec/light-client.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from client.errors import AnchorOutdated, ProofRefused
from client.views import ProvenBalance
from consensus.certificate import Certificate, verify_certificate
from consensus.committee import Committee, Member
from consensus.header import ZERO_HASH, Header, decode_header, hash_header
from consensus.signing import Verifier
from consensus.vote import Kind
from exchange.roots import NO_REST
from primitives import codec
from primitives.abi import encode_words
from primitives.errors import PeerError
from primitives.keccak import keccak256
from primitives.merkle import leaf_hash, root_from_proof
from primitives.secp256k1 import verify_signature

HEADERS_MAX = 64  # from the header in question to the certified one, as the contract allows
ACCOUNT_DEPTH = 32
CERTIFICATE_BYTES_MAX = 262_144  # 128 signatures with 32 pending ids each
ENTRY_DEPTH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """What the settlement contract holds."""

    domain: bytes  # EIP-712 domain separator of the network
    epoch: int
    committee_hash: bytes
    height: int = 0  # of the newest state it has accepted; what is older is refused as stale


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalityProof:
    """Headers whose last one a quorum has finalized."""

    headers: tuple[bytes, ...]  # 512 bytes each, every one the parent of the next
    certificate: Certificate
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceProof:
    """One balance under a state root."""

    words: tuple[bytes, ...]  # the seven words of the state root, the height first
    account: int
    owner: bytes
    account_siblings: tuple[bytes, ...]
    entry: int
    sub: int
    asset: int
    free: int
    held: int
    entry_siblings: tuple[bytes, ...]


class _Recovering:
    """`consensus.signing.Verifier`."""

    def verify(self, digest: bytes, signature: bytes, address: bytes) -> None:
        verify_signature(digest, signature, address)


RECOVERING: Verifier = _Recovering()


def read_proof(found: ProvenBalance) -> tuple[FinalityProof, BalanceProof]:
    """Split a node's answer into its two proofs. Raises ProofRefused."""
    try:
        certificate: Certificate = codec.decode(
            found.certificate, Certificate, max_bytes=CERTIFICATE_BYTES_MAX
        )
    except PeerError as error:
        raise ProofRefused(f"not a certificate: {error}") from error
    finality = FinalityProof(
        headers=found.headers,
        certificate=certificate,
        members=tuple(Member(address=one.address, weight=one.weight) for one in found.members),
    )
    balance = BalanceProof(
        words=found.roots,
        account=found.account,
        owner=found.owner,
        account_siblings=found.account_siblings,
        entry=found.entry,
        sub=found.sub,
        asset=found.asset,
        free=int(found.free),
        held=int(found.held),
        entry_siblings=found.entry_siblings,
    )
    return finality, balance


def verify_proven_balance(
    anchor: Anchor, found: ProvenBalance, *, owner: bytes, sub: int, asset: int
) -> tuple[int, int, int]:
    """Return (height, free, held) of a balance that follows from the anchor.

    Raises ProofRefused, also for a good proof of another balance or of an older state than the
    contract has accepted.
    """
    if (found.owner, found.sub, found.asset) != (owner, sub, asset):
        raise ProofRefused("the node has proven another balance than it was asked for")
    finality, balance = read_proof(found)
    header = verify_finality(anchor, finality)
    if header.executed_height < anchor.height:
        raise ProofRefused(
            f"the proof is of height {header.executed_height}, "
            f"the contract has accepted height {anchor.height}"
        )
    free, held = verify_balance(header.state_root, balance)
    return header.executed_height, free, held


def verify_finality(
    anchor: Anchor, proof: FinalityProof, verifier: Verifier = RECOVERING
) -> Header:
    """Return the first header, which is final. Raises ProofRefused."""
    if not 1 <= len(proof.headers) <= HEADERS_MAX:
        raise ProofRefused(f"{len(proof.headers)} headers, 1 to {HEADERS_MAX} are allowed")
    headers = [_decode(words) for words in proof.headers]
    for words, child in zip(proof.headers, headers[1:], strict=False):
        if child.parent_hash != hash_header(words):
            raise ProofRefused("the headers do not follow each other")
    if headers[0].epoch > anchor.epoch:
        raise AnchorOutdated(
            f"the node has shown epoch {headers[0].epoch}, the contract knows {anchor.epoch} yet"
        )
    if any(header.epoch != anchor.epoch for header in headers):
        raise ProofRefused(f"the headers are not of epoch {anchor.epoch}")
    committee = _committee(proof.members, anchor.committee_hash)
    certificate = proof.certificate
    if certificate.kind is not Kind.FINALIZE or certificate.epoch != anchor.epoch:
        raise ProofRefused("the certificate does not finalize a block of this epoch")
    if certificate.view != headers[-1].view or certificate.block_hash != hash_header(
        proof.headers[-1]
    ):
        raise ProofRefused("the certificate is for another block")
    try:
        verify_certificate(certificate, committee, anchor.domain, verifier)
    except PeerError as error:
        raise ProofRefused(f"the certificate does not hold: {error}") from error
    return headers[0]


def follow_boundary(anchor: Anchor, proof: FinalityProof, successors: Sequence[Member]) -> Anchor:
    """Return the anchor of the next epoch. Raises ProofRefused."""
    header = verify_finality(anchor, proof)
    if header.next_committee_hash == ZERO_HASH:
        raise ProofRefused("the header ends no epoch")
    _committee(successors, header.next_committee_hash)
    return replace(anchor, epoch=anchor.epoch + 1, committee_hash=header.next_committee_hash)


def verify_balance(state_root: bytes, proof: BalanceProof) -> tuple[int, int]:
    """Return (free, held) in atoms, which the state root contains. Raises ProofRefused."""
    _check_shape(proof)
    if keccak256(b"".join(proof.words)) != state_root:
        raise ProofRefused("the words are not those of the state root")
    entry = leaf_hash(encode_words(proof.sub, proof.asset, proof.free, proof.held))
    balances = root_from_proof(entry, proof.entry, proof.entry_siblings)
    account = leaf_hash(encode_words(proof.owner, balances, NO_REST))
    if root_from_proof(account, proof.account, proof.account_siblings) != proof.words[1]:
        raise ProofRefused("the balance is not in the tree of accounts")
    return proof.free, proof.held


def _check_shape(proof: BalanceProof) -> None:
    if len(proof.words) != 7 or any(len(word) != 32 for word in proof.words):
        raise ProofRefused("a state root has seven words of 32 bytes")
    if len(proof.account_siblings) != ACCOUNT_DEPTH or len(proof.entry_siblings) != ENTRY_DEPTH:
        raise ProofRefused("a path has the wrong length")
    siblings = (*proof.account_siblings, *proof.entry_siblings)
    if any(len(sibling) != 32 for sibling in siblings) or len(proof.owner) != 20:
        raise ProofRefused("a hash or address has the wrong size")
    numbers = (
        (proof.account, ACCOUNT_DEPTH),
        (proof.entry, ENTRY_DEPTH),
        (proof.sub, 256),
        (proof.asset, 256),
        (proof.free, 256),
        (proof.held, 256),
    )
    if any(not 0 <= number < 1 << bits for number, bits in numbers):
        raise ProofRefused("a number is out of range")


def _committee(members: Sequence[Member], expected: bytes) -> Committee:
    try:
        committee = Committee(tuple(members))
    except ValueError as error:
        raise ProofRefused(f"not a committee: {error}") from error
    if committee.hash != expected:
        raise ProofRefused("the members are not the committee that the contract knows")
    return committee


def _decode(words: bytes) -> Header:
    try:
        return decode_header(words)
    except PeerError as error:
        raise ProofRefused(f"not a header: {error}") from error
