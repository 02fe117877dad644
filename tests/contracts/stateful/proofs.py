"""Make headers and certificates, good ones and every kind of bad one.

Rule: a flaw is one change of a good proof, and names the error that it has to be refused with.

Spec: docs/spec/settlement.md §4
Deviations: none
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from consensus.header import Header, encode_header, hash_header
from consensus.vote import Kind, compute_vote_digest
from contracts.settlement_calls import encode_members
from contracts.settlement_types import CheckpointSubmission, CommitteeMember, FeeTotal
from primitives.eip712 import network_domain
from primitives.keccak import keccak256
from tests.contracts.harness import NETWORK_ID
from tests.contracts.stateful.scene import HOT_KEYS

DOMAIN = network_domain(NETWORK_ID)
OTHER_DOMAIN = network_domain(keccak256(b"another network"))
KEY_OF = {key.address: key for key in HOT_KEYS}
ZERO = bytes(32)
Members = tuple[CommitteeMember, ...]

FLAWS = {
    "spoilt signature": "BadSignature",
    "notarize votes": "BadSignature",
    "another network": "BadSignature",
    "another block's certificate": "BadSignature",
    "too few": "TooLittleWeight",
    "nobody": "TooLittleWeight",
    "left over bytes": "MalformedCertificate",
    "signer beyond the committee": "MalformedCertificate",
    "no header": "BadHeaderCount",
    "too many headers": "BadHeaderCount",
    "another epoch": "WrongEpoch",
    "another committee's header": "WrongCommittee",
    "another committee": "WrongCommittee",
    "heavier members": "WrongCommittee",
    "no members": "BadMemberCount",
    "skipped height": "BrokenHeaderLink",
    "another parent": "BrokenHeaderLink",
    "full seal": "BadSeal",
    "seal of another state": "BadSeal",
    "seal of another height": "BadSeal",
}
NEEDS_CHILDREN = ("skipped height", "another parent")
NEEDS_SEALS = ("full seal", "seal of another state", "seal of another height")


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A proof of finality, and what is wrong with it."""

    headers: tuple[Header, ...]
    members: Members
    signers: int
    signatures: bytes
    flaw: str = ""  # the error of it

    @property
    def first(self) -> Header:
        """The block that is proven."""
        return self.headers[0]

    def submission(self, fees: tuple[FeeTotal, ...] = ()) -> CheckpointSubmission:
        """As the encoder takes it."""
        return CheckpointSubmission(
            headers=tuple(encode_header(header) for header in self.headers),
            executed_height=self.headers[0].executed_height if self.headers else 0,
            signers=self.signers,
            signatures=self.signatures,
            members=self.members,
            fees=fees,
        )


def hash_members(members: Members) -> bytes:
    """Hash of a committee."""
    return keccak256(encode_members(members))


def quorum_of(members: Members) -> int:
    """Least weight that makes a block final."""
    return 2 * sum(member.weight for member in members) // 3 + 1


def signers_with(members: Members, start: int, *, enough: bool) -> int:
    """Bitmap of signers that just reach the quorum, or that just do not."""
    bitmap = weight = 0
    for step in range(len(members)):
        index = (start + step) % len(members)
        more = weight + members[index].weight
        if enough and weight >= quorum_of(members):
            break
        if enough or more < quorum_of(members):
            bitmap, weight = bitmap | 1 << index, more
    return bitmap


def sign(members: Members, bitmap: int, digest: bytes) -> bytes:
    """Signatures of the members in a bitmap, lowest first."""
    chosen = [member for index, member in enumerate(members) if bitmap >> index & 1]
    return b"".join(KEY_OF[member.address].sign(digest) for member in chosen)


def vote_digest(header: Header, kind: Kind = Kind.FINALIZE, domain: bytes = DOMAIN) -> bytes:
    """What a vote for a header signs."""
    block_hash = hash_header(encode_header(header))
    return compute_vote_digest(domain, kind, header.epoch, header.view, block_hash, ())


def descend(header: Header, count: int) -> tuple[Header, ...]:
    """A header and its descendants; those of a boundary are seals."""
    chain = [header]
    is_boundary = header.next_committee_hash != ZERO
    for _ in range(count):
        last = chain[-1]
        chain.append(
            replace(
                last,
                view=last.view + 1,
                height=last.height + (not is_boundary),
                parent_view=last.view,
                parent_hash=hash_header(encode_header(last)),
                bundles_root=ZERO if is_boundary else last.bundles_root,
                checkpoint_digest=ZERO,
            )
        )
    return tuple(chain)


def prove(header: Header, members: Members, *, children: int, number: int, flaw: str = "") -> Proof:
    """Prove a header by its `children`-th descendant; `number` chooses who signs, and what else."""
    count = children
    if flaw in NEEDS_CHILDREN and header.next_committee_hash == ZERO:
        count = max(1, children)
    if flaw in NEEDS_SEALS and header.next_committee_hash != ZERO:
        count = max(1, children)
    bitmap = signers_with(members, number % len(members), enough=True)
    chain = _spoil_chain(descend(header, count), members, flaw, number)
    digest = vote_digest(chain[-1]) if chain else ZERO
    proof = Proof(
        headers=chain,
        members=members,
        signers=bitmap,
        signatures=sign(members, bitmap, digest),
        flaw=FLAWS.get(flaw, ""),
    )
    return _spoil_certificate(proof, flaw, number)


def is_possible(flaw: str, header: Header) -> bool:
    """Whether a header can be proven with this flaw."""
    if flaw in NEEDS_SEALS:
        return header.next_committee_hash != ZERO
    return flaw not in NEEDS_CHILDREN or header.next_committee_hash == ZERO


def _spoil_chain(
    chain: tuple[Header, ...], members: Members, flaw: str, number: int
) -> tuple[Header, ...]:
    """Flaws of the headers; all of them are signed as they are."""
    last = chain[-1]
    match flaw:
        case "no header":
            return ()
        case "too many headers":
            return descend(chain[0], 64)
        case "another epoch":
            return (*chain[:-1], replace(last, epoch=last.epoch + 1))
        case "another committee's header":
            return (*chain[:-1], replace(last, committee_hash=keccak256(b"others")))
        case "skipped height" | "seal of another height":
            return (*chain[:-1], replace(last, height=last.height + 1 + number % 5))
        case "another parent":
            return (*chain[:-1], replace(last, parent_hash=keccak256(b"another")))
        case "full seal":
            return (*chain[:-1], replace(last, bundles_root=keccak256(b"loot")))
        case "seal of another state":
            names = ("state_root", "fees_root")
            return (*chain[:-1], replace(last, **{names[number % 2]: keccak256(b"loot")}))
    return chain


def _spoil_certificate(proof: Proof, flaw: str, number: int) -> Proof:
    """Flaws of the certificate and of the members."""
    members = proof.members
    match flaw:
        case "spoilt signature":
            spoilt = bytearray(proof.signatures)
            spoilt[number % len(spoilt)] ^= 1 + number % 255
            return replace(proof, signatures=bytes(spoilt))
        case "notarize votes":
            digest = vote_digest(proof.headers[-1], Kind.NOTARIZE)
            return replace(proof, signatures=sign(members, proof.signers, digest))
        case "another network":
            digest = vote_digest(proof.headers[-1], domain=OTHER_DOMAIN)
            return replace(proof, signatures=sign(members, proof.signers, digest))
        case "another block's certificate":
            other = replace(proof.headers[-1], state_root=keccak256(b"another"))
            return replace(proof, signatures=sign(members, proof.signers, vote_digest(other)))
        case "too few" | "nobody":
            bitmap = signers_with(members, number % len(members), enough=False)
            bitmap = 0 if flaw == "nobody" else bitmap
            digest = vote_digest(proof.headers[-1])
            return replace(proof, signers=bitmap, signatures=sign(members, bitmap, digest))
        case "left over bytes":
            return replace(proof, signatures=proof.signatures + bytes(65))
        case "signer beyond the committee":
            return replace(proof, signers=proof.signers | 1 << len(members))
        case "another committee":
            mine = CommitteeMember(address=HOT_KEYS[15].address, weight=10)
            digest = vote_digest(proof.headers[-1])
            return replace(proof, members=(mine,), signers=1, signatures=sign((mine,), 1, digest))
        case "heavier members":
            heavy = (replace(members[0], weight=members[0].weight + 100), *members[1:])
            return replace(proof, members=heavy)
        case "no members":
            return replace(proof, members=())
    return proof
