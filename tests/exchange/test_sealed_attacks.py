"""What is left to somebody who owns the leader, or the whole batch, and what it costs.

Rule: each trick of docs/explanation/mev.md that the other tests of sealed batches do not cover.
Spec: docs/spec/exchange.md#sealed-batches; docs/explanation/mev.md. Deviations: none.
"""

from __future__ import annotations

import pytest

from exchange.actions import BUY, GTC, HOLD_BASE, HOLD_QUOTE, IOC, POST_ONLY, SELL, Place
from exchange.outcome import Fill
from primitives.keccak import keccak256
from tests.exchange.test_sealed_batches import Sealed
from tests.exchange.world import BASE, QUOTE, World, make_genesis

TRADERS = ("leader", "ann", "bob", "cy", "dee")
OFFERED, WANTED = 23, 10  # lots offered in all, lots wanted by each of five
TRIES = 32  # block hashes that a leader can look at before it has to propose


def buy(price: int, size: int) -> Place:
    return Place(0, BUY, price, size, IOC)


def clear_with(matching: str, block_hash: bytes, *, salt: int = 0) -> dict[str, int]:
    """Five equal takers want more than there is; the leader of k+1 chose the hash."""
    world = World(make_genesis(matching=matching))
    world.fund("maker", *TRADERS)
    world.block(world.act("maker", Place(0, SELL, 1_000, OFFERED, GTC)))
    sealed = [
        Sealed(world, name, buy(1_000, WANTED), salt=keccak256(f"{name} {salt}".encode()))
        for name in TRADERS
    ]
    world.block(*(one.commit for one in sealed))
    world.block(block_hash=block_hash)
    outcome = world.block(*(one.open() for one in sealed))
    names = {world.number(name): name for name in TRADERS}
    sizes = dict.fromkeys(TRADERS, 0)
    for fill in outcome.fills:
        sizes[names[fill.taker_account]] += fill.size
    assert sum(sizes.values()) == OFFERED
    return sizes


def hashes(seed: int) -> list[bytes]:
    return [keccak256(b"%d %d" % (seed, number)) for number in range(TRIES)]


def test_grinding_the_hash_moves_odd_lots_only_in_a_uniform_batch() -> None:
    share, odd = divmod(OFFERED, len(TRADERS))
    for block_hash in hashes(1):
        sizes = clear_with("uniform", block_hash)
        assert set(sizes.values()) <= {share, share + 1}
        assert sum(size > share for size in sizes.values()) == odd


def test_grinding_the_hash_buys_a_leader_the_first_place_in_a_shuffled_batch() -> None:
    """The known limit: a leader may look at many hashes; it still cannot know others' salts."""
    best = [clear_with("shuffle", block_hash)["leader"] for block_hash in hashes(2)]
    assert max(best) == WANTED  # among 32 hashes one serves it fully
    assert min(best) == 0  # and it does not decide by being the leader alone


def test_a_rank_chosen_without_others_salts_is_worth_no_more_than_chance() -> None:
    """The hash is fixed one block before the openings: what it does to others nobody can know."""
    fills = [
        sum(clear_with("shuffle", keccak256(b"fixed"), salt=salt)[name] for salt in range(12))
        for name in TRADERS
    ]
    assert max(fills) < 12 * WANTED
    assert min(fills) > 0


@pytest.mark.parametrize("matching", ["uniform", "shuffle"])
def test_trading_with_oneself_moves_no_price(matching: str) -> None:
    world = World(make_genesis(matching=matching))
    world.fund("actor")
    bid = Sealed(world, "actor", buy(5_000, 7), tier=5, salt=b"\x01" * 32)
    ask = Sealed(world, "actor", Place(0, SELL, 10, 7, IOC), hold=HOLD_BASE, tier=1)
    world.block(bid.commit, ask.commit)
    world.block()
    assert not world.block(bid.open(), ask.open()).fills


@pytest.mark.parametrize("matching", ["uniform", "shuffle"])
def test_a_batch_of_one_actors_accounts_trades_inside_the_book_and_pays_both_fees(
    matching: str,
) -> None:
    """Two accounts of one actor, alone in a batch, want a print far away from the market."""
    world = World(make_genesis(matching=matching))
    world.fund("maker", "left", "right")
    world.block(
        world.act("maker", Place(0, SELL, 1_000, 50, POST_ONLY), Place(0, BUY, 990, 50, POST_ONLY))
    )
    high = Sealed(world, "left", buy(5_000, 7), tier=5, salt=b"\x01" * 32)
    low = Sealed(world, "right", Place(0, SELL, 10, 7, IOC), hold=HOLD_BASE, tier=1)
    world.block(high.commit, low.commit)
    world.block()
    fills: list[Fill] = list(world.block(high.open(), low.open()).fills)
    assert fills
    assert all(990 <= fill.price <= 1_000 for fill in fills)
    assert all(fill.taker_fee > 0 for fill in fills)
    before = 10**12
    assert sum(world.balance("left", QUOTE)) < before
    assert sum(world.balance("right", BASE)) < before


def test_a_bought_batch_leaves_everybody_elses_orders_alone() -> None:
    """Filling a batch with commits of one's own neither delays nor displaces a taker in it."""
    world = World(make_genesis(matching="uniform"))
    world.fund("maker", "victim", "flooder")
    world.block(world.act("maker", Place(0, SELL, 1_000, 5, GTC)))
    mine = Sealed(world, "victim", buy(1_000, 5), hold=HOLD_QUOTE)
    floods = [
        Sealed(world, "flooder", buy(900, 1), tier=3, salt=bytes([n]) * 32) for n in range(20)
    ]
    world.block(*(one.commit for one in floods[:10]), mine.commit)
    world.block(*(one.commit for one in floods[10:]))
    world.block(mine.open())  # the flooder keeps its own shut: the window decides, not the flooder
    filled = 0
    for _ in range(40):
        filled += sum(fill.size for fill in world.block().fills)
    assert filled == 5
    assert world.insurance(QUOTE) > 0  # and the withheld openings paid
