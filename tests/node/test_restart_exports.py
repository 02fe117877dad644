"""The last final state proves itself, and everybody derives the same new network from it.

Rule: chains, certificates and snapshots are real; nothing is believed that does not follow.
Spec: docs/spec/restart.md. Deviations: none.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.long_chain import LongChain
from consensus.certificate import Certificate, verify_certificate
from consensus.committee import Committee
from exchange.actions import Action, sign, verify
from exchange.operations import CancelAll
from node.datadir import DataDir
from node.keys.signing_key import KeyVerifier
from node.network_file import NetworkFile, dump_network, parse_network
from node.restart.check import LastState, OwnBlocks, check_export
from node.restart.export import export_last_state, open_chain
from node.restart.plan import (
    Plan,
    compute_network_id,
    load_plan,
    make_restarted,
    verify_restarted,
)
from node.restart.record import Export, read_car
from primitives import codec
from primitives.eip712 import network_domain
from primitives.errors import ConfigError, InvalidSignature, NodeError, PeerError, WrongNetwork
from tests.node.sync_world import EPOCH, INTERVAL, KEYS, make_file
from tests.node.test_network_file import address

HEIGHT = 3 * EPOCH - 5


def make_data(folder: Path, height: int = HEIGHT, *, rotates: bool = True) -> DataDir:
    """A stopped node that has seen a chain of real certificates."""
    file = make_file(rotates=rotates)
    data = DataDir(folder)
    data.create(file.name, file.genesis_hash)
    data.network_file.write_bytes(dump_network(file))
    chain = LongChain(file, KEYS, data.chain)
    chain.grow(height)
    chain.close()
    return data


def export(data: DataDir, target: Path) -> Path:
    network = data.network_file.read_bytes()
    with ExitStack() as stack:
        chain = open_chain(stack, data, parse_network(network))
        export_last_state(chain, network, target)
    return target


def check(data: DataDir | None, file: Path) -> LastState:
    record, blocks = read_car(file)
    if data is None:
        return check_export(record, blocks)
    with ExitStack() as stack:
        chain = open_chain(stack, data, parse_network(data.network_file.read_bytes()))
        return check_export(
            record, blocks, committee=lambda _: chain.committee_hash, own=chain.own_blocks
        )


def make_plan(state: LastState, **changes: Any) -> Plan:
    chain = msgspec.structs.replace(
        state.file.chains[0], vault=address(950), registry=address(951), distributor=address(952)
    )
    seats = (
        *state.file.committee[:2],
        *(
            msgspec.structs.replace(seat, address=address(700 + n))
            for n, seat in enumerate(state.file.committee[2:])
        ),
    )
    parts = {
        "name": "testnet-2",
        "genesis_time_ms": state.header.time_ms + 1,
        "committee": seats,
        "chains": (chain,),
    }
    return Plan(**parts | changes)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    return make_data(tmp_path_factory.mktemp("old") / "v0")


@pytest.fixture(scope="module")
def car(data: DataDir) -> Path:
    return export(data, data.root / "last.car")


@pytest.fixture(scope="module")
def state(data: DataDir, car: Path) -> LastState:
    return check(data, car)


def test_the_newest_certified_block_and_its_state_come_out(data: DataDir, state: LastState) -> None:
    assert HEIGHT - 8 < state.height <= HEIGHT
    with ExitStack() as stack:
        reader = open_chain(stack, data, state.file).reader
        executed = reader.executed(state.height)
        assert executed is not None
        assert executed.state_root == state.state_root
        assert reader.block_hash(state.height) == state.block_hash


def test_a_boundary_block_and_a_young_chain_can_be_the_last(tmp_path: Path) -> None:
    for height in (EPOCH, 8):
        data = make_data(tmp_path / str(height), height)
        assert check(data, export(data, tmp_path / f"{height}.car")).height == height


def test_survivors_with_other_certificates_and_snapshots_derive_one_genesis(
    tmp_path: Path, state: LastState
) -> None:
    other = make_data(tmp_path / "v1")
    with ExitStack() as stack:
        chain = open_chain(stack, other, state.file)
        chain.snapshots.prune(1)
    theirs = check(other, export(other, tmp_path / "other.car"))
    plan = make_plan(state)
    assert dump_network(make_restarted(theirs, plan)) == dump_network(make_restarted(state, plan))


def test_a_stranger_needs_a_committee_that_it_knows(car: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing here says who sat in epoch 3"):
        check(None, car)
    fixed = make_data(tmp_path / "fixed", 2 * INTERVAL + 3, rotates=False)
    assert check(None, export(fixed, tmp_path / "fixed.car")).height == 2 * INTERVAL


def test_an_export_that_forgets_final_blocks_is_refused(tmp_path: Path, data: DataDir) -> None:
    behind = make_data(tmp_path / "v1", HEIGHT - 20)
    older = export(behind, tmp_path / "older.car")
    with pytest.raises(ConfigError, match="are final here"):
        check(data, older)
    with pytest.raises(NodeError, match="who sat"):
        check(None, older)


def test_an_export_with_another_block_than_ours_is_refused(car: Path, state: LastState) -> None:
    record, blocks = read_car(car)
    trusted = state.header.committee_hash

    def own(height: int) -> bytes | None:
        return b"\1" * 32 if height == state.height - 1 else None

    with pytest.raises(PeerError, match="another block here"):
        check_export(
            record,
            blocks,
            committee=lambda _: lambda _: trusted,
            own=OwnBlocks(height=state.height, hash_at=own),
        )


FORGERIES: dict[str, Callable[[Export], Export]] = {
    "a certificate of fewer": lambda e: replace(e, certificate=_thin(e.certificate)),
    "other members": lambda e: replace(e, members=e.members[:3]),
    "another header": lambda e: replace(e, headers=(bytes(512),)),
    "a header twice": lambda e: replace(e, headers=(e.headers[0], e.headers[0])),
    "another archive": lambda e: replace(e, archive=e.network),
}


def _thin(data: bytes) -> bytes:
    certificate: Certificate = codec.decode(data, Certificate)
    word = certificate.bitmap_word
    kept = word & ~(1 << certificate.signers[-1])
    return codec.encode(
        msgspec.structs.replace(
            certificate,
            bitmap=kept.to_bytes(len(certificate.bitmap), "big"),
            signatures=certificate.signatures[:-1],
        )
    )


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_exports_are_refused(forgery: str, data: DataDir, car: Path) -> None:
    record, blocks = read_car(car)
    forged = FORGERIES[forgery](record)
    with ExitStack() as stack:
        chain = open_chain(stack, data, parse_network(data.network_file.read_bytes()))
        with pytest.raises(NodeError):
            check_export(forged, blocks, committee=lambda _: chain.committee_hash)


def test_a_damaged_car_is_refused(car: Path, data: DataDir, tmp_path: Path) -> None:
    image = bytearray(car.read_bytes())
    for at in range(0, len(image), len(image) // 40):
        image[at] ^= 1
        (tmp_path / "damaged.car").write_bytes(image)
        with pytest.raises(NodeError):
            check(data, tmp_path / "damaged.car")
        image[at] ^= 1
    (tmp_path / "short.car").write_bytes(image[: len(image) // 2])
    with pytest.raises(NodeError):
        check(data, tmp_path / "short.car")


def test_a_running_node_is_left_alone(data: DataDir, tmp_path: Path) -> None:
    copy = DataDir(tmp_path / "copy")
    shutil.copytree(data.root, copy.root)
    with copy.lock(), pytest.raises(NodeError, match="in use"):
        export(copy, tmp_path / "no.car")


# The network that follows


def test_the_new_network_has_the_same_assets_in_new_vaults(state: LastState) -> None:
    made = make_restarted(state, make_plan(state))
    old = state.file.exchange
    assert [(a.name, a.token, a.chain_id) for a in made.exchange.assets] == [
        (a.name, a.token, a.chain_id) for a in old.assets
    ]
    assert {a.vault for a in made.exchange.assets} == {address(950)}
    assert [m.name for m in made.exchange.markets] == [m.name for m in old.markets]
    before = made.predecessor
    assert before is not None
    assert before.state_root == "0x" + state.state_root.hex()
    assert before.network_id == "0x" + state.file.network_id.hex()
    assert parse_network(dump_network(made)) == made
    verify_restarted(made, state)


def test_what_was_listed_and_moved_since_genesis_is_taken_from_the_last_state(
    data: DataDir, car: Path
) -> None:
    state = check(data, car)
    last = state.ledger.state
    terms = msgspec.structs.replace(last.assets[0].terms, name="NEW", token=address(850))
    last.add_asset(terms)
    old_vault = last.assets[0].vault
    moved = bytes.fromhex(address(960)[2:])
    last.vaults[(last.assets[0].chain_id, moved)] = last.vaults[
        (last.assets[0].chain_id, old_vault)
    ]
    made = make_restarted(state, make_plan(state))
    assert [asset.name for asset in made.exchange.assets][-1] == "NEW"
    assert made.predecessor is not None
    assert [one.vault for one in made.predecessor.vaults] == ["0x" + old_vault.hex(), address(960)]


def change(made: NetworkFile, path: str, value: object) -> bytes:
    raw = msgspec.json.decode(dump_network(made))
    part, _, field = path.rpartition(".")
    (raw[part] if part else raw)[field] = value
    return msgspec.json.encode(raw)


def test_every_part_that_does_not_follow_is_noticed(state: LastState) -> None:
    made = make_restarted(state, make_plan(state))
    with pytest.raises(ConfigError, match="network_id does not follow"):
        parse_network(change(made, "predecessor.state_root", "0x" + "01" * 32))
    with pytest.raises(ConfigError, match="network_id does not follow"):
        parse_network(change(made, "network_id", "0x" + state.file.network_id.hex()))
    with pytest.raises(ConfigError, match="before the predecessor's last block"):
        parse_network(change(made, "genesis_time_ms", state.header.time_ms))
    old = msgspec.to_builtins(state.file.chains)
    raw = msgspec.json.decode(dump_network(made))
    raw["chains"] = old
    for asset in raw["exchange"]["assets"]:
        asset["vault"] = old[0]["vault"]
    with pytest.raises(ConfigError, match="pays by its own last root"):
        parse_network(msgspec.json.encode(raw))
    other = replace_market_price(made)
    with pytest.raises(WrongNetwork, match="follows"):
        verify_restarted(parse_network(other), state)


def replace_market_price(made: NetworkFile) -> bytes:
    raw = msgspec.json.decode(dump_network(made))
    raw["exchange"]["markets"][0]["reference_price"] += 1
    return msgspec.json.encode(raw)


def test_a_chain_without_a_new_vault_is_refused(state: LastState) -> None:
    with pytest.raises(ConfigError, match="for which the plan names no new vault"):
        make_restarted(state, make_plan(state, chains=()))


def test_committee_and_attempt_decide_the_id(state: LastState) -> None:
    plan = make_plan(state)
    others = make_plan(state, committee=plan.committee[:3])
    again = make_plan(state, attempt=2)
    ids = {compute_network_id(state, one) for one in (plan, others, again)}
    assert len(ids | {state.file.network_id}) == 4


def test_no_vote_and_no_action_of_the_old_network_counts_in_the_new(
    car: Path, state: LastState
) -> None:
    record, _ = read_car(car)
    certificate: Certificate = codec.decode(record.certificate, Certificate)
    committee = Committee(record.members)
    made = make_restarted(state, make_plan(state))
    old, new = network_domain(state.file.network_id), network_domain(made.network_id)
    verify_certificate(certificate, committee, old, KeyVerifier())
    with pytest.raises(InvalidSignature):
        verify_certificate(certificate, committee, new, KeyVerifier())
    action = sign(
        Action(
            old, KEYS[0].address, 0, nonce_ms=1, deadline_ms=2, atomic=False, ops=(CancelAll(0),)
        ),
        KEYS[0],
    )
    assert not verify(action, old).error
    assert verify(action, new).error


def test_a_plan_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    for text in ("", "[]", '{"name": "x"}'):
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises(ConfigError, match="the plan"):
            load_plan(tmp_path / "plan.json")
    with pytest.raises(ConfigError, match="the plan"):
        load_plan(tmp_path / "absent.json")
