"""Two really signed conflicting votes in a final block cost stake on chain; nothing else does.

Rule: votes are made and judged by `consensus/`, kept by the chain store, punished by the real
contract, and read back the way validators attest it.
Spec: docs/spec/settlement.md §9; docs/spec/node.md (Settlement). Deviations: none.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from consensus.block import compute_evidence_root, make_block, tip_of
from consensus.epoch import Epoch
from consensus.evidence import Evidence, make_evidence, verify_evidence
from consensus.header import ZERO_HASH
from consensus.participation.facts import Registration
from consensus.participation.register import Register
from consensus.vote import Kind, Vote, compute_vote_digest
from contracts.errors import ContractRefused
from contracts.registry_client import RegistryClient
from contracts.registry_events import Change
from contracts.settlement_types import Submission
from contracts.transactor import Transactor
from exchange.operations import decode_amount
from node.committee.epoch_book import EpochBook
from node.keys.signing_key import KeyVerifier
from node.problems import Problems
from node.settlement.evidence_reporter import EvidenceReporter, to_signed_vote
from node.settlement.evm_windows import make_event
from primitives import codec
from primitives.eip712 import network_domain
from primitives.errors import PeerError
from primitives.secp256k1 import PrivateKey
from storage.chain_reader import ChainReader
from storage.chain_store import ChainStore
from storage.writer import ReadPool, StoreWriter
from tests.contracts.harness import CHAIN_ID, INSURANCE, NETWORK_ID, RELAYER, STRANGER, World
from tests.storage.chain_records import NETWORK, make_final

A, B = b"\xaa" * 32, b"\xbb" * 32
STAKE = 1_000 * 10**18


def sign_vote(
    world: World,
    signer: int,
    kind: Kind,
    block: bytes,
    *,
    epoch: int = 1,
    view: int = 9,
    domain: bytes = b"",
    key: PrivateKey | None = None,
    pending: tuple[bytes, ...] = (),
) -> Vote:
    digest = compute_vote_digest(domain or world.domain, kind, epoch, view, block, pending)
    return Vote(kind, epoch, view, block, pending, signer, (key or world.keys[signer]).sign(digest))


def double_vote(world: World, signer: int = 0, **changes: Any) -> Evidence:
    one = sign_vote(world, signer, Kind.NOTARIZE, A, pending=(B,), **changes)
    return make_evidence(one, sign_vote(world, signer, Kind.NOTARIZE, B, **changes))


class Desk:
    """One validator's store, and its way to the registry."""

    def __init__(self, world: World, folder: Path, me: bytes, key: PrivateKey = RELAYER) -> None:
        self.world = world
        self.store = ChainStore(folder / "chain.sqlite", NETWORK)
        self.readers = ReadPool([ChainReader.open(folder / "chain.sqlite")])
        self.me, self.key = me, key
        self.now_ms = 1_000_000
        genesis = make_block(
            world.header(bundles_root=ZERO_HASH, attendance_root=ZERO_HASH), (), None, ()
        )
        self.book = EpochBook(
            Epoch(number=1, committee=world.committee, seed=bytes(32), anchor=tip_of(genesis))
        )
        self.reporter = self.make_reporter()

    def make_reporter(self) -> EvidenceReporter:
        """The reporter as it is after a start of the process."""
        return EvidenceReporter(
            make_client(self.world, self.key),
            trio.CapacityLimiter(1),
            readers=self.readers,
            writer=StoreWriter(self.store),
            book=self.book,
            me=self.me,
            clock=SimpleNamespace(now_ms=lambda: self.now_ms),
            problems=Problems(),
            poll_ms=10,
        )

    def append(self, *evidence: Evidence) -> None:
        """Store the next final block."""
        height = self.store.final_height + 1
        header = self.world.header(
            height=height,
            executed_height=0,
            bundles_root=ZERO_HASH,
            attendance_root=ZERO_HASH,
            evidence_root=compute_evidence_root(evidence),
        )
        block = make_block(header, (), None, evidence)
        self.store.write_final(
            dataclasses.replace(
                make_final(height, bundles=0),
                block_hash=block.hash,
                encoded=codec.encode(block.body),
            )
        )


def make_client(world: World, key: PrivateKey) -> RegistryClient:
    return RegistryClient(
        world.evm.rpc,
        chain_id=CHAIN_ID,
        registry=world.deployment.registry,
        network_id=NETWORK_ID,
        transactor=Transactor(world.evm.rpc, key, chain_id=CHAIN_ID, poll_seconds=0.02),
    )


def stake_of(world: World, seat: int = 0) -> int:
    found = make_client(world, RELAYER).find(world.keys[seat].address)
    assert found is not None
    return found.stake


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Desk:
    """The validator that is due for height 2: seat 2 of four."""
    return Desk(world, tmp_path, world.keys[2].address)


async def test_a_double_vote_in_a_final_block_is_punished_and_attested(desk: Desk) -> None:
    world = desk.world
    evidence = double_vote(world)
    verify_evidence(evidence, world.committee, 1, world.domain, KeyVerifier())
    before, head = stake_of(world), world.client.head()[0]
    desk.append()
    desk.append(evidence)
    desk.append()
    await desk.reporter.step()
    assert stake_of(world) == before - before * 5 // 100
    assert make_client(world, RELAYER).token_balance(INSURANCE) == before * 5 // 100 * 9 // 10
    changes = world.client.validator_changes(head + 1, world.client.head()[0])
    assert [change.change for change in changes] == [Change.SLASHED]
    event = make_event(changes[0])
    register = Register()
    register.apply(
        Registration(
            owner=event.owner,
            hot_key=event.hot_key,
            payout=event.payout,
            network_key=event.network_key,
            services=event.services,
            stake=decode_amount(event.stake),
            is_leaving=event.exiting,
        )
    )
    known = register.find_by_key(world.keys[0].address)
    assert known is not None
    assert known.stake == before - before * 5 // 100


async def test_a_second_report_and_a_restart_change_nothing(desk: Desk) -> None:
    desk.append()
    desk.append(double_vote(desk.world))
    await desk.reporter.step()
    after = stake_of(desk.world)
    again = desk.make_reporter()
    await again.step()
    assert again._settled == again._saved == 2, "the mark was kept"
    other = make_client(desk.world, STRANGER)
    evidence = double_vote(desk.world)
    answer = other.report(
        desk.world.keys[0].address,
        to_signed_vote(evidence.first),
        to_signed_vote(evidence.second),
    )
    assert answer is Submission.ALREADY_DONE
    assert stake_of(desk.world) == after


async def test_a_crash_before_the_mark_reports_again_and_finds_it_done(desk: Desk) -> None:
    desk.append()
    desk.append(double_vote(desk.world))
    await desk.reporter.step()
    after = stake_of(desk.world)
    desk.store.drop_meta("evidence_settled")
    await desk.make_reporter().step()
    assert stake_of(desk.world) == after


async def test_the_others_wait_for_their_turn_and_step_in(desk: Desk) -> None:
    desk.append()
    desk.append(double_vote(desk.world))
    desk.reporter._me = desk.world.keys[3].address
    before = stake_of(desk.world)
    await desk.reporter.step()
    assert stake_of(desk.world) == before, "seat 2 is due first"
    desk.now_ms += 4_000
    await desk.reporter.step()
    assert stake_of(desk.world) < before


async def test_who_is_not_due_goes_on_when_another_has_reported(desk: Desk) -> None:
    desk.append()
    evidence = double_vote(desk.world)
    desk.append(evidence)
    desk.reporter._me = desk.world.keys[3].address
    make_client(desk.world, STRANGER).report(
        desk.world.keys[0].address,
        to_signed_vote(evidence.first),
        to_signed_vote(evidence.second),
    )
    await desk.reporter.step()
    assert desk.reporter._settled == 2


async def test_two_offenders_in_one_block_are_both_punished(desk: Desk) -> None:
    before = stake_of(desk.world, 1)
    desk.append()
    desk.append(double_vote(desk.world, 0), double_vote(desk.world, 1))
    await desk.reporter.step()
    assert stake_of(desk.world, 0) < before
    assert stake_of(desk.world, 1) < before


@pytest.mark.parametrize("kinds", [(Kind.FINALIZE, Kind.FINALIZE), (Kind.NULLIFY, Kind.FINALIZE)])
async def test_every_kind_of_offence_is_punished(desk: Desk, kinds: tuple[Kind, Kind]) -> None:
    one = sign_vote(desk.world, 0, kinds[0], ZERO_HASH if kinds[0] is Kind.NULLIFY else A)
    before = stake_of(desk.world)
    desk.append()
    desk.append(make_evidence(one, sign_vote(desk.world, 0, kinds[1], B)))
    await desk.reporter.step()
    assert stake_of(desk.world) < before


FALSE = {
    "the same vote twice": lambda w: (
        sign_vote(w, 0, Kind.NOTARIZE, A),
        sign_vote(w, 0, Kind.NOTARIZE, A),
    ),
    "another pending list only": lambda w: (
        sign_vote(w, 0, Kind.NOTARIZE, A),
        sign_vote(w, 0, Kind.NOTARIZE, A, pending=(B,)),
    ),
    "another epoch": lambda w: (
        sign_vote(w, 0, Kind.NOTARIZE, A),
        sign_vote(w, 0, Kind.NOTARIZE, B, epoch=2),
    ),
    "another view": lambda w: (
        sign_vote(w, 0, Kind.NOTARIZE, A),
        sign_vote(w, 0, Kind.NOTARIZE, B, view=10),
    ),
    "another validator's signature": lambda w: (
        sign_vote(w, 0, Kind.NOTARIZE, A),
        sign_vote(w, 0, Kind.NOTARIZE, B, key=w.keys[1]),
    ),
    "another network": lambda w: (
        sign_vote(w, 0, Kind.NOTARIZE, A),
        sign_vote(w, 0, Kind.NOTARIZE, B, domain=network_domain(b"\x01" * 32)),
    ),
    "notarize and finalize": lambda w: (
        sign_vote(w, 0, Kind.NOTARIZE, A),
        sign_vote(w, 0, Kind.FINALIZE, B),
    ),
    "nullify and notarize": lambda w: (
        sign_vote(w, 0, Kind.NULLIFY, ZERO_HASH),
        sign_vote(w, 0, Kind.NOTARIZE, B),
    ),
    "nobody's key": lambda w: (
        sign_vote(w, 0, Kind.NOTARIZE, A, key=STRANGER),
        sign_vote(w, 0, Kind.NOTARIZE, B, key=STRANGER),
    ),
}


@pytest.mark.parametrize("case", FALSE)
def test_a_false_accusation_convinces_neither_the_network_nor_the_contract(
    world: World, case: str
) -> None:
    first, second = FALSE[case](world)
    with pytest.raises(PeerError):
        verify_evidence(Evidence(first, second), world.committee, 1, world.domain, KeyVerifier())
    client, before = make_client(world, RELAYER), stake_of(world)
    with pytest.raises(ContractRefused, match="NoEquivocation"):
        client.report(world.keys[0].address, to_signed_vote(first), to_signed_vote(second))
    assert stake_of(world) == before


async def test_what_the_contract_calls_no_offence_does_not_block_the_queue(desk: Desk) -> None:
    one, other = FALSE["nobody's key"](desk.world)
    before = stake_of(desk.world)
    desk.append()
    desk.append(make_evidence(one, other))
    desk.append(double_vote(desk.world))
    desk.now_ms += 60_000
    await desk.reporter.step()
    desk.now_ms += 60_000
    await desk.reporter.step()
    assert desk.reporter._settled == 3
    assert stake_of(desk.world) < before
