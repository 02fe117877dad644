"""Checkpoints: what the vault accepts, and every reason for which it refuses one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consensus.header import Header, encode_header, hash_header
from consensus.limits import WEIGHT_MAX
from consensus.vote import Kind
from contracts.settlement_calls import encode_members
from contracts.settlement_types import CommitteeMember, Submission
from primitives.keccak import keccak256
from primitives.secp256k1 import SECP256K1_ORDER
from tests.contracts.harness import CHAIN_ID, NETWORK_ID, Evm, World


def test_certified_checkpoint_is_accepted_and_recorded(world: World) -> None:
    header = world.header(checkpoint_digest=keccak256(b"snapshot"))
    assert world.client.submit_checkpoint(world.submission(header)) is Submission.DONE
    status = world.client.status()
    assert status.executed_height == header.executed_height
    assert status.block_height == header.height
    assert status.state_root == header.state_root
    assert status.block_hash == hash_header(encode_header(header))
    assert status.checkpoints == 1
    assert status.snapshot_digest == keccak256(b"snapshot")
    assert status.snapshot_height == max(0, header.height - 32)
    assert status.epoch == 1
    assert status.committee_hash == world.committee.hash


@pytest.mark.parametrize(("height", "snapshot"), [(32, 0), (33, 1), (100, 68)])
def test_snapshot_lies_thirty_two_heights_before_its_digest(
    world: World, height: int, snapshot: int
) -> None:
    header = world.header(height=height, checkpoint_digest=keccak256(b"snapshot"))
    world.client.submit_checkpoint(world.submission(header))
    assert world.client.status().snapshot_height == snapshot


def test_events_of_a_checkpoint_are_read_back(world: World) -> None:
    header = world.header(checkpoint_digest=keccak256(b"snapshot"))
    world.client.submit_checkpoint(world.submission(header))
    head, _ = world.client.head()
    (event,) = world.client.checkpoints_in(0, head)
    assert event.executed_height == header.executed_height
    assert event.state_root == header.state_root
    assert event.fees_root == header.fees_root
    assert event.snapshot_digest == header.checkpoint_digest


def test_quorum_of_three_of_four_suffices(world: World) -> None:
    submission = world.submission(signers=(0, 2, 3))
    assert world.client.submit_checkpoint(submission) is Submission.DONE


def test_too_little_weight_is_refused(world: World) -> None:
    refusal = world.refused_checkpoint(world.submission(signers=(1, 2)))
    assert refusal == "TooLittleWeight"


def test_certificate_without_signers_is_refused(world: World) -> None:
    assert world.refused_checkpoint(world.submission(signers=())) == "TooLittleWeight"


@pytest.mark.parametrize(
    ("weights", "signers", "accepted"),
    [
        ((5, 1, 1, 1), (0, 1), True),  # 6 of 8, quorum 6
        ((5, 1, 1, 1), (0,), False),  # 5 of 8
        ((5, 1, 1, 1), (1, 2, 3), False),  # 3 of 8
        ((2, 2, 2), (0, 1), False),  # 4 of 6 is two thirds, not more
        ((2, 2, 3), (0, 2), True),  # 5 of 7, quorum 5
        ((WEIGHT_MAX,) * 4, (0, 1, 2), True),
    ],
)
def test_weight_decides_not_the_number_of_signers(
    evm: Evm, weights: tuple[int, ...], signers: tuple[int, ...], accepted: bool
) -> None:
    world = World(evm, validators=len(weights), weights=weights)
    submission = world.submission(signers=signers)
    if accepted:
        assert world.client.submit_checkpoint(submission) is Submission.DONE
    else:
        assert world.refused_checkpoint(submission) == "TooLittleWeight"


def test_descendant_certificate_finalizes_the_checkpoint(world: World) -> None:
    submission = world.submission(descendants=5)
    assert world.client.submit_checkpoint(submission) is Submission.DONE
    assert world.client.status().executed_height == submission.executed_height


def test_sixty_four_headers_are_accepted_and_sixty_five_refused(world: World) -> None:
    header = world.header()
    too_long = world.children(header, 64)
    allowed = world.submission(header, descendants=63)
    signers, signatures = world.sign(too_long[-1], (0, 1, 2, 3))
    extra = replace(
        allowed,
        headers=tuple(encode_header(one) for one in too_long[1:]),
        signers=signers,
        signatures=signatures,
    )
    payload = _raw_checkpoint(world, replace(extra, headers=(allowed.headers[0], *extra.headers)))
    assert world.refusal(payload).reason == "BadHeaderCount"
    assert world.client.submit_checkpoint(allowed) is Submission.DONE


def test_empty_header_list_is_refused(world: World) -> None:
    payload = _raw_checkpoint(world, replace(world.submission(), headers=()))
    assert world.refusal(payload).reason == "BadHeaderCount"


def test_broken_link_between_headers_is_refused(world: World) -> None:
    submission = world.submission(descendants=2)
    gap = (submission.headers[0], submission.headers[2])
    assert world.refused_checkpoint(replace(submission, headers=gap)) == "BrokenHeaderLink"


@pytest.mark.parametrize("word", range(16))
def test_every_word_of_a_header_is_covered_by_the_signatures(evm: Evm, word: int) -> None:
    world = World(evm)
    submission = world.submission()
    header = bytearray(submission.headers[0])
    header[32 * word + 31] ^= 1
    spoilt = replace(submission, headers=(bytes(header),))
    expected = {0: "WrongEpoch", 12: "WrongCommittee"}.get(word, "BadSignature")
    assert world.refused_checkpoint(spoilt) == expected


def test_header_field_beyond_64_bits_is_refused(world: World) -> None:
    submission = world.submission()
    header = bytearray(submission.headers[0])
    header[2 * 32 + 23] = 1  # height above 2^64
    spoilt = replace(submission, headers=(bytes(header),))
    assert world.refused_checkpoint(spoilt).startswith("revert 0x")


def test_forged_signature_is_refused(world: World) -> None:
    submission = world.submission()
    stranger = replace(
        submission, signatures=submission.signatures[65:] + submission.signatures[:65]
    )
    assert world.refused_checkpoint(stranger) == "BadSignature"


def test_one_signature_used_for_two_members_is_refused(world: World) -> None:
    header = world.header()
    submission = world.submission(header)
    _, one = world.sign(header, (0,))
    assert world.refused_checkpoint(replace(submission, signatures=one * 4)) == "BadSignature"


def test_certificate_for_another_block_is_refused(world: World) -> None:
    submission = world.submission()
    signers, signatures = world.sign(world.header(), (0, 1, 2, 3))
    forged = replace(submission, signers=signers, signatures=signatures)
    assert world.refused_checkpoint(forged) == "BadSignature"


@pytest.mark.parametrize("kind", [Kind.NOTARIZE, Kind.NULLIFY])
def test_votes_of_another_kind_do_not_finalize(world: World, kind: Kind) -> None:
    header = world.header()
    signers, signatures = world.sign(header, (0, 1, 2, 3), kind)
    forged = replace(world.submission(header), signers=signers, signatures=signatures)
    assert world.refused_checkpoint(forged) == "BadSignature"


def test_votes_of_another_network_do_not_count(world: World) -> None:
    header = world.header()
    world.domain = keccak256(b"another domain")
    assert world.refused_checkpoint(world.submission(header)) == "BadSignature"


def test_high_s_twin_of_a_signature_is_refused(world: World) -> None:
    submission = world.submission()
    first = submission.signatures[:65]
    s = SECP256K1_ORDER - int.from_bytes(first[32:64], "big")
    twin = first[:32] + s.to_bytes(32, "big") + bytes([55 - first[64]])
    spoilt = replace(submission, signatures=twin + submission.signatures[65:])
    assert world.refused_checkpoint(spoilt) == "BadSignature"


@pytest.mark.parametrize("recovery", [0, 1, 26, 29, 255])
def test_odd_recovery_byte_is_refused(world: World, recovery: int) -> None:
    submission = world.submission()
    signatures = bytearray(submission.signatures)
    signatures[64] = recovery
    assert world.refused_checkpoint(replace(submission, signatures=bytes(signatures))) == (
        "BadSignature"
    )


def test_signer_outside_the_committee_is_refused(world: World) -> None:
    submission = world.submission()
    outside = replace(
        submission,
        signers=submission.signers | 1 << 4,
        signatures=submission.signatures + submission.signatures[:65],
    )
    assert world.refused_checkpoint(outside) == "MalformedCertificate"


@pytest.mark.parametrize("bit", [4, 128, 255])
def test_signer_bit_without_member_and_signature_is_refused(world: World, bit: int) -> None:
    submission = world.submission()
    outside = replace(submission, signers=submission.signers | 1 << bit)
    assert world.refusal(_raw_checkpoint(world, outside)).reason == "MalformedCertificate"


@pytest.mark.parametrize("cut", [65, 1])
def test_missing_signature_bytes_are_refused(world: World, cut: int) -> None:
    submission = world.submission()
    payload = _raw_checkpoint(world, replace(submission, signatures=submission.signatures[:-cut]))
    assert world.refusal(payload).reason == "MalformedCertificate"


def test_surplus_signature_bytes_are_refused(world: World) -> None:
    submission = world.submission()
    payload = _raw_checkpoint(world, replace(submission, signatures=submission.signatures + b"\0"))
    assert world.refusal(payload).reason == "MalformedCertificate"


def test_another_committee_is_refused(world: World) -> None:
    submission = world.submission()
    heavier = tuple(replace(one, weight=one.weight + 1) for one in submission.members)
    assert world.refused_checkpoint(replace(submission, members=heavier)) == "WrongCommittee"
    reordered = submission.members[::-1]
    assert world.refused_checkpoint(replace(submission, members=reordered)) == "WrongCommittee"


def test_empty_and_oversized_committees_are_refused(world: World) -> None:
    submission = world.submission()
    empty = _raw_checkpoint(world, replace(submission, members=()))
    assert world.refusal(empty).reason == "BadMemberCount"
    crowd = tuple(CommitteeMember(address=bytes([i]) * 20, weight=1) for i in range(129))
    oversized = _raw_checkpoint(world, replace(submission, members=crowd))
    assert world.refusal(oversized).reason == "BadMemberCount"
    largest = _raw_checkpoint(world, replace(submission, members=crowd[:128]))
    assert world.refusal(largest).reason == "WrongCommittee"


def test_nobody_signs_for_the_zero_address(world: World) -> None:
    """Recovery from a bad signature gives zero, which must not pass for a member's key."""
    members = (CommitteeMember(address=bytes(20), weight=1),)
    committee = keccak256(encode_members(members))
    world.vault = world.deploy_contract(
        "Settlement", world.vault_config(committee_hash=committee), []
    )
    submission = world.submission(world.header(committee_hash=committee))
    forged = replace(submission, members=members, signers=1, signatures=bytes(64) + bytes([27]))
    assert world.refused_checkpoint(forged) == "BadSignature"


def test_header_of_another_epoch_is_refused(world: World) -> None:
    assert world.refused_checkpoint(world.submission(world.header(epoch=2))) == "WrongEpoch"


def test_descendant_of_another_epoch_is_refused(world: World) -> None:
    header = world.header()
    child = replace(world.children(header, 1)[1], epoch=2)
    signers, signatures = world.sign(child, (0, 1, 2, 3))
    mixed = replace(
        world.submission(header),
        headers=(encode_header(header), encode_header(child)),
        signers=signers,
        signatures=signatures,
    )
    assert world.refused_checkpoint(mixed) == "WrongEpoch"


def test_older_and_equal_heights_are_refused(world: World) -> None:
    old = world.submission()
    new = world.submission()
    world.client.submit_checkpoint(new)
    assert world.refused_checkpoint(old) == "StaleCheckpoint"
    assert world.refused_checkpoint(new) == "StaleCheckpoint"
    later_block = world.submission(world.header(executed_height=new.executed_height, view=900))
    assert world.refused_checkpoint(later_block) == "StaleCheckpoint"


def test_checkpoint_of_height_zero_is_refused(world: World) -> None:
    assert world.refused_checkpoint(world.submission(world.header(executed_height=0))) == (
        "StaleCheckpoint"
    )


def test_submitting_twice_is_harmless(world: World) -> None:
    submission = world.submission()
    assert world.client.submit_checkpoint(submission) is Submission.DONE
    assert world.client.submit_checkpoint(submission) is Submission.ALREADY_DONE
    assert world.client.status().checkpoints == 1


def test_wrong_fees_are_refused(world: World) -> None:
    submission = world.submission()
    raised = (replace(submission.fees[0], total=1), *submission.fees[1:])
    assert world.refused_checkpoint(replace(submission, fees=raised)) == "WrongFees"
    assert world.refused_checkpoint(replace(submission, fees=submission.fees[1:])) == "WrongFees"
    assert world.refused_checkpoint(replace(submission, fees=())) == "WrongFees"


def test_boundary_hands_over_to_the_next_committee(world: World) -> None:
    old_keys = world.keys
    world.client.submit_checkpoint(world.submission())
    next_world_keys = world.keys[::-1]
    next_members = world.members()[::-1]
    next_hash = keccak256(
        b"".join(bytes(12) + one.address + one.weight.to_bytes(32, "big") for one in next_members)
    )
    boundary = world.submission(world.header(next_committee_hash=next_hash), descendants=63)
    done = world.client.submit_boundary(boundary, next_members, next_epoch=2)
    assert done is Submission.DONE
    again = world.client.submit_boundary(boundary, next_members, next_epoch=2)
    assert again is Submission.ALREADY_DONE
    status = world.client.status()
    assert (status.epoch, status.committee_hash) == (2, next_hash)
    assert old_keys != next_world_keys
    assert world.refused_checkpoint(world.submission()) == "WrongCommittee"
    header = world.header(epoch=2, committee_hash=next_hash)
    world.keys = next_world_keys
    submission = replace(world.submission(header), members=next_members)
    assert world.client.submit_checkpoint(submission) is Submission.DONE


def test_boundary_needs_the_committee_that_the_header_names(world: World) -> None:
    members = [(one.address, one.weight) for one in world.members()]
    for stated in (bytes(32), keccak256(b"others")):
        boundary = world.submission(world.header(next_committee_hash=stated))
        payload = world.encode(
            "Settlement",
            "submitBoundary",
            [_header_tuple(header) for header in boundary.headers],
            (boundary.signers, boundary.signatures),
            members,
            members,
        )
        assert world.refusal(payload).reason == "WrongNextCommittee"


def test_boundary_needs_a_certificate(world: World) -> None:
    header = world.header(next_committee_hash=world.committee.hash)
    boundary = world.submission(header, signers=(0, 1))
    members = [(one.address, one.weight) for one in world.members()]
    payload = world.encode(
        "Settlement",
        "submitBoundary",
        [_header_tuple(one) for one in boundary.headers],
        (boundary.signers, boundary.signatures),
        members,
        members,
    )
    assert world.refusal(payload).reason == "TooLittleWeight"


def refused_headers(world: World, headers: list[Header]) -> str:
    """Why a chain of headers under a certificate is refused."""
    signers, signatures = world.sign(headers[-1], (0, 1, 2, 3))
    return world.refused_checkpoint(
        replace(
            world.submission(headers[0]),
            headers=tuple(encode_header(one) for one in headers),
            signers=signers,
            signatures=signatures,
        )
    )


def test_only_empty_seals_follow_a_boundary(world: World) -> None:
    boundary = world.header(next_committee_hash=keccak256(b"next"))
    good = world.children(boundary, 2)
    for wrong in (
        {"height": boundary.height + 1},
        {"bundles_root": keccak256(b"bundles")},
        {"executed_height": boundary.executed_height - 1},
        {"state_root": keccak256(b"another")},
        {"fees_root": keccak256(b"another")},
    ):
        assert refused_headers(world, [boundary, replace(good[1], **wrong)]) == "BadSeal"
        second = replace(
            good[2], parent_hash=hash_header(encode_header(good[1])), next_committee_hash=bytes(32)
        )
        assert refused_headers(world, [*good[:2], replace(second, **wrong)]) == "BadSeal"
    assert world.client.submit_checkpoint(world.submission(boundary, descendants=3)) is (
        Submission.DONE
    )


def test_seals_may_leave_the_next_committee_out(world: World) -> None:
    """What follows them is a seal all the same: the epoch has ended."""
    boundary = world.header(next_committee_hash=keccak256(b"next"))
    seals = [replace(world.children(boundary, 1)[1], next_committee_hash=bytes(32))]
    seals += world.children(seals[0], 1)[1:]
    block = seals[1]
    seals[1] = replace(block, height=boundary.height, bundles_root=bytes(32))
    assert refused_headers(world, [boundary, seals[0], block]) == "BadSeal"
    signers, signatures = world.sign(seals[1], (0, 1, 2, 3))
    submission = replace(
        world.submission(boundary),
        headers=tuple(encode_header(one) for one in (boundary, *seals)),
        signers=signers,
        signatures=signatures,
    )
    assert world.client.submit_checkpoint(submission) is Submission.DONE


def test_forged_block_is_not_made_final_by_the_next_height(world: World) -> None:
    header = world.header()
    child = world.children(header, 1)[1]
    forged = replace(header, state_root=keccak256(b"forged"))
    assert refused_headers(world, [forged, child]) == "BrokenHeaderLink"


@pytest.mark.parametrize("step", [0, 2])
def test_heights_between_headers_are_consecutive(world: World, step: int) -> None:
    header = world.header()
    child = replace(world.children(header, 1)[1], height=header.height + step)
    assert refused_headers(world, [header, child]) == "BrokenHeaderLink"


def test_vault_knows_its_network(world: World) -> None:
    assert world.view("Settlement", world.vault, "networkId") == NETWORK_ID
    assert world.view("Settlement", world.vault, "domainSeparator") == world.domain
    assert world.evm.web3.eth.chain_id == CHAIN_ID


def _header_tuple(header: bytes) -> tuple[int | bytes, ...]:
    """A header as web3's encoder wants it."""
    words = [header[i : i + 32] for i in range(0, 512, 32)]
    integers = {0, 1, 2, 3, 5, 7, 15}
    return tuple(
        int.from_bytes(word, "big") if i in integers else word for i, word in enumerate(words)
    )


def _raw_checkpoint(world: World, submission: object) -> bytes:
    """Calldata by web3's encoder, which does not mind shapes that our own encoder refuses."""
    return world.encode(
        "Settlement",
        "submitCheckpoint",
        [_header_tuple(header) for header in submission.headers],
        (submission.signers, submission.signatures),
        [(one.address, one.weight) for one in submission.members],
        [(one.chain_id, one.vault, one.token, one.total, one.owed) for one in submission.fees],
    )
