"""A node that is far behind gets a certified state, whoever its peers are.

Rule: the store after a sync is compared with the peer's, root by root.
Spec: docs/spec/state-sync.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import trio

from bench.long_chain import LongChain
from consensus.block import BlockBody
from consensus.effects import Final
from consensus.header import HEADER_BYTES
from node.blocks import startup
from node.bundling.verifier import Verifier
from node.committee.epoch_book import EpochBook, make_genesis_epoch
from node.replica.ledger import Ledger
from node.replica.scorekeeper import make_scorekeeper
from node.settlement.checkpointer import CheckpointProofs
from node.sync import state_sync
from node.sync.adopt import load_snapshot, make_base_block, open_base
from node.sync.messages import Base, Offer, decode_answer, decode_request, encode
from node.sync.named import parse_named
from node.sync.proofs import Trust
from primitives import codec
from primitives.cid import Cid
from primitives.errors import (
    ConfigError,
    InvalidMessage,
    OperatorError,
    PeerError,
    TransientError,
)
from storage import limits
from storage.block_source import StoredBlocks
from storage.block_store import BlockStore
from storage.chain_store import ChainStore
from tests.node.sync_world import (
    EPOCH,
    INTERVAL,
    KEYS,
    Asked,
    Newcomer,
    make_file,
    serve,
    stay_away,
)
from tests.storage.memory_streams import MemoryNetwork

HEIGHT = 3 * EPOCH + 30


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory):
    chain = LongChain(make_file(), KEYS, tmp_path_factory.mktemp("peer"))
    chain.grow(HEIGHT)
    yield chain
    chain.close()


@pytest.fixture
async def newcomer(nursery, tmp_path: Path):
    newcomer = Newcomer(make_file(), tmp_path / "new", MemoryNetwork(nursery))
    await newcomer.begin()
    yield newcomer
    newcomer.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become tenths; threads do not know of a virtual clock."""
    monkeypatch.setattr(state_sync, "SYNC_ROUND_S", 0.05)
    monkeypatch.setattr(state_sync, "SYNC_CALM_S", 0.3)
    monkeypatch.setattr(state_sync, "SYNC_GIVE_UP_S", 0.5)
    monkeypatch.setattr(limits, "WANT_RETRY_S", 0.1)


async def restore(newcomer: Newcomer) -> tuple[Ledger, EpochBook, Final]:
    file = newcomer.file
    book = EpochBook(make_genesis_epoch(file))
    book.load(newcomer.store.read.epochs())
    seats = tuple((s.address_bytes, s.weight, s.payout_bytes) for s in file.committee)
    ledger = Ledger(file.exchange, seats, make_scorekeeper(file))
    proofs = CheckpointProofs(book)
    restored = await startup.restore(
        newcomer.store, newcomer.snapshots, ledger, proofs, Verifier(newcomer.domain)
    )
    assert restored.final is not None
    return ledger, book, restored.final


def newest(chain: LongChain) -> int:
    """The newest checkpoint whose digest is certified."""
    return (chain.height - 32 - chain.height % 8) // INTERVAL * INTERVAL


async def verify_adopted(newcomer: Newcomer, chain: LongChain, height: int | None) -> None:
    assert height == newest(chain)
    ledger, book, final = await restore(newcomer)
    executed = chain.store.read.executed(height)
    assert executed is not None
    assert (ledger.height, ledger.roots.state) == (height, executed.state_root)
    assert final.block.hash == chain.store.read.block_hash(height)
    row, known = newcomer.store.read.block(height), chain.store.read.block(height)
    assert row is not None
    assert known is not None
    assert row.summary.cid == known.summary.cid
    expected = chain.book.get(height // EPOCH + 1)
    assert book.current == expected
    assert newcomer.marks, "the signing history was marked first"


async def test_an_empty_node_adopts_the_newest_certified_state(newcomer, chain):
    newcomer.peers.answers["v0"] = await serve(chain, newcomer.network, "v0")
    await verify_adopted(newcomer, chain, await newcomer.sync().run(newcomer.position))


async def test_a_state_is_adopted_only_when_its_snapshot_is_safe_from_a_power_cut(
    newcomer, chain, monkeypatch
):
    order: list[str] = []
    for owner, name in ((BlockStore, "sync"), (ChainStore, "adopt_snapshot"), (ChainStore, "sync")):
        call = getattr(owner, name)

        def spy(store, *a, call=call, what=f"{owner.__name__}.{name}", **k):
            order.append(what)
            return call(store, *a, **k)

        monkeypatch.setattr(owner, name, spy)
    newcomer.peers.answers["v0"] = await serve(chain, newcomer.network, "v0")
    await verify_adopted(newcomer, chain, await newcomer.sync().run(newcomer.position))
    assert order == ["BlockStore.sync", "ChainStore.adopt_snapshot", "ChainStore.sync"]


async def test_a_node_that_lost_its_snapshots_says_how_to_go_on(newcomer, chain):
    newcomer.peers.answers["v0"] = await serve(chain, newcomer.network, "v0")
    await newcomer.sync().run(newcomer.position)
    newcomer.close()
    for file in newcomer.folder.glob("blocks.sqlite*"):
        file.unlink()  # as the advice for a damaged one says
    newcomer._open()
    with pytest.raises(OperatorError, match="no snapshot") as caught:
        await restore(newcomer)
    assert (caught.value.code, caught.value.exit_code) == ("DSK007", 15)
    assert "chain/" in caught.value.fix
    assert newcomer.store.read.boundary(1) is not None, "it can prove borders to others"
    assert not (newcomer.folder / "sync.json").exists()


async def test_the_link_to_the_parent_comes_from_the_snapshot_not_from_a_peer(
    newcomer, chain, impatient
):
    honest = await serve(chain, newcomer.network, "v0")

    async def forge(peer: str, request: bytes) -> bytes:
        """Give the honest base block with a link of its own."""
        found = decode_answer(await honest(peer, request))
        if not isinstance(found, Base):
            return encode(found)
        return codec.encode([14, found.block, Cid.raw(b"not the parent").encode()])

    newcomer.peers.answers |= {"a-liar": forge, "v0": honest}
    await verify_adopted(newcomer, chain, await newcomer.sync().run(newcomer.position))


async def test_a_snapshot_that_names_another_block_is_refused(chain):
    height = newest(chain)
    name = next(one for one in chain.snapshots.complete() if one.height == height)
    manifest = chain.snapshots.manifest(name.cid)
    ledger = load_snapshot(chain.file, chain.snapshots, manifest)
    row = chain.store.read.block(height)
    assert ledger.tape.cid is not None
    assert ledger.tape.cid.encode() == row.summary.cid
    base = Base(codec.decode(row.encoded, BlockBody))
    target = SimpleNamespace(height=height, block_hash=row.summary.block_hash)
    block = open_base(base, target)
    assert make_base_block(block, ledger.tape).cid == row.summary.cid
    ledger.tape.block = replace(ledger.tape.block, parent=Cid.raw(b"not the parent"))
    with pytest.raises(InvalidMessage, match="another block"):
        make_base_block(block, ledger.tape)


@pytest.mark.parametrize("rotates", [True, False])
async def test_a_checkpoint_at_a_border_begins_the_next_epoch(nursery, tmp_path, rotates):
    file = make_file(rotates=rotates, epoch=48)  # 48 is a checkpoint and a border
    chain = LongChain(file, KEYS, tmp_path / "peer")
    chain.grow(88)
    newcomer = Newcomer(file, tmp_path / "new", MemoryNetwork(nursery))
    await newcomer.begin()
    newcomer.peers.answers["v0"] = await serve(chain, newcomer.network, "v0")
    assert await newcomer.sync().run(newcomer.position) == 48
    _, book, _ = await restore(newcomer)
    assert book.current == chain.book.get(2 if rotates else 1)
    newcomer.close()
    chain.close()


async def test_peers_that_lie_stall_or_lack_chunks_only_cost_time(newcomer, chain, impatient):
    liar = await newcomer.network.add("a-liar")  # has every chunk, with other bytes

    class Wrong(StoredBlocks):
        async def get(self, cid):
            found = await super().get(cid)
            return None if found is None else b"wrong" + found

    liar._source = Wrong(chain.blocks)
    await newcomer.network.add("b-empty")
    honest = await serve(chain, newcomer.network, "v0")

    async def forge(peer: str, request: bytes) -> bytes:
        """Offer the honest checkpoint with somebody else's signatures, and other headers."""
        answer = decode_answer(await honest(peer, request))
        if not isinstance(answer, Offer):
            return b"\x91\x0f\x00garbage"
        assert answer.checkpoint is not None
        proof = answer.checkpoint.certificate
        forged = msgspec.structs.replace(proof, signatures=tuple(s[::-1] for s in proof.signatures))
        checkpoint = msgspec.structs.replace(answer.checkpoint, certificate=forged)
        return encode(Offer(1 << 40, 1, checkpoint))

    newcomer.peers.answers.update(v1=forge, v2=stay_away, v0=honest, v3=forge)
    await verify_adopted(newcomer, chain, await newcomer.sync().run(newcomer.position))


async def test_offers_without_a_header_cost_nothing_and_strangers_come_last(
    newcomer, chain, impatient
):
    honest = await serve(chain, newcomer.network, "v0")

    def offering(change: Callable[[bytes], bytes]) -> Asked:
        async def answer(peer: str, request: bytes) -> bytes:
            found = decode_answer(await honest(peer, request))
            if not isinstance(found, Offer):
                raise TransientError(f"{peer} stalls")
            assert found.checkpoint is not None
            headers = (change(found.checkpoint.headers[0]), *found.checkpoint.headers[1:])
            checkpoint = msgspec.structs.replace(found.checkpoint, headers=headers)
            return encode(Offer(1 << 60, 1, checkpoint))

        return answer

    no_header = offering(lambda _: b"\xff" * HEADER_BYTES)
    higher = offering(lambda words: words[:64] + (1 << 60).to_bytes(32, "big") + words[96:])
    newcomer.peers.answers |= {"a": no_header, "b": higher, "v1": no_header, "v0": honest}
    assert await newcomer.sync().look(newcomer.position, is_stuck=False) == newest(chain)
    newcomer.peers.asked.clear()
    await verify_adopted(newcomer, chain, await newcomer.sync().run(newcomer.position))
    assert newcomer.peers.asked.count("b") == 1, "the stranger made an offer and was not needed"


async def test_a_state_older_than_the_settled_one_is_refused(newcomer, chain, impatient):
    newcomer.peers.answers["v0"] = await serve(chain, newcomer.network, "v0")
    newcomer.trust = Trust(
        epoch=newcomer.trust.epoch,
        committee_hash=newcomer.trust.committee_hash,
        executed_height=HEIGHT + 1,
    )
    assert await newcomer.sync().run(newcomer.position) is None, "in the end it replays"
    assert newcomer.store.executed_height == 0


async def test_epochs_before_the_contract_are_refused(newcomer, chain, impatient):
    newcomer.peers.answers["v0"] = await serve(chain, newcomer.network, "v0")
    newcomer.trust = Trust(epoch=9, committee_hash=bytes(32), source="the settlement contract")
    assert await newcomer.sync().run(newcomer.position) is None


async def test_the_contracts_epoch_is_enough_to_follow(newcomer, chain):
    newcomer.peers.answers["v0"] = await serve(chain, newcomer.network, "v0")
    epoch = chain.book.get(3)
    assert epoch is not None
    newcomer.trust = Trust(epoch=3, committee_hash=epoch.committee.hash)
    await verify_adopted(newcomer, chain, await newcomer.sync().run(newcomer.position))
    assert newcomer.store.read.boundary(1) is None


async def test_a_block_that_the_operator_names_is_trusted(newcomer, chain, impatient):
    newcomer.peers.answers["v0"] = await serve(chain, newcomer.network, "v0")
    newcomer.trust = Trust(epoch=1, committee_hash=bytes(32))
    known = chain.store.read.block_hash(EPOCH + 1)
    newcomer.named = (EPOCH + 1, bytes(32))
    assert await newcomer.sync().run(newcomer.position) is None
    newcomer.named = parse_named(f"{EPOCH + 1}:0x{known.hex()}")
    await verify_adopted(newcomer, chain, await newcomer.sync().run(newcomer.position))
    with pytest.raises(ConfigError):
        parse_named("12:0xAB")


async def test_level_peers_mean_replay_and_silence_too(newcomer, chain, impatient):
    level = encode(Offer(5, 1, None))

    async def say_level(peer: str, request: bytes) -> bytes:
        decode_request(request)
        return level

    newcomer.peers.answers.update(v0=say_level, v1=say_level)
    assert await newcomer.sync().run(newcomer.position) is None
    newcomer.peers.answers = {"v0": stay_away}
    assert await newcomer.sync().run(newcomer.position) is None


class Killed(BaseException):
    """The process ends here."""


async def test_a_kill_at_any_point_costs_nothing_that_was_fetched(
    nursery, tmp_path, chain, monkeypatch
):
    """Kill after the n-th thing that reaches the disk, for every n until it is through."""
    count = 0
    limit = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count > limit:
            raise Killed

    newcomer = Newcomer(make_file(), tmp_path / "new", MemoryNetwork(nursery))
    await newcomer.begin()
    serve_all = await serve(chain, newcomer.network, "v0")
    newcomer.peers.answers["v0"] = serve_all
    put, adopt = newcomer.snapshots.put_chunk, state_sync.adopt

    def put_chunk(self, manifest, cid, chunk):
        step()
        put.__func__(self, manifest, cid, chunk)
        step()

    def adopt_all(store, fetched):
        step()
        adopt(store, fetched)
        step()

    monkeypatch.setattr(type(newcomer.snapshots), "put_chunk", put_chunk)
    monkeypatch.setattr(state_sync, "adopt", adopt_all)
    kills = 0
    while True:
        count, limit = 0, kills
        try:
            with trio.fail_after(60):
                await newcomer.sync().run(newcomer.position)
        except* Killed:
            pass
        kills += 1
        newcomer.reopen()
        if newcomer.store.executed_height:
            break
    assert kills > 3
    await verify_adopted(newcomer, chain, newcomer.store.executed_height)
    newcomer.close()


async def test_a_bad_request_is_the_peers_fault(newcomer, chain):
    answer = await serve(chain, newcomer.network, "v0")
    for garbage in (b"", b"\xc1", b"\x92\x03\x01", b"\x93\x03\x01\xcd\x01\x01", b"\x91\x63"):
        with pytest.raises(PeerError):
            await answer("v0", garbage)
