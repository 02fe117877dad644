"""Check that a devnet survives kills, pauses, partitions and an absent EVM chain.

Rule: every fault is a real one (a signal, a link that carries nothing); after each, all nodes must
tell the same chain they told before, and go on.
Spec: docs/spec/consensus.md; docs/reference/devnet.md (Faults). Deviations: none.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest

from consensus.guard import GuardVote
from consensus.guard import decode_record as decode_guard_record
from consensus.vote import Kind, Vote, digest_of
from devnet import faults
from devnet.limits import EPOCH_BLOCKS_MIN
from devnet.start import EVM
from primitives.eip712 import network_domain
from primitives.secp256k1 import verify_signature
from tests.devnet.local_devnet import MARGIN, LocalDevnet
from tests.devnet.member import Member, wait_s

pytestmark = pytest.mark.processes

BACK_S = 15  # a killed validator votes again within this time
LOOKS = 3  # that must tell the same before a network counts as still
QUIET_S = 4  # long enough for several views to time out
KILLS = 5  # of all four validators, in CI; times the soak factor
EVM_ABSENT_S = 12
SEED = 20_260_101


@pytest.fixture(scope="module")
def devnet(new_devnet: Callable[[], LocalDevnet]) -> LocalDevnet:
    devnet = new_devnet()
    devnet.up("--epoch", str(EPOCH_BLOCKS_MIN))
    return devnet


@pytest.fixture(scope="module")
def member(devnet: LocalDevnet) -> Member:
    member = Member(devnet)
    member.join()
    return member


@pytest.fixture(scope="module")
def history() -> dict[int, str]:
    """The hash of every final height, as any node has told it at any time."""
    return {}


@pytest.fixture(autouse=True)
def _one_chain(devnet: LocalDevnet, history: dict[int, str]):
    """After every test all validators are up again, on one chain, and on the one of before."""
    yield
    faults.resume(devnet.folder, (*devnet.names, EVM))
    faults.start(devnet.folder, devnet.record, (*devnet.names, EVM))
    faults.partition(devnet.folder, devnet.record, [set(devnet.names)])
    devnet.wait_final(max(devnet.finals()), promised_s=MARGIN * BACK_S)
    compare_chains(devnet, history)


def compare_chains(devnet: LocalDevnet, history: dict[int, str]) -> None:
    low = max(1, max(history, default=0) - 200)
    for name in devnet.names:
        for height, block_hash in devnet.hashes(name, low, devnet.final(name)).items():
            assert history.setdefault(height, block_hash) == block_hash, (
                f"{name} tells another block at height {height}"
            )


def test_the_others_go_on_without_one_and_it_comes_back(
    devnet: LocalDevnet, member: Member, record_property: Callable[[str, object], None]
) -> None:
    others = ("v0", "v1", "v3")
    devnet.command("kill", "v2")
    reached = max(devnet.finals(others))
    devnet.wait_final(reached + 5, others)
    member.place("v0")
    assert devnet.final("v2") == -1
    begin = time.monotonic()
    devnet.start("v2")

    def votes() -> bool:
        answer = devnet.ask("v2", "/v1/status")
        return (
            answer is not None
            and answer["ready"]
            and answer["final"] > reached
            and answer["validator"]["votes_sent"] > 0
        )

    devnet.until(votes, "v2 has caught up and votes", promised_s=MARGIN * BACK_S)
    record_property("back_s", round(time.monotonic() - begin, 1))
    member.verify_nothing_lost()


def test_two_of_four_finalize_nothing_and_lose_nothing(devnet: LocalDevnet, member: Member) -> None:
    member.place("v3")
    devnet.kill("v0", "v1")
    left = ("v2", "v3")
    reached = max(settle(devnet, left))
    accepted = member.sign_order()
    assert member.send("v2", accepted)[0]["accepted"], "a node without a quorum still takes orders"
    wait_s(QUIET_S)
    assert max(devnet.finals(left)) == reached
    assert not any(v.ready for v in devnet.look().validators)
    devnet.start("v0", "v1")
    devnet.wait_final(reached + 3, promised_s=MARGIN * BACK_S)
    devnet.until(lambda: member.confirm("v0", accepted.id), "the order is final")
    member.verify_nothing_lost()


def settle(devnet: LocalDevnet, names: Iterable[str]) -> list[int]:
    """Wait until what was under way has ended; return the final heights (one may be behind)."""
    before, same = devnet.finals(names), 0
    while same < LOOKS:
        wait_s(0.5)
        now = devnet.finals(names)
        same = same + 1 if now == before else 0
        before = now
    return before


def test_a_paused_validator_slows_the_others_by_no_more_than_time_outs(
    devnet: LocalDevnet, member: Member
) -> None:
    timers = devnet.plan.network.timers
    first = max(devnet.finals()) + 1
    watch = devnet.fair_time()
    devnet.pause("v1")
    others = ("v0", "v2", "v3")
    try:
        devnet.wait_final(first + 20, others, promised_s=MARGIN * 30)
        member.place("v3")
        last = min(devnet.finals(others))
        factor = watch.factor()
    finally:
        devnet.resume("v1")
    blocks = devnet.read("v0", f"/v1/blocks?from={last}&limit={last - first}")["blocks"]
    times = [block["time_ms"] for block in reversed(blocks)]
    gaps = [after - before for before, after in pairwise(times)]
    # The absent leader costs its leader time-out; a lost vote, the view's.
    one_view_ms = timers.leader_ms + timers.view_ms
    assert max(gaps) < MARGIN * one_view_ms * factor, (gaps, factor)
    assert sum(gap < timers.leader_ms * factor for gap in gaps) > len(gaps) // 3, (gaps, factor)
    devnet.wait_final(last, ("v1",), promised_s=MARGIN * BACK_S)


def test_all_four_killed_again_and_again_lose_no_final_order(
    devnet: LocalDevnet, member: Member, history: dict[int, str], soak: int
) -> None:
    dice = random.Random(SEED)
    for number in range(KILLS * soak):
        member.place(dice.choice(devnet.names))
        under_way = [member.sign_order() for _ in range(4)]
        for name, action in zip(devnet.names, under_way, strict=True):
            member.send(name, action)
        wait_s(dice.uniform(0, 1.5))
        reached = max(devnet.finals())
        compare_chains(devnet, history)
        power_cut(devnet, dice)
        devnet.start(*devnet.names)
        devnet.wait_final(reached + 2, promised_s=MARGIN * 2 * BACK_S)
        compare_chains(devnet, history)
        for action in under_way:
            member.confirm("v0", action.id)
        member.verify_nothing_lost()
        print(f"seed {SEED}, kill {number + 1}: final {reached}, orders {len(member.placed)}")


def power_cut(devnet: LocalDevnet, dice: random.Random) -> None:
    """Kill all validators within a few milliseconds, in any order."""
    table = devnet.folder.processes
    for name in dice.sample(devnet.names, len(devnet.names)):
        assert table.send(name, signal.SIGKILL)
        wait_s(dice.choice((0, 0, 0.005, 0.05)))
    devnet.until(lambda: not any(map(table.is_alive, devnet.names)), "all are gone")


def test_a_partition_without_quorum_finalizes_nothing(devnet: LocalDevnet, member: Member) -> None:
    devnet.command("partition", "v0,v1", "v2,v3")
    try:
        reached = max(settle(devnet, devnet.names))
        wait_s(QUIET_S)
        assert max(devnet.finals()) == reached
        assert not any(v.ready for v in devnet.look().validators)
    finally:
        devnet.command("partition", "--heal")
    devnet.wait_final(reached + 3, promised_s=MARGIN * BACK_S)
    member.place("v1")


def test_a_minority_of_one_follows_only_after_the_healing(
    devnet: LocalDevnet, member: Member
) -> None:
    devnet.command("partition", "v3")
    try:
        (alone,) = settle(devnet, ("v3",))
        devnet.wait_final(alone + 5, ("v0", "v1", "v2"))
        member.place("v1")
        assert devnet.final("v3") == alone
    finally:
        devnet.command("partition", "--heal")
    devnet.wait_final(alone + 5, ("v3",), promised_s=MARGIN * BACK_S)
    member.verify_nothing_lost()


@pytest.mark.parametrize("verbs", [("pause", "resume"), ("kill", "start")])
def test_trading_goes_on_without_the_evm_chain_and_checkpoints_catch_up(
    devnet: LocalDevnet, member: Member, verbs: tuple[str, str], soak: int
) -> None:
    stop, go_on = verbs
    devnet.until(
        lambda: devnet.look().settlement.checkpoints, "a first checkpoint", promised_s=MARGIN * 40
    )
    devnet.command(stop, "evm")
    try:
        trade_for(member, EVM_ABSENT_S / 2)  # what was on its way to the nodes has arrived
        before, settled = devnet.look(), checkpoints(devnet)
        trade_for(member, EVM_ABSENT_S * min(soak, 5))
        devnet.until(lambda: trades(devnet.look()) > trades(before), "demo traders trade")
        assert checkpoints(devnet) == settled
        devnet.until(lambda: all(v.ready for v in devnet.look().validators), "all are ready")
        reached = min(devnet.finals())
    finally:
        devnet.command(go_on, "evm")
    devnet.until(
        lambda: devnet.look().settlement.height >= reached,
        f"a checkpoint beyond {reached}",
        promised_s=MARGIN * 40,
    )


def trade_for(member: Member, seconds: float) -> None:
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        member.place("v0")
        wait_s(0.5)


def checkpoints(devnet: LocalDevnet) -> list[int]:
    """What each node knows to be accepted; one may have heard of the last ones later."""
    return [devnet.read(name, "/v1/settlement")["checkpoints"] for name in devnet.names]


def trades(status: object) -> int:
    return sum(market.trades for market in status.markets)  # type: ignore[attr-defined]


def test_nobody_has_ever_voted_twice(devnet: LocalDevnet) -> None:
    """The last one: it stops the devnet and reads journals and signing guards."""
    devnet.command("down")
    domain = network_domain(devnet.plan.network_id)
    for index, name in enumerate(devnet.names):
        votes = devnet.journaled_votes(name)
        assert len(votes) > 100
        signed: dict[tuple[int, int, Kind], bytes] = {}
        for vote in votes:
            digest = digest_of(vote, domain)
            verify_signature(digest, vote.signature, devnet.plan.validators[index].key.address)
            place = (vote.epoch, vote.view, vote.kind)
            assert signed.setdefault(place, digest) == digest, f"{name} voted twice: {place}"
        verify_order(name, votes)
        for record in guard_records(devnet, name):
            place = (record.epoch, record.view, record.kind)
            assert signed.get(place) == record.digest, f"{name}: guard without journal: {place}"
    devnet.up("--epoch", str(EPOCH_BLOCKS_MIN))


def verify_order(name: str, votes: list[Vote]) -> None:
    """No notarize or finalize vote after a nullify vote of the view, no nullify after finalize."""
    seen: dict[tuple[int, int], set[Kind]] = {}
    for vote in votes:
        kinds = seen.setdefault((vote.epoch, vote.view), set())
        if vote.kind in kinds:
            continue  # the same bytes again
        clash = Kind.FINALIZE if vote.kind is Kind.NULLIFY else Kind.NULLIFY
        assert clash not in kinds, f"{name}: {vote.kind.name} after {clash.name} in {vote.view}"
        kinds.add(vote.kind)


def guard_records(devnet: LocalDevnet, name: str) -> list[GuardVote]:
    path = devnet.folder.data(name).signing / "signing.sqlite"
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT record FROM records ORDER BY id").fetchall()
    finally:
        connection.close()
    records = [decode_guard_record(bytes(row[0])) for row in rows]
    return [record for record in records if isinstance(record, GuardVote)]
