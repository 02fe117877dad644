"""One value of every hash that crosses the border between Python and Solidity.

`python -m tests.contracts.test_contract_vectors` rewrites them; doing so changes the protocol.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from consensus.committee import Committee, Member
from consensus.header import Header, encode_header, hash_header
from consensus.vote import Kind, compute_vote_digest
from contracts.settlement_calls import encode_fees, encode_members, encode_state_words
from contracts.settlement_types import CommitteeMember, FeeTotal, StateWords
from primitives.abi import encode_words
from primitives.eip712 import network_domain
from primitives.keccak import keccak256
from primitives.merkle import AppendTree, leaf_hash, root_from_proof
from primitives.secp256k1 import PrivateKey, recover_address

VECTORS = Path(__file__).parent / "vectors" / "settlement.json"
CHAIN_ID = 31337
VAULT, TOKEN, TO = b"\xaa" * 20, b"\xbb" * 20, b"\xcc" * 20


def word(name: str) -> bytes:
    return keccak256(name.encode())


def compute_vectors() -> dict[str, Any]:
    """Every vector, from fixed inputs."""
    network_id = word("network")
    domain = network_domain(network_id)
    keys = [PrivateKey(word(f"key {i}")) for i in range(4)]
    members = [CommitteeMember(address=key.address, weight=i + 1) for i, key in enumerate(keys)]
    committee_hash = keccak256(encode_members(members))
    fees = [
        FeeTotal(chain_id=CHAIN_ID, vault=VAULT, token=TOKEN, total=10**24 + 7, owed=5),
        FeeTotal(chain_id=2632500, vault=TO, token=VAULT, total=0),
    ]
    tree = AppendTree()
    leaf = b""
    for index in range(5):
        leaf = leaf_hash(encode_words(index, CHAIN_ID, VAULT, TOKEN, 1000 + index, TO))
        tree.append(leaf)
    names = ("accounts", "deposits", "fills", "effects", "rest")
    words = StateWords(height=70, withdrawals=tree.root, **{name: word(name) for name in names})
    header = encode_header(
        Header(
            epoch=1,
            view=90,
            height=74,
            parent_view=88,
            parent_hash=word("parent"),
            time_ms=1_760_000_000_123,
            bundles_root=word("bundles"),
            executed_height=70,
            state_root=keccak256(encode_state_words(words)),
            fees_root=keccak256(encode_fees(fees)),
            attendance_root=word("attendance"),
            evidence_root=bytes(32),
            committee_hash=committee_hash,
            next_committee_hash=bytes(32),
            checkpoint_digest=word("snapshot"),
            proposer=3,
        )
    )
    block_hash = hash_header(header)
    digests = {
        kind.name.lower(): compute_vote_digest(
            domain, kind, 1, 90, bytes(32) if kind is Kind.NULLIFY else block_hash, ()
        ).hex()
        for kind in Kind
    }
    return {
        "origin": "computed by tests/contracts/test_contract_vectors.py from keccak of names",
        "network_id": network_id.hex(),
        "domain": domain.hex(),
        "committee": [[one.address.hex(), one.weight] for one in members],
        "committee_hash": committee_hash.hex(),
        "fees": [
            [f.chain_id, f.vault.hex(), f.token.hex(), str(f.total), str(f.owed)] for f in fees
        ],
        "fees_root": keccak256(encode_fees(fees)).hex(),
        "withdrawal": [4, CHAIN_ID, VAULT.hex(), TOKEN.hex(), "1004", TO.hex()],
        "withdrawal_leaf": leaf.hex(),
        "withdrawals_root": tree.root.hex(),
        "withdrawal_proof": [one.hex() for one in tree.proof_at(4, 5)],
        "state_words": encode_state_words(words).hex(),
        "state_root": keccak256(encode_state_words(words)).hex(),
        "header": header.hex(),
        "block_hash": block_hash.hex(),
        "vote_digests": digests,
        "finalize_signature_of_key_0": keys[0].sign(bytes.fromhex(digests["finalize"])).hex(),
    }


def test_vectors_are_reproduced() -> None:
    assert compute_vectors() == json.loads(VECTORS.read_text())


def test_vectors_agree_with_each_other() -> None:
    vectors = json.loads(VECTORS.read_text())
    signature = bytes.fromhex(vectors["finalize_signature_of_key_0"])
    digest = bytes.fromhex(vectors["vote_digests"]["finalize"])
    assert recover_address(digest, signature).hex() == vectors["committee"][0][0]
    proof = [bytes.fromhex(one) for one in vectors["withdrawal_proof"]]
    root = root_from_proof(bytes.fromhex(vectors["withdrawal_leaf"]), 4, proof)
    assert root.hex() == vectors["withdrawals_root"]
    members = tuple(
        Member(address=bytes.fromhex(address), weight=weight)
        for address, weight in vectors["committee"]
    )
    assert Committee(members).hash.hex() == vectors["committee_hash"]


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(compute_vectors(), indent=1) + "\n")
    sys.exit(0)
