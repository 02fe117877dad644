"""Bitswap between nodes in memory: who is asked, what is served, and what a bad peer cannot do."""

from __future__ import annotations

import random

import pytest
import trio

from primitives.cid import Cid, encode_varint
from primitives.errors import PeerError, TransientError
from storage import limits
from storage.bitswap_wire import Entry, Frames, decode_message, encode_message
from tests.storage.memory_streams import MemoryNetwork

BLOCK = b"block"
CID = Cid.raw(BLOCK)
HELD = {CID: BLOCK}


@pytest.fixture
async def network(nursery):
    return MemoryNetwork(nursery)


class Stranger:
    """A peer whose messages the test writes; answers are collected from its inbound streams."""

    def __init__(self, network, name="stranger"):
        self.streams = network.join(name)
        self.messages = []
        self.reply = None
        self.streams.serve(self.listen)

    async def listen(self, peer, stream):
        frames = Frames()
        try:
            while data := await stream.read(1 << 16):
                for body in frames.feed(data):
                    self.messages.append(decode_message(body))
                    if self.reply is not None:
                        await self.reply(peer, self.messages[-1])
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def say(self, peer, data):
        stream = await self.streams.open(peer)
        await stream.write(data)
        return stream


async def settle():
    await trio.testing.wait_all_tasks_blocked()


async def test_block_comes_from_a_peer_that_has_it(network, autojump_clock):
    await network.add("a", HELD)
    b = await network.add("b")
    assert await b.fetch(CID) == BLOCK
    assert network.opened == [("b", "a"), ("a", "b")]


async def test_local_block_asks_nobody(network, autojump_clock):
    await network.add("a", HELD)
    b = await network.add("b", HELD)
    assert await b.fetch(CID) == BLOCK
    assert network.opened == []


async def test_peers_are_asked_in_order_until_one_has_it(network, autojump_clock):
    for name in "xyz":
        await network.add(name)
    await network.add("a", HELD)
    b = await network.add("b")
    start = trio.current_time()
    assert await b.fetch(CID, ["x", "y", "z", "a"]) == BLOCK
    assert trio.current_time() - start < 0.1  # refusals cost no waiting


async def test_when_all_say_no_the_fetch_fails_at_once(network, autojump_clock):
    for name in "xyz":
        await network.add(name)
    b = await network.add("b")
    start = trio.current_time()
    with pytest.raises(TransientError, match="no peer has"):
        await b.fetch(CID)
    assert trio.current_time() - start < 0.1


async def test_without_peers_the_fetch_fails_at_once(network, autojump_clock):
    b = await network.add("b")
    with pytest.raises(TransientError, match="no peer has"):
        await b.fetch(CID)
    with pytest.raises(TransientError, match="no peer has"):
        await b.fetch(CID, ["away"])


async def test_silent_peer_delays_by_one_retry_only(network, autojump_clock):
    Stranger(network, "silent")
    await network.add("a", HELD)
    b = await network.add("b")
    start = trio.current_time()
    assert await b.fetch(CID, ["silent", "a"]) == BLOCK
    assert limits.WANT_RETRY_S <= trio.current_time() - start < limits.WANT_RETRY_S + 0.1


async def test_silent_peers_alone_end_in_a_time_out_and_a_cancel(network, autojump_clock):
    silent = Stranger(network, "silent")
    b = await network.add("b")
    with pytest.raises(TransientError, match="within 3 s"):
        await b.fetch(CID, ["silent"], timeout_s=3)
    await settle()
    entries = [entry for message in silent.messages for entry in message.entries]
    assert [entry.cancel for entry in entries] == [False, True]


async def test_many_fetches_of_one_block_ask_once(network, autojump_clock):
    a = Stranger(network, "a")
    b = await network.add("b")

    async def reply(peer, message):
        for _ in [entry for entry in message.entries if not entry.cancel]:
            await a.say(peer, encode_message(blocks=[(CID.encode(), BLOCK)]))

    a.reply = reply
    got = []

    async def fetch():
        got.append(await b.fetch(CID))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(fetch)
    assert got == [BLOCK] * 20
    assert sum(len(message.entries) for message in a.messages) == 1


async def test_fetch_goes_on_for_the_others_when_the_first_is_cancelled(network, autojump_clock):
    a = Stranger(network, "a")
    b = await network.add("b")
    got = []
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            nursery.start_soon(fetch_after, b, 0.5, got)
            await b.fetch(CID)
        await settle()
        await a.say("b", encode_message(blocks=[(CID.encode(), BLOCK)]))
    assert got == [BLOCK]


async def fetch_after(node, seconds, got):
    await trio.sleep(seconds)
    got.append(await node.fetch(CID))


async def test_wrong_block_is_ignored_and_the_right_one_taken(network, autojump_clock):
    a = Stranger(network, "a")
    b = await network.add("b")

    async def reply(peer, message):
        if not message.entries[0].cancel:
            await a.say(peer, encode_message(blocks=[(CID.encode(), b"forged")]))
            await a.say(peer, encode_message(blocks=[(CID.encode(), BLOCK)]))

    a.reply = reply
    assert await b.fetch(CID) == BLOCK
    assert b.unwanted_blocks == 1


async def test_large_and_many_blocks_arrive_whole(network, autojump_clock):
    r = random.Random(1)
    blocks = [r.randbytes(size) for size in [1 << 20] * 6 + [1, 100, 2 << 20] + [50] * 300]
    held = {Cid.raw(block): block for block in blocks}
    await network.add("a", held)
    b = await network.add("b")
    got = {}

    async def fetch(cid):
        got[cid] = await b.fetch(cid, timeout_s=60)

    async with trio.open_nursery() as nursery:
        for cid in held:
            nursery.start_soon(fetch, cid)
    assert got == held


async def test_peer_is_told_have_or_dont_have_or_gets_the_block(network, autojump_clock):
    await network.add("a", HELD)
    stranger = Stranger(network)
    other = Cid.raw(b"other").encode()
    old = b"\x12\x20" + CID.digest
    entries = [
        Entry(cid=CID.encode(), want_have=True),
        Entry(cid=other, want_have=True, send_dont_have=True),
        Entry(cid=b"\x01\x55\x00\x01a", send_dont_have=True),
        Entry(cid=other + b"", send_dont_have=False, want_have=False),
        Entry(cid=old),
    ]
    await stranger.say("a", encode_message(entries=entries[:3]))
    await settle()
    await stranger.say("a", encode_message(entries=entries[3:]))
    await settle()
    haves = {cid for m in stranger.messages for cid in m.haves}
    dont_haves = {cid for m in stranger.messages for cid in m.dont_haves}
    assert (haves, dont_haves) == ({CID.encode()}, {other, b"\x01\x55\x00\x01a"})
    assert [block for m in stranger.messages for block in m.blocks] == [BLOCK]


async def test_block_that_comes_later_is_sent_to_who_waits(network, autojump_clock):
    a = await network.add("a")
    stranger = Stranger(network)
    await stranger.say("a", encode_message(entries=[Entry(cid=CID.encode())]))
    await settle()
    assert stranger.messages == []
    a._source.blocks[CID] = BLOCK
    a.announce(CID)
    await settle()
    assert [m.blocks for m in stranger.messages] == [(BLOCK,)]


async def write_until_cut_off(stream, pause_s):
    try:
        for _ in range(100):
            await stream.write(b"\x0a")
            await trio.sleep(pause_s)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return
    pytest.fail("the stream stayed open")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 64,
        encode_varint(limits.MESSAGE_BYTES_MAX + 1) + b"x",
        b"\x05hello",
        encode_message(entries=[Entry(cid=b"c" * 65)]),
        encode_message(entries=[Entry(cid=CID.encode())] * (limits.WANTLIST_ENTRIES_MAX + 1)),
        encode_message(blocks=[(CID.encode(), b"%d" % i) for i in range(300)]),
    ],
    ids=["endless", "huge", "junk", "long cid", "many wants", "unasked blocks"],
)
async def test_bad_peer_loses_its_stream_and_nothing_else(network, autojump_clock, data):
    faults = []
    a = await network.add("a", HELD, on_fault=lambda peer, error: faults.append((peer, error)))
    b = await network.add("b")
    stranger = Stranger(network)
    stream = await stranger.say("a", data)
    await write_until_cut_off(stream, pause_s=0.1)
    ((peer, error),) = faults
    assert peer == "stranger"
    assert isinstance(error, PeerError)
    assert await b.fetch(CID) == BLOCK
    assert set(a._inbound) == {"b"}


async def test_slow_message_is_cut_off(network, autojump_clock):
    faults = []
    await network.add("a", on_fault=lambda peer, error: faults.append(error))
    stream = await Stranger(network).say("a", encode_varint(1_000))
    start = trio.current_time()
    await write_until_cut_off(stream, pause_s=5)
    assert trio.current_time() - start < limits.MESSAGE_TIMEOUT_S + 10
    assert "too long" in str(faults[0])


async def test_idle_stream_is_closed_without_blame(network, autojump_clock):
    faults = []
    await network.add("a", on_fault=lambda peer, error: faults.append(error))
    stream = await Stranger(network).say("a", encode_message(entries=[Entry(cid=CID.encode())]))
    start = trio.current_time()
    assert await stream.read(1) == b""
    assert trio.current_time() - start == pytest.approx(limits.IDLE_TIMEOUT_S, abs=1)
    assert faults == []


async def test_streams_of_one_peer_are_bounded(network, autojump_clock):
    a = await network.add("a", HELD)
    stranger = Stranger(network)
    streams = [await stranger.streams.open("a") for _ in range(limits.STREAMS_PER_PEER_MAX + 3)]
    await settle()
    assert a._inbound["stranger"] == limits.STREAMS_PER_PEER_MAX
    assert [await stream.read(1) for stream in streams[-3:]] == [b""] * 3


async def test_conversations_are_bounded(network, autojump_clock, monkeypatch):
    monkeypatch.setattr(limits, "BITSWAP_PEERS_MAX", 3)
    a = await network.add("a", HELD)
    faults = []
    a._on_fault = lambda peer, error: faults.append(peer)
    for number in range(6):
        stranger = Stranger(network, f"s{number}")
        await stranger.say("a", encode_message(entries=[Entry(cid=CID.encode())]))
        await settle()
    assert len(a._conversations) == 3
    assert len(faults) == 3


class StuckStream:
    """The stream of a peer that was stopped: nothing returns."""

    async def read(self, n=0):
        await trio.sleep_forever()

    write = read
    close = reset = read


async def test_peer_that_stops_reading_is_reported_and_dropped(network, autojump_clock):
    stalled = []
    a = await network.add("a", HELD, on_stall=stalled.append)
    b = await network.add("b")
    stranger = Stranger(network)
    open_any = a._streams.open

    async def open_stuck(peer):
        return StuckStream() if peer == "stranger" else await open_any(peer)

    a._streams.open = open_stuck
    await stranger.say("a", encode_message(entries=[Entry(cid=CID.encode())]))
    await trio.sleep(limits.WRITE_TIMEOUT_S / 2)
    assert await b.fetch(CID, ["a"]) == BLOCK
    await trio.sleep(limits.WRITE_TIMEOUT_S * 5)
    assert set(stalled) == {"stranger"}
    assert "stranger" not in a._conversations


async def test_stream_that_breaks_is_opened_again_and_wants_are_repeated(network, autojump_clock):
    a = Stranger(network, "a")
    b = await network.add("b")
    lives = []

    async def listen_once_then_answer(peer, stream):
        lives.append(peer)
        await stream.read(1 << 16)
        await stream.close()
        if len(lives) == 2:
            await a.say("b", encode_message(blocks=[(CID.encode(), BLOCK)]))

    a.streams.serve(listen_once_then_answer)
    assert await b.fetch(CID, ["a"]) == BLOCK
    assert len(lives) >= 2


async def test_peer_that_always_breaks_is_given_up(network, autojump_clock):
    a = Stranger(network, "a")
    b = await network.add("b")
    lives = []

    async def break_off(peer, stream):
        lives.append(peer)
        await stream.close()

    a.streams.serve(break_off)
    start = trio.current_time()
    with pytest.raises(TransientError, match="no peer has"):
        await b.fetch(CID, ["a"])
    assert len(lives) <= 4
    assert trio.current_time() - start < limits.FETCH_TIMEOUT_S
    assert not b._conversations
    assert not b._fetches


async def test_unreadable_disk_is_no_block_and_no_crash(network, autojump_clock):
    a = await network.add("a", HELD)

    class BrokenDisk:
        async def get(self, cid):
            raise TransientError("disk error")

        size = get

    a._source = BrokenDisk()
    b = await network.add("b")
    with pytest.raises(TransientError, match="no peer has"):
        await b.fetch(CID)


async def test_stopping_in_the_middle_of_everything_is_quiet(autojump_clock):
    r = random.Random(2)
    held = {Cid.raw(block): block for block in (r.randbytes(1 << 18) for _ in range(40))}
    async with trio.open_nursery() as nursery:
        network = MemoryNetwork(nursery)
        await network.add("a", held)
        b = await network.add("b")
        for cid in held:
            nursery.start_soon(b.fetch, cid)
        for _ in range(30):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


async def test_a_peer_that_sends_more_fields_than_its_rate_waits_and_nobody_else(
    network, autojump_clock
):
    await network.add("a", HELD)
    invented = [Entry(cid=b"%036d" % i, priority=2, want_have=True) for i in range(1_000)]
    flood = encode_message(entries=invented)
    fields = decode_message(next(Frames().feed(flood))).fields
    stranger, friend = Stranger(network), await network.add("friend")
    began = trio.current_time()
    stream = await stranger.say("a", 4 * flood + encode_message(entries=[Entry(cid=CID.encode())]))
    assert await friend.fetch(CID) == BLOCK
    assert trio.current_time() - began < 0.1
    while not any(message.blocks for message in stranger.messages):
        await trio.sleep(0.1)
    due_s = (4 * fields - limits.FIELDS_AT_ONCE) / limits.FIELDS_PER_S
    assert trio.current_time() - began >= due_s
    await stream.close()


async def test_peers_that_say_nothing_cost_their_time_once(network, autojump_clock):
    """More of them than fit the time of one fetch: it fails, the next ones do not."""
    blocks = {Cid.raw(b"%d" % i): b"%d" % i for i in range(12)}
    silent = [Stranger(network, f"silent {i}") for i in range(8)]
    await network.add("honest", blocks)
    b = await network.add("b")
    order = [*(f"silent {i}" for i in range(len(silent))), "honest"]
    began, came = trio.current_time(), 0
    for cid, data in blocks.items():
        try:
            assert await b.fetch(cid, order) == data
            came += 1
        except TransientError:
            pass
    assert came >= len(blocks) - 2
    assert trio.current_time() - began <= 2 * limits.FETCH_TIMEOUT_S + limits.WANT_RETRY_S
