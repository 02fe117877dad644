"""Facts about what the ledger hands to participation: registry events, windows, heartbeats."""

from __future__ import annotations

from exchange.actions import Attest, Heartbeat, RegistryEvent, encode_amount, verify
from exchange.execute import BlockInput, execute
from exchange.limits import ATTESTATION_GRACE_BLOCKS
from exchange.outcome import Notes, Outcome, StorageNote
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.snapshot import snapshot
from exchange.vaults import compute_window_hash
from primitives.keccak import keccak256
from tests.exchange.world import DOMAIN, QUOTE, VAULT, World, make_genesis, make_key

XOM = 10**18


def event(number: int, who: int = 1, *, change: int = 1, stake: int = 1_000) -> RegistryEvent:
    mark = bytes([who])
    return RegistryEvent(
        number=number,
        change=change,
        owner=mark * 20,
        hot_key=bytes([who + 100]) * 20,
        payout=mark * 20,
        network_key=mark * 32,
        services=7,
        stake=encode_amount(stake * XOM),
        exiting=False,
    )


def window(*events: RegistryEvent, index: int = 1, previous: bytes = bytes(32)) -> Attest:
    return Attest(31337, VAULT, index, keccak256(b"end"), previous, (), events)


def attest(world: World, op: Attest, *who: int) -> Outcome:
    return world.block(*(world.act(world.validators[i], op) for i in who))


def statuses(outcome: Outcome) -> list[list[int]]:
    return [list(receipt.statuses) for receipt in outcome.receipts]


def test_registry_events_are_handed_out_once_at_more_than_two_thirds() -> None:
    world = World()
    op = window(event(0), event(1, 2, change=7))
    assert attest(world, op, 0, 1).notes == Notes()
    assert attest(world, op, 2).notes.registry == op.events
    assert attest(world, op, 3).notes == Notes()
    assert world.state.vaults[(31337, VAULT)].registry_changes == 2


def test_registry_events_out_of_order_or_twice_are_refused() -> None:
    world = World()
    first = window(event(0))
    attest(world, first, 0, 1, 2)
    link = compute_window_hash(first)
    for bad in (
        window(event(0), previous=link),
        window(event(2), previous=link),
        window(event(1), event(1), previous=link),
    ):
        assert statuses(attest(world, bad, 0)) == [[Reason.BAD_DEPOSITS]]
    good = window(event(1), event(2), previous=link)
    assert len(attest(world, good, 0, 1, 2).notes.registry) == 2


def test_who_attested_a_window_is_told_when_late_words_no_longer_count() -> None:
    world = World()
    op = window(event(0))
    attest(world, op, 0, 1, 2)
    late = attest(world, op, 3)
    assert statuses(late) == [[Reason.ATTESTED_ALREADY]]
    told: list[object] = []
    for _ in range(ATTESTATION_GRACE_BLOCKS):
        told += world.block().notes.windows
    (closed,) = told
    assert closed.window == 1  # type: ignore[attr-defined]
    everyone = tuple(sorted(key.address for key in world.validators))
    assert closed.attesters == everyone  # type: ignore[attr-defined]


def test_only_the_agreed_content_counts_as_attested() -> None:
    world = World()
    attest(world, window(event(0, 9)), 3)
    attest(world, window(event(0)), 0, 1, 2)
    for _ in range(ATTESTATION_GRACE_BLOCKS - 1):
        assert world.block().notes.windows == ()
    (closed,) = world.block().notes.windows
    assert world.validators[3].address not in closed.attesters


def test_an_attestation_after_the_grace_is_not_counted() -> None:
    world = World()
    op = window(event(0))
    attest(world, op, 0, 1, 2)
    for _ in range(ATTESTATION_GRACE_BLOCKS):
        world.block()
    assert statuses(attest(world, op, 3)) == [[Reason.ATTESTED_ALREADY]]
    assert not world.state.vaults[(31337, VAULT)].open_windows


def execute_with(world: World, **more: object) -> Outcome:
    world.time_ms += 100
    height = world.state.height + 1
    plain: dict[str, object] = {
        "height": height,
        "time_ms": world.time_ms,
        "block_hash": keccak256(height.to_bytes(8, "big")),
        "proposer": 0,
        "executed_height": max(0, height - 2),
        "is_seal": False,
        "committee": world.committee,
        "actions": (),
    }
    return execute(world.state, BlockInput(**(plain | more)))  # type: ignore[arg-type]


def test_a_heartbeat_counts_for_registered_keys_only_and_once_per_block() -> None:
    world = World()
    key = make_key("observer")
    beats = tuple(verify(world.act(key, Heartbeat()), DOMAIN) for _ in range(2))
    stranger = verify(world.act("stranger", Heartbeat()), DOMAIN)
    outcome = execute_with(world, actions=(*beats, stranger), registered={key.address})
    assert statuses(outcome) == [[Reason.OK], [Reason.OK], [Reason.NOT_VALIDATOR]]
    assert outcome.notes.heartbeats == (key.address,)
    again = execute_with(world, actions=beats, registered={key.address})
    assert statuses(again) == [[Reason.NONCE_USED], [Reason.NONCE_USED]]


def test_words_about_storage_are_handed_out_with_the_first_heartbeat_of_a_key() -> None:
    world = World()
    keys = [make_key(name) for name in ("observer", "other")]
    words = Heartbeat(part=7, commitment=b"\1" * 32, answer=b"\2" * 32)
    beats = [world.act(keys[0], words), world.act(keys[0], Heartbeat(part=8, answer=b"\3" * 32))]
    beats.append(world.act(keys[1], Heartbeat(part=7)))
    outcome = execute_with(
        world,
        actions=tuple(verify(beat, DOMAIN) for beat in beats),
        registered={key.address for key in keys},
    )
    assert outcome.notes.heartbeats == tuple(key.address for key in keys)
    assert outcome.notes.storage == (StorageNote(keys[0].address, 7, b"\1" * 32, b"\2" * 32),)
    copy = restore(make_genesis(), snapshot(world.state))
    assert copy.notes == world.state.notes
    assert execute_with(world).notes.storage == ()


def test_a_heartbeat_stands_alone_and_is_signed_by_its_account() -> None:
    world = World()
    mixed = world.act("a", Heartbeat(), Heartbeat())
    assert verify(mixed, DOMAIN).error == Reason.MIXED_OPERATIONS
    other = world.act("session", Heartbeat(), account=make_key("a").address)
    assert verify(other, DOMAIN).error == Reason.NOT_VALIDATOR


def test_the_participation_digest_moves_the_state_root_of_every_block() -> None:
    one, other = World(), World()
    first = execute_with(one, participation_digest=b"\1" * 32)
    second = execute_with(other, participation_digest=b"\2" * 32)
    assert first.state_root != second.state_root
    assert execute_with(World()).state_root not in (first.state_root, second.state_root)


def test_a_snapshot_carries_digest_notes_changes_and_open_windows() -> None:
    world = World()
    op = window(event(0))
    attest(world, op, 0, 1)
    last = verify(world.act(world.validators[2], op), DOMAIN)
    digest = keccak256(b"participation")
    execute_with(world, actions=(last,), participation_digest=digest)
    genesis = make_genesis()
    copy = restore(genesis, snapshot(world.state))
    assert copy.participation == digest
    assert copy.notes == world.state.notes
    assert copy.notes.registry == op.events
    assert snapshot(copy) == snapshot(world.state)


def test_fees_are_shared_by_the_pay_table_when_there_is_one() -> None:
    world = World()
    world.fund("a")
    world.state.fees[QUOTE] += 1_000  # as if charged; conservation is not what is looked at here
    world.state.deposited[QUOTE] += 1_000
    winner = make_key("winner").address
    interval = world.state.genesis.checkpoint_interval
    while world.state.height + 1 < interval:
        execute_with(world)
    pay = ((world.validators[0].address, 0, world.committee[0][2]), (b"\7" * 20, 9, winner))
    outcome = execute_with(world, pay=pay)
    assert [share.amount for share in outcome.shares] == [700]
    assert world.balance("winner", QUOTE) == (700, 0)
