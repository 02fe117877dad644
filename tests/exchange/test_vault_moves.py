"""A quorum moves a vault's assets; every atom is owed by exactly one vault before and after."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.actions import (
    GTC,
    ListAsset,
    MoveVault,
    Place,
    SignedAction,
    Withdraw,
    encode_amount,
    verify,
)
from exchange.genesis import AssetConfig
from exchange.ledger import compute_shares
from exchange.outcome import Outcome, VaultMoved
from exchange.reasons import Reason
from exchange.restore import restore
from exchange.roots import compute_roots, list_fee_rows
from exchange.snapshot import snapshot
from exchange.state import State
from exchange.vaults import NOWHERE
from primitives.errors import InvalidMessage
from tests.exchange.world import (
    BASE,
    DOMAIN,
    QUOTE,
    START_MS,
    VAULT,
    World,
    make_genesis,
    make_key,
)

CHAIN = 31337
NEXT = b"\x52" * 20
THIRD = b"\x53" * 20
NOTICE = 1_000
TRADERS = ("a", "b", "c")


def make_world(interval: int = 4) -> World:
    return World(make_genesis(vault_notice_ms=NOTICE, checkpoint_interval=interval, mode="fair"))


def say(
    world: World,
    who: int,
    at_ms: int,
    *,
    vault: bytes = VAULT,
    successor: bytes = NEXT,
    number: int = 0,
    chain: int = CHAIN,
) -> SignedAction:
    return world.act(world.validators[who], MoveVault(chain, vault, number, successor, at_ms))


def vote(world: World, at_ms: int, *who: int, **terms: object) -> list[int]:
    outcome = world.block(*(say(world, i, at_ms, **terms) for i in who))  # type: ignore[arg-type]
    return [receipt.statuses[0] for receipt in outcome.receipts]


def move(world: World, vault: bytes = VAULT, successor: bytes = NEXT) -> Outcome:
    """Decide on a move and make blocks until it is done."""
    at_ms = world.time_ms + NOTICE + 500
    number = world.state.vaults[(CHAIN, vault)].move_round
    said = vote(world, at_ms, 0, 1, 2, vault=vault, successor=successor, number=number)
    assert said[-1] == Reason.OK
    while True:
        outcome = world.block()
        if outcome.moves:
            follow(world, successor)
            return outcome


def follow(world: World, vault: bytes) -> None:
    """Let the world's validators attest the new vault's events from now on."""
    world.vault, world.window_hash, world.deposit_id = vault, bytes(32), 0


def withdraw(world: World, trader: str, amount: int, asset: int = QUOTE) -> SignedAction:
    return world.act(trader, Withdraw(asset, encode_amount(amount), b"\x77" * 20))


def test_assets_move_at_the_first_checkpoint_height_after_the_time():
    world = make_world()
    world.fund("a")
    at_ms = world.time_ms + NOTICE + 450
    assert vote(world, at_ms, 0, 1) == [Reason.COUNTED] * 2
    assert vote(world, at_ms, 2, 3) == [Reason.OK, Reason.NOT_THIS_ROUND]
    vault = world.state.vaults[(CHAIN, VAULT)]
    assert (vault.next_vault, vault.move_at_ms, vault.move_round) == (NEXT, at_ms, 1)
    while not (outcome := world.block()).moves:
        assert world.state.assets[QUOTE].vault == VAULT
        assert not world.state.is_checkpoint(world.state.height) or world.time_ms < at_ms
    assert outcome.moves == (VaultMoved(CHAIN, VAULT, NEXT),)
    assert outcome.is_checkpoint
    assert world.time_ms >= at_ms
    assert {asset.vault for asset in world.state.assets} == {NEXT}
    assert list(world.state.vaults) == [(CHAIN, VAULT), (CHAIN, NEXT)]
    assert (vault.moved_to, vault.next_vault, vault.move_round) == (NEXT, NOWHERE, 2)


def test_exactly_two_thirds_decide_nothing():
    world = make_world()
    world.committee = world.committee[:3]
    assert vote(world, world.time_ms + 9_999, 0, 1) == [Reason.COUNTED] * 2
    assert vote(world, world.time_ms + 9_998, 2) == [Reason.COUNTED]
    assert vote(world, world.time_ms + 9_797, 3) == [Reason.NOT_VALIDATOR]


def test_a_quorum_calls_off_what_was_decided():
    world = make_world()
    at_ms = world.time_ms + NOTICE + 900
    vote(world, at_ms, 0, 1, 2)
    assert vote(world, at_ms, 0, number=1) == [Reason.NO_CHANGE]
    assert vote(world, 0, 0, 1, 2, successor=NOWHERE, number=1)[-1] == Reason.OK
    for _ in range(30):
        assert not world.block().moves
    assert vote(world, 0, 0, successor=NOWHERE, number=2) == [Reason.NO_CHANGE]
    assert world.state.assets[QUOTE].vault == VAULT


@pytest.mark.parametrize(
    ("after", "terms", "reason"),
    [
        (NOTICE - 1, {}, Reason.BAD_MOVE),
        (NOTICE + 500, {"successor": VAULT}, Reason.BAD_MOVE),
        (NOTICE + 500, {"successor": NOWHERE}, Reason.BAD_MOVE),
        (NOTICE + 500, {"vault": NEXT}, Reason.UNKNOWN_VAULT),
        (NOTICE + 500, {"chain": 1}, Reason.UNKNOWN_VAULT),
        (NOTICE + 500, {"number": 1}, Reason.NOT_THIS_ROUND),
    ],
)
def test_words_that_make_no_sense_are_refused(after: int, terms: dict[str, object], reason: int):
    world = make_world()
    assert vote(world, world.time_ms + 100 + after, 0, **terms) == [reason]
    assert not world.state.vaults[(CHAIN, VAULT)].move_votes


def test_what_is_decided_must_be_called_off_before_something_else():
    world = make_world()
    vote(world, world.time_ms + NOTICE + 900, 0, 1, 2)
    assert vote(world, world.time_ms + NOTICE + 999, 0, number=1) == [Reason.BAD_MOVE]
    assert vote(world, world.time_ms + NOTICE + 999, 0, successor=THIRD, number=1) == [
        Reason.BAD_MOVE
    ]


def test_a_vault_that_was_left_takes_no_words_and_no_attestations():
    world = make_world()
    move(world)
    assert vote(world, world.time_ms + 9_999, 0, successor=THIRD, number=2) == [Reason.VAULT_MOVED]
    world.vault = VAULT
    outcome = world.block(*world.attest((make_key("a").address, QUOTE, 5)))
    assert {r.statuses[0] for r in outcome.receipts} == {Reason.VAULT_MOVED}
    assert not outcome.deposits
    assert world.balance("a", QUOTE) == (0, 0)


def test_votes_for_a_window_that_is_not_applied_before_the_move_are_void():
    world = make_world()
    world.block(*world.attest((make_key("a").address, QUOTE, 5))[:2])
    move(world)
    assert not world.state.vaults[(CHAIN, VAULT)].votes
    assert world.state.vaults[(CHAIN, VAULT)].credited == 0


def test_withdrawals_name_the_vault_of_their_time():
    world = make_world()
    world.fund("a")
    world.block(withdraw(world, "a", 10))
    before = world.state.withdrawals.root
    move(world)
    assert world.state.withdrawals.root == before
    world.block(withdraw(world, "a", 10))
    asset = world.state.assets[QUOTE]
    assert asset.vault == NEXT
    for bad in (VAULT, NEXT):
        op = Withdraw(QUOTE, encode_amount(1), bad)
        assert world.block(world.act("a", op)).receipts[0].statuses == [Reason.BAD_TRANSFER]


def test_fees_are_counted_anew_and_what_was_charged_stays_with_the_old_vault():
    world = make_world(interval=64)
    world.fund("a", "b")
    world.block(world.act("a", Place(0, 1, 1_000, 77, GTC, 0, 0)))
    world.block(world.act("b", Place(0, 0, 1_000, 77, GTC, 0, 0)))
    charged = world.state.fees[QUOTE]
    assert charged > 0
    insurance = world.insurance(QUOTE)
    outcome = move(world)
    rows = {(row.vault, row.token): row.total for row in outcome.fee_rows}
    token = world.state.assets[QUOTE].token
    assert rows[(VAULT, token)] == charged
    assert rows[(NEXT, token)] == 0
    assert outcome.fee_totals == (0, 0, 0)
    assert [row.vault for row in outcome.fee_rows] == [NEXT] * 3 + [VAULT] * 3
    assert 0 <= world.insurance(QUOTE) - insurance < len(world.committee)
    _, company, development = compute_shares(charged)
    retired = world.state.retired[QUOTE]
    state = world.state
    assert retired.owed == state.deposited[QUOTE] - company - development
    assert retired.owed == sum(
        b.free + b.held for a in state.accounts for b in a.entries if b.asset == QUOTE
    )


def test_the_new_vault_is_credited_from_its_first_deposit_and_registry_goes_on():
    world = make_world()
    world.fund("a")
    world.state.vaults[(CHAIN, VAULT)].registry_changes = 7
    move(world)
    assert world.state.vaults[(CHAIN, NEXT)].registry_changes == 7
    world.block(*world.attest((make_key("b").address, BASE, 5)))
    assert world.balance("b", BASE) == (5, 0)
    assert world.state.vaults[(CHAIN, NEXT)].credited == 1


def test_a_second_move_keeps_both_closed_accounts():
    world = make_world()
    world.fund("a", quote=1_000)
    move(world)
    world.fund("b", quote=500)
    world.block(withdraw(world, "a", 300))
    move(world, NEXT, THIRD)
    owed = [one.owed for one in world.state.retired if one.asset == QUOTE]
    assert owed == [1_000, 1_200]
    assert len(list_fee_rows(world.state)) == 9


def copy(world: World) -> State:
    return restore(world.genesis, snapshot(world.state))


def test_a_restored_state_goes_on_as_the_original_at_every_point():
    world = make_world()
    world.fund("a", "b")
    vote(world, world.time_ms + NOTICE + 700, 0)
    assert compute_roots(copy(world)) == compute_roots(world.state)
    vote(world, world.time_ms + NOTICE + 700, 1, 2, 3)
    for _ in range(30):
        twin = copy(world)
        assert snapshot(twin) == snapshot(world.state)
        world.block(withdraw(world, "a", 10))
    other = copy(world)
    assert [a.vault for a in other.assets] == [a.vault for a in world.state.assets]
    assert other.treasury_left == world.state.treasury_left
    assert list_fee_rows(other) == list_fee_rows(world.state)


def test_a_snapshot_with_an_asset_where_it_cannot_be_is_refused():
    world = make_world()
    world.fund("a")
    move(world)
    world.block()  # the dump of a checkpoint height is kept
    world.state.retired[0].vault = NEXT
    with pytest.raises(InvalidMessage):
        copy(world)
    world.state.retired[0].vault = VAULT
    world.state.vaults[(CHAIN, VAULT)].moved_to = NOWHERE
    with pytest.raises(InvalidMessage):
        copy(world)


def test_a_vote_stands_alone_and_is_signed_by_the_hot_key():
    world = make_world()
    op = MoveVault(CHAIN, VAULT, 0, NEXT, START_MS)
    mixed = world.act(world.validators[0], op, op)
    assert verify(mixed, DOMAIN).error == Reason.MIXED_OPERATIONS
    foreign = world.act(world.validators[0], op, account=world.validators[1].address)
    assert verify(foreign, DOMAIN).error == Reason.NOT_VALIDATOR


def test_an_asset_is_listed_where_assets_are_and_follows_a_move_that_comes_before_it():
    world = make_world()
    terms = AssetConfig(
        name="NEW",
        decimals=6,
        chain_id=CHAIN,
        vault="0x" + VAULT.hex(),
        token="0x" + "09" * 20,
    )
    late = ListAsset(0, 40, terms)
    assert world.block(*(world.act(v, late) for v in world.validators[:3])).receipts[
        2
    ].statuses == [Reason.OK]
    move(world)
    again = msgspec.structs.replace(terms, name="OTHER")
    for vault, reason in ((VAULT, Reason.VAULT_MOVED), (NEXT, Reason.LISTED_ALREADY)):
        word = ListAsset(1, 99, msgspec.structs.replace(again, vault="0x" + vault.hex()))
        assert world.block(world.act(world.validators[0], word)).receipts[0].statuses == [reason]
    while world.state.height < 40:
        world.block()
    assert world.state.assets[-1].vault == NEXT
    move(world, NEXT, THIRD)
    assert [asset.vault for asset in copy(world).assets] == [THIRD] * 4


# What the vaults would hold, as their contracts count

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("deposit"), st.sampled_from(TRADERS), st.integers(1, 10**6)),
        st.tuples(st.just("withdraw"), st.sampled_from(TRADERS), st.integers(1, 10**6)),
        st.tuples(st.just("trade"), st.integers(1, 50), st.integers(1, 3_000)),
        st.tuples(st.just("move"), st.just(0), st.just(0)),
        st.tuples(st.just("wait"), st.just(0), st.just(0)),
    ),
    min_size=5,
    max_size=30,
)


class Chain:
    """Money of the vaults on chain: deposits, hand-overs; claims and fees by what a root says."""

    def __init__(self) -> None:
        self.deposited: dict[bytes, int] = {VAULT: 0}
        self.claimed: dict[bytes, int] = {VAULT: 0}

    def verify(self, world: World) -> None:
        """No vault has to pay more than it has, whatever has been claimed so far."""
        state = world.state
        fees = {(r.vault): r.total for r in list_fee_rows(state) if r.token == bytes([1] * 20)}
        for vault, deposited in self.deposited.items():
            _, company, development = compute_shares(fees[vault])
            owed = self.claimed[vault] + company + development
            if vault == world.vault:
                owed += sum(
                    b.free + b.held for a in state.accounts for b in a.entries if b.asset == QUOTE
                )
                owed += compute_shares(state.fees[QUOTE])[0] - state.fees_shared[QUOTE]
            assert owed == deposited, "to the atom"


@given(STEPS)
def test_every_atom_is_owed_by_exactly_one_vault(steps: list[tuple[str, object, int]]):
    world = World(make_genesis(vault_notice_ms=NOTICE, checkpoint_interval=3, lot=1, mode="fair"))
    world.fund(*TRADERS, quote=10**7)
    chain = Chain()
    chain.deposited[VAULT] = 3 * 10**7
    for kind, what, amount in steps:
        if kind == "deposit":
            world.block(*world.attest((make_key(str(what)).address, QUOTE, amount)))
            chain.deposited[world.vault] += amount
        elif kind == "withdraw":
            outcome = world.block(withdraw(world, str(what), amount))
            chain.claimed[world.vault] += sum(one.amount for one in outcome.withdrawals)
        elif kind == "trade":
            size = int(str(what))
            world.block(world.act("a", Place(0, 1, amount, size, GTC, 0, 0)))
            world.block(world.act("b", Place(0, 0, amount, size, GTC, 0, 0)))
        elif kind == "move" and len(chain.deposited) < 4:
            old, new = world.vault, bytes([0x60 + len(chain.deposited)] * 20)
            move(world, old, new)
            owed = next(r.owed for r in world.state.retired if r.vault == old and not r.asset)
            chain.deposited[old] -= owed
            chain.deposited[new], chain.claimed[new] = owed, 0
        else:
            world.block()
        chain.verify(world)
    assert compute_roots(copy(world)) == compute_roots(world.state)
