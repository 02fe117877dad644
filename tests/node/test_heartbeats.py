"""Facts about when a node sends a sign of life."""

from __future__ import annotations

from types import SimpleNamespace

from exchange.actions import SignedAction, verify
from exchange.operations import Heartbeat
from node.committee.heartbeats import Heart, needs_heartbeat
from node.committee.storage_answers import StorageAnswers
from node.limits import ATTEST_RESEND_MS
from storage.block_store import BlockStore
from storage.snapshots import Snapshots
from tests.consensus.duties import BLOCK_MS, Chain, address, genesis, registration
from tests.exchange.world import DOMAIN, World
from tests.node.test_scorekeeper import make_ledger, run


def test_members_in_office_send_none_and_observers_one_per_part_of_the_period():
    chain = Chain(genesis(4))
    chain.block(registry=(registration(9),))
    state = chain.state
    member, observer = (state.register.by_owner[address("owner", n)] for n in (0, 9))
    sent = 0
    while state.height < 200:
        assert not needs_heartbeat(state, member, state.height * BLOCK_MS)
        due = needs_heartbeat(state, observer, state.height * BLOCK_MS)
        chain.block(heartbeats=(observer.hot_key,) if due else ())
        sent += due
    assert 16 <= sent <= 18


def test_a_jailed_member_sends_one_when_the_term_is_over():
    chain = Chain(genesis(4))
    member = chain.state.register.by_owner[address("owner", 1)]
    member.jailed_until_ms = 5_000
    assert not needs_heartbeat(chain.state, member, 4_999)
    assert needs_heartbeat(chain.state, member, 5_000)


def test_the_heartbeat_of_a_jailed_member_frees_it_on_the_ledger(tmp_path):
    world = World()
    ledger = make_ledger(world)
    run(ledger, 5)
    key, sent = world.validators[2], list[SignedAction]()
    clock = SimpleNamespace(time=ledger.state.time_ms, now_ms=lambda: clock.time)
    answers = StorageAnswers(Snapshots(BlockStore(tmp_path / "blocks")), 10)
    heart = Heart(ledger, key, domain=DOMAIN, clock=clock, submit=sent.append, answers=answers)  # type: ignore[arg-type]
    heart.look()
    assert sent == [], "members in office need none"
    keeper = ledger.scorekeeper
    assert keeper is not None
    own = keeper.find(key.address)
    assert own is not None
    own.jailed_until_ms = ledger.state.time_ms
    heart.look()
    heart.look()
    assert len(sent) == 1, "not again at once"
    clock.time += ATTEST_RESEND_MS
    heart.look()
    assert len(sent) == 2
    action = verify(sent[0], DOMAIN)
    assert action.ops == (Heartbeat(part=keeper.participation.rules.compute_part(6)),)
    run(ledger, 6, (action,))
    run(ledger, 7)
    assert own.jailed_until_ms == 0
