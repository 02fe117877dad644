"""Facts about how a node answers for its snapshots, on a real ledger with real chunks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
from msgspec.structs import asdict

from consensus.participation.parameters import CREDIT_ONE, STORAGE
from consensus.participation.storage_part import Draw, compute_answer
from exchange.actions import SignedAction, verify
from exchange.operations import Heartbeat
from node.cli.validator import describe_question
from node.committee.heartbeats import Heart
from node.committee.storage_answers import NO_ANSWER, StorageAnswers, count_kept
from node.replica.ledger import Ledger
from node.views.score_views import make_score
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey
from storage.block_store import BlockStore
from storage.snapshots import Snapshots
from tests.exchange.world import DOMAIN, START_MS, World
from tests.node.test_scorekeeper import block, make_ledger

CHUNKS = tuple(bytes([number]) * 1_000 for number in range(5))
HASH = keccak256(b"a final block")


def make_snapshots(path: Path) -> Snapshots:
    return Snapshots(BlockStore(path))


class Home:
    """One validator's node, as far as its signs of life go."""

    def __init__(self, ledger: Ledger, key: PrivateKey, snapshots: Snapshots) -> None:
        self.ledger, self.key, self.snapshots = ledger, key, snapshots
        self.sent: list[SignedAction] = []
        self.clock = SimpleNamespace(time=START_MS, now_ms=lambda: self.clock.time)
        self.restart()

    def restart(self) -> None:
        self.answers = StorageAnswers(self.snapshots, self.ledger.state.genesis.checkpoint_interval)
        self.heart = Heart(
            self.ledger,
            self.key,
            domain=DOMAIN,
            clock=self.clock,  # type: ignore[arg-type]
            submit=self.sent.append,
            answers=self.answers,
        )

    async def look(self) -> None:
        keeper = self.ledger.scorekeeper
        assert keeper is not None
        self.clock.time = max(self.clock.time + 1, self.ledger.state.time_ms)
        await self.answers.prepare((keeper.participation.draw_before, keeper.participation.draw))
        self.heart.look()


async def run(homes: list[Home], until: int, *, restarts: Home | None = None) -> None:
    """Execute blocks with what the nodes send; whoever keeps snapshots writes them."""
    ledger = homes[0].ledger
    stores = {id(home.snapshots): home.snapshots for home in homes[:-1]}.values()
    while ledger.height < until:
        actions = []
        for home in homes:
            if home is restarts:
                home.restart()
            await home.look()
            actions += [verify(action, DOMAIN) for action in home.sent]
            home.sent.clear()
        ledger.execute(block(ledger.height + 1), tuple(actions))
        if ledger.state.is_checkpoint(ledger.height):
            for snapshots in stores:
                snapshots.write(ledger.height, ledger.roots.state, ledger.snapshot())
                snapshots.prune(3)


def test_members_earn_storage_by_snapshots_and_the_one_without_does_not(tmp_path):
    world = World()
    ledger = make_ledger(world)
    kept, empty = (make_snapshots(tmp_path / name) for name in ("kept", "empty"))
    homes = [Home(ledger, key, kept) for key in world.validators[:3]]
    homes.append(Home(ledger, world.validators[3], empty))
    keeper = ledger.scorekeeper
    assert keeper is not None
    first = keeper.participation.rules.period_blocks
    trio.run(lambda: run(homes, first + 150, restarts=homes[1]))
    ends = [keeper.find(home.key.address) for home in homes]
    counts = [
        (one.opportunities[STORAGE], one.credits[STORAGE] // CREDIT_ONE)
        for one in ends
        if one is not None
    ]
    assert counts[0][0] == counts[0][1] >= 5
    assert counts[1] == counts[0], "a node that starts anew at every height loses nothing"
    assert counts[3] == (counts[0][0], 0)


def test_members_in_office_send_nothing_before_the_first_snapshot(tmp_path):
    world = World()
    homes = [Home(make_ledger(world), world.validators[0], make_snapshots(tmp_path / "kept"))]
    trio.run(lambda: homes[0].look())
    assert homes[0].sent == []


def test_the_answer_is_read_from_the_chunk_that_the_block_draws(tmp_path):
    snapshots = make_snapshots(tmp_path / "kept")
    draw = Draw(height=60, block_hash=HASH)
    answers = StorageAnswers(snapshots, 10)
    assert answers.read(draw) is None, "the snapshot of height 20 is not there yet"
    snapshots.write(20, HASH, CHUNKS)
    chunk = CHUNKS[int.from_bytes(HASH, "big") % 5]
    assert answers.read(draw) == compute_answer(HASH, chunk)
    trio.run(answers.prepare, (Draw(), draw))
    assert answers.get(draw) == compute_answer(HASH, chunk)
    assert answers.get(Draw()) == NO_ANSWER


@pytest.mark.parametrize("is_due", [True, False])
def test_a_new_word_is_sent_at_once_and_the_same_one_only_after_a_while(tmp_path, is_due: bool):
    world = World()
    ledger = make_ledger(world)
    home = Home(ledger, world.validators[0], make_snapshots(tmp_path / "kept"))
    keeper = ledger.scorekeeper
    assert keeper is not None
    keeper.participation.draw = Draw(height=2_000, block_hash=HASH)
    height = keeper.participation.draw.snapshot_height(ledger.state.genesis.checkpoint_interval)
    assert height > 0
    if is_due:
        home.snapshots.write(height, HASH, CHUNKS)
    trio.run(home.look)
    trio.run(home.look)
    assert len(home.sent) == is_due
    if is_due:
        (op,) = verify(home.sent[0], DOMAIN).ops
        assert isinstance(op, Heartbeat)
        assert op.commitment != NO_ANSWER == op.answer


def test_a_view_and_a_command_tell_what_is_asked_and_said():
    world = World()
    keeper = make_ledger(world).scorekeeper
    assert keeper is not None
    state, own = keeper.participation, keeper.find(world.validators[0].address)
    assert own is not None
    interval = state.rules.checkpoint_interval
    state.draw = Draw(height=2 * interval + 32, block_hash=HASH)
    own.commitment = HASH
    asked = make_score(state, own).storage
    assert (asked.snapshot_height, asked.drawn_hash) == (2 * interval, HASH)
    said = describe_question(asdict(asked))
    assert f"the snapshot of height {2 * interval}: committed to an answer" in said
    assert said.endswith("the answer of the part before is not shown")


@pytest.mark.parametrize(("wanted", "interval", "kept"), [(2, 10, 7), (3, 1_000, 3), (99, 10, 64)])
def test_as_many_snapshots_stay_as_the_score_asks_for(wanted: int, interval: int, kept: int):
    keeper = make_ledger(World()).scorekeeper
    assert keeper is not None
    state = keeper.participation
    state.rules = replace(state.rules, checkpoint_interval=interval)
    assert count_kept(wanted, keeper) == kept
    assert count_kept(2, None) == 2
