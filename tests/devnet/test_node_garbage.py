"""Check that a running node survives hostile bytes on every door and keeps finalizing.

Rule: after every attack the same processes are alive, have written no error, and finalize further
blocks; whoever can be answered was told clearly what was wrong.
Spec: docs/spec/p2p.md; docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
import trio
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr
from trio_websocket import open_websocket_url

from consensus.certificate import Certificate
from consensus.journal import scan_journal
from consensus.messages import encode_message
from consensus.records import JournalRecord, decode_record
from consensus.vote import Vote
from contracts.registry_client import RegistryClient
from contracts.rpc import HttpRpc
from devnet.ports import is_free
from exchange.actions import CancelAll, Place
from exchange.limits import NONCE_PAST_MS_MAX
from node.wire import FrameKind, encode_frame
from p2p.config import KnownValidator, NetworkConfig
from p2p.host import to_id
from p2p.lanes import LANES, Lane
from p2p.network import Network
from primitives.eip712 import network_domain
from primitives.secp256k1 import PrivateKey
from tests.devnet.attacks import DEEP, LONG, WIDE, damage, frames, lies, two_faced_votes
from tests.devnet.local_devnet import ANSWER_S, PATIENCE_S, LocalDevnet
from tests.devnet.member import LOW_PRICE, MARKET, Member, as_json
from tests.p2p.p2p_world import closes, open_raw, stranger

pytestmark = pytest.mark.processes

SEED = 11
HEAD = b"Host: 127.0.0.1\r\n"
UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
TRUE_WORDS = ("v0", "v1", "v2")  # v3 is the one that lies
LIAR = 3


@pytest.fixture(scope="module")
def devnet(new_devnet: Callable[[], LocalDevnet]) -> LocalDevnet:
    devnet = new_devnet()
    devnet.up("--epoch", "100000")  # what is forged here is of the first epoch
    return devnet


@pytest.fixture(scope="module")
def member(devnet: LocalDevnet) -> Member:
    member = Member(devnet)
    member.join()
    return member


@pytest.fixture
def dice() -> random.Random:
    return random.Random(SEED)


@pytest.fixture(autouse=True)
def _stays_up(devnet: LocalDevnet, member: Member) -> Iterator[None]:
    """The same processes go on, without an error in their logs, and still take orders."""
    pids = {name: devnet.folder.processes.pid(name) for name in TRUE_WORDS}
    written = {name: len(log_of(devnet, name)) for name in TRUE_WORDS}
    yield
    assert {name: devnet.folder.processes.pid(name) for name in TRUE_WORDS} == pids
    assert None not in pids.values()
    devnet.wait_final(max(devnet.finals(TRUE_WORDS)) + 3, TRUE_WORDS)
    member.place("v0")
    for name in TRUE_WORDS:
        news = log_of(devnet, name)[written[name] :]
        bad = [line for line in news.splitlines() if is_bad(line)]
        assert not bad, f"{name} wrote {bad[:5]}"


def log_of(devnet: LocalDevnet, name: str) -> str:
    return (devnet.folder.root / "logs" / f"{name}.log").read_text(errors="replace")


def is_bad(line: str) -> bool:
    if "conflicting votes" in line:
        return False  # the truth about v3
    return " ERROR " in line or "Traceback" in line


# The p2p port


async def send_tcp(port: int, data: bytes, wait_s: float = 0.2) -> bytes:
    """Send bytes; return what comes back until the node closes or is silent for a moment."""
    answer = b""
    with suppress(trio.BrokenResourceError):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            with trio.move_on_after(ANSWER_S):
                await stream.send_all(data)
            while len(answer) < 1 << 16:
                with trio.move_on_after(wait_s) as silence:
                    chunk = await stream.receive_some(1 << 16)
                if silence.cancelled_caught or not chunk:
                    break
                answer += chunk
    return answer


async def test_raw_bytes_on_the_p2p_port(
    devnet: LocalDevnet, dice: random.Random, soak: int
) -> None:
    port = devnet.plan.validators[0].p2p_port
    select = b"\x13/multistream/1.0.0\n"
    openings = (b"", select, select + b"\x07/noise\n", select + b"\x04na\n", b"GET / HTTP/1.1\r\n")
    for number in range(40 * soak):
        await send_tcp(port, openings[number % 5] + dice.randbytes(dice.randrange(1, 5_000)), 0.02)
    for data in (b"\xff" * 100_000, b"\0" * 100_000, select * 2_000, b"\xff\xff\xff\xff\x0f"):
        await send_tcp(port, data)


async def test_many_silent_connections_on_the_p2p_port(devnet: LocalDevnet) -> None:
    port = devnet.plan.validators[1].p2p_port
    streams = []
    try:
        for _ in range(100):
            with suppress(OSError):
                streams.append(await trio.open_tcp_stream("127.0.0.1", port))
        reached = max(devnet.finals(TRUE_WORDS))
        await trio.to_thread.run_sync(devnet.wait_final, reached + 5, TRUE_WORDS)
    finally:
        for stream in streams:
            await stream.aclose()


async def test_garbage_on_every_libp2p_protocol(
    devnet: LocalDevnet, dice: random.Random, soak: int
) -> None:
    seat = devnet.plan.validators[0]
    protocols = [rules.protocol for rules in LANES.values()]
    protocols += ["/meshsub/1.1.0", "/ipfs/bitswap/1.2.0", "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"]
    bodies = [b"", DEEP, WIDE, b"\xff\xff\xff\x7f", b"\0\0\0\x05abc"]
    bodies += [dice.randbytes(300) for _ in range(soak)]
    opened = dict.fromkeys(protocols, 0)
    for body in bodies:
        for protocol in protocols:
            # A stranger who has misbehaved is not talked to for a while: each comes but once.
            async with stranger(dice.randbytes(32)) as host:
                with suppress(Exception), trio.move_on_after(ANSWER_S):
                    peer = await reach(host, seat.peer_id, seat.p2p_port)
                    stream = await open_raw(host, peer, protocol)
                    opened[protocol] += 1
                    await stream.write(body)
                    with trio.move_on_after(0.2):
                        await closes(stream)
    assert all(count == len(bodies) for count in opened.values()), opened


async def reach(host: Any, peer_id: str, port: int) -> Any:
    peer = to_id(peer_id)
    host.get_network().unblock_peer(peer)
    await host.connect(PeerInfo(peer, [Multiaddr(f"/ip4/127.0.0.1/tcp/{port}")]))
    return peer


# A validator of the committee that lies


@asynccontextmanager
async def liar(devnet: LocalDevnet) -> AsyncIterator[tuple[Network, list[JournalRecord]]]:
    """Be v3, with its keys and its lanes, while the true v3 is down."""
    plan = devnet.plan
    if devnet.folder.processes.is_alive("v3"):
        devnet.kill("v3")
        devnet.until(lambda: is_free(plan.validators[LIAR].p2p_port), "v3's port is free")
    path = devnet.folder.data("v3").chain / "journal" / "00000001.log"
    records = [decode_record(data) for data in scan_journal(path.read_bytes()).records]
    seat = plan.validators[LIAR]
    config = NetworkConfig(
        network_id=plan.network_id,
        seed=seat.seed,
        signer=seat.key,
        listen=(f"/ip4/127.0.0.1/tcp/{seat.p2p_port}",),
        validators=tuple(
            KnownValidator(
                address=other.key.address,
                peer_id=other.peer_id,
                multiaddrs=(f"/ip4/127.0.0.1/tcp/{other.p2p_port}",),
            )
            for other in plan.validators
        ),
    )
    async with Network(config) as network:
        await connected(devnet, network)
        yield network, records


async def connected(devnet: LocalDevnet, network: Network) -> None:
    """Wait until the three others take what v3 sends; they are told to forgive it."""
    with trio.fail_after(PATIENCE_S):
        while not all(peer.sending for peer in network.peers()):
            forgive(devnet)
            await trio.sleep(0.2)


def forgive(devnet: LocalDevnet) -> None:
    address = "0x" + devnet.plan.validators[LIAR].key.address.hex()
    for name in TRUE_WORDS:
        status, _ = devnet.fetch(
            name,
            "/v1/operator/peers/ban",
            {"peer": address, "banned": False},
            token=devnet.folder.data(name).token(),
        )
        assert status == 200


async def spread(devnet: LocalDevnet, network: Network, lane: Lane, frame: bytes) -> None:
    """Send to all three; when they have cut v3 off, come back."""
    limit = LANES[lane].message_bytes_max
    if network.broadcast(lane, frame[:limit] or b"\0") < 3:
        await connected(devnet, network)
    await trio.sleep(0)


async def test_a_committee_member_that_sends_garbage(
    devnet: LocalDevnet, dice: random.Random, soak: int
) -> None:
    async with liar(devnet) as (network, records):
        true_bodies = [
            encode_message(r) for r in records[-200:] if isinstance(r, Vote | Certificate)
        ]
        bundles = stored_bundles(devnet)
        for number, frame in enumerate(frames(true_bodies + bundles, dice, 600 * soak)):
            await spread(devnet, network, dice.choice((Lane.VOTE, Lane.BULK)), frame)
            if number % 50 == 49:
                await connected(devnet, network)
                await trio.sleep(0.05)


async def test_a_committee_member_that_sends_well_formed_lies(
    devnet: LocalDevnet, dice: random.Random, soak: int
) -> None:
    async with liar(devnet) as (network, records):
        for _ in range(5 * soak):
            for message in lies(records, LIAR, dice):
                frame = encode_frame(FrameKind.CONSENSUS, message)
                await spread(devnet, network, dice.choice((Lane.VOTE, Lane.BULK)), frame)
            await connected(devnet, network)
            await trio.sleep(0.1)


async def test_a_committee_member_with_two_faces(
    devnet: LocalDevnet, dice: random.Random, soak: int
) -> None:
    domain = network_domain(devnet.plan.network_id)
    key = devnet.plan.validators[LIAR].key
    async with liar(devnet) as (network, _):
        for _ in range(10 * soak):
            view = devnet.read("v0", "/v1/status")["view"]
            for ahead in range(8):
                for vote in two_faced_votes(key, LIAR, domain, 1, view + ahead, dice):
                    frame = encode_frame(FrameKind.CONSENSUS, vote)
                    others = [p.address for p in network.peers()]
                    network.send(dice.choice(others), Lane.VOTE, frame)
                    await trio.sleep(0)
            await trio.sleep(0.2)


def test_the_registry_has_punished_the_liar_and_nobody_else(devnet: LocalDevnet) -> None:
    plan = devnet.plan
    rpc = HttpRpc(devnet.record.rpc)
    registry = RegistryClient(
        rpc,
        chain_id=devnet.record.chain_id,
        registry=plan.deployment.registry,
        network_id=plan.network_id,
    )

    def stakes() -> list[int]:
        found = [registry.find(seat.payout.address) for seat in plan.validators]
        return [one.stake for one in found if one is not None]

    try:
        devnet.until(lambda: stakes()[LIAR] < stakes()[0], "v3 is slashed")
        first, *others = stakes()[:LIAR]
        assert others == [first, first], "the honest ones have what they staked"
        assert stakes()[LIAR] <= first * 95 // 100
    finally:
        rpc.close()
    address = "0x" + plan.validators[LIAR].key.address.hex()
    devnet.until(
        lambda: int(devnet.read("v0", f"/v1/validators/{address}/score")["stake"]) < first,
        "the slashing is attested on the ledger",
    )
    assert devnet.read("v0", f"/v1/validators/{address}/score")["is_convicted"]


async def test_the_true_validator_is_taken_back(devnet: LocalDevnet) -> None:
    if not devnet.folder.processes.is_alive("v3"):
        devnet.start("v3")
    forgive(devnet)
    devnet.wait_final(max(devnet.finals(TRUE_WORDS)), ("v3",))


def stored_bundles(devnet: LocalDevnet) -> list[bytes]:
    found: list[bytes] = []
    for path in (devnet.folder.data("v3").chain / "bundles").glob("*.log"):
        found += scan_journal(path.read_bytes()).records[-20:]
    return found


# HTTP


RAW_HTTP = (
    b"\0" * 4_096,
    b"GET",
    b"GET / HTTP/9.9\r\n" + HEAD + b"\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"b" * 100_000 + b"\r\n\r\n",
    b"POST /v1/actions HTTP/1.1\r\n" + HEAD + b"Content-Length: 99999999999999999999\r\n\r\n",
    b"POST /v1/actions HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 500,
    UPGRADE + b"\xff" * 2_000,
    UPGRADE + b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
    UPGRADE + b"\x81\x82\0\0\0\0\xff\xfe",
)


async def test_malformed_http(devnet: LocalDevnet, dice: random.Random, soak: int) -> None:
    port = devnet.plan.validators[0].api_port
    for data in RAW_HTTP:
        answer = await send_tcp(port, data)
        assert not answer.startswith(b"HTTP/1.1 5"), answer[:200]
    for number in range(40 * soak):
        prefix = (b"", b"GET / HTTP/1.1\r\n" + HEAD, UPGRADE, b"POST /v1/actions HTTP/1.1\r\n")
        data = prefix[number % 4] + dice.randbytes(dice.randrange(1, 3_000))
        answer = await send_tcp(port, data, 0.02)
        assert not answer.startswith(b"HTTP/1.1 5"), answer[:200]


def test_questions_about_nothing_are_answered_clearly(devnet: LocalDevnet) -> None:
    huge = 10**40
    for path in (
        "/v1/nothing",
        f"/v1/blocks?from={huge}",
        "/v1/blocks?limit=-1",
        "/v1/blocks?limit=1e3",
        f"/v1/blocks/{huge}",
        "/v1/blocks/0x" + "00" * 32,
        "/v1/blocks/999999999",
        "/v1/markets/99/book",
        "/v1/markets/%00/book",
        f"/v1/markets/0/book?depth={huge}",
        f"/v1/markets/0/trades?cursor={huge}",
        "/v1/markets/0/candles?interval_ms=0",
        "/v1/accounts/0x1234",
        "/v1/accounts/0x" + "11" * 20,
        "/v1/orders?account=nobody",
        "/v1/actions/0xzz",
        "/v1/actions/0x" + "00" * 32,
        f"/v1/settlement/withdrawals/{huge}/proof",
        "/v1/settlement/withdrawals/999999/proof",
        "/v1/chat/rooms/nowhere/messages",
        "/v1/chat/rooms/lobby/messages?cursor=%ff",
        "/v1/chat/direct/0x00",
        "/ipfs/notacid?format=raw",
        "/ipfs/bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e?format=raw",
        "/v1/operator/peers",
    ):
        status, body = devnet.fetch("v0", path)
        if path.startswith("/ipfs/"):
            assert 400 <= status < 500, (path, status, body)
            continue
        assert 400 <= status < 500, (path, status, body[:200])
        error = json.loads(body)["error"]
        assert set(error) == {"code", "message", "risk", "fix"}
        assert error["message"]
        assert error["fix"]


BAD_BODIES = (
    "[" * 100_000,
    '{"actions":' * 50_000,
    '{"actions":1e99999}',
    '{"actions":' + "9" * 10_000 + "}",
    '{"actions":[{"payload":"0x","signature":"0x"}]}',
    '{"actions":[]}',
    '{"actions":' + json.dumps([{"payload": "0x00", "signature": "0x" + "00" * 65}] * 101) + "}",
    '"\\ud800"',
    "",
    "null",
)


def test_bodies_that_are_none_are_refused(devnet: LocalDevnet) -> None:
    paths = ("/v1/actions", "/v1/sealed", "/v1/chat/rooms/lobby/messages")
    paths += ("/v1/chat/direct", "/v1/chat/prekeys")
    for path in paths:
        for body in BAD_BODIES:
            status, answer = devnet.fetch("v0", path, raw=body.encode("utf-8", "surrogatepass"))
            assert status in (400, 404, 413), (path, body[:30], status, answer[:200])
            assert set(json.loads(answer)["error"]) == {"code", "message", "risk", "fix"}


def test_actions_that_must_not_count_are_refused_with_their_reason(
    devnet: LocalDevnet, member: Member, dice: random.Random, soak: int
) -> None:
    good = member.sign_order()
    payload = good.payload
    foreign = Member(devnet, key=member.key)
    foreign._builder = type(member.builder)(
        domain=network_domain(b"\x07" * 32),
        credentials=member.builder._credentials,
        clock=member.builder._clock,
    )
    stranger_ = Member(devnet, key=PrivateKey.generate())
    old = Member(devnet, key=member.key)
    old._builder = type(member.builder)(
        domain=network_domain(devnet.plan.network_id),
        credentials=member.builder._credentials,
        clock=lambda: time.time_ns() // 1_000_000 - NONCE_PAST_MS_MAX - 60_000,
    )
    replayed = member.sign_order()
    assert member.send("v0", replayed)[0]["accepted"]
    devnet.until(lambda: member.confirm("v0", replayed.id), "it is executed")
    (again,) = member.send("v0", replayed)  # a client that lost the answer may repeat itself
    assert again["accepted"], again
    twin = Member(devnet, key=member.key)
    twin._builder = type(member.builder)(
        domain=network_domain(devnet.plan.network_id),
        credentials=member.builder._credentials,
        clock=lambda: replayed.nonce_ms,
    )
    cases = {
        "wrong_domain": foreign.sign_order(),
        "unknown_account": stranger_.sign_order(),
        "nonce_out_of_window": old.sign_order(),
        "nonce_used": twin.sign_order(size=2),
    }
    for code, action in cases.items():
        (result,) = member.send("v0", action)
        assert result["accepted"] is False
        assert result["code"] == code, result
        assert result["error"]
    bodies = [payload[:cut] for cut in range(1, len(payload), 7)]
    bodies += [damage(payload, dice) for _ in range(100 * soak)]
    bodies += [DEEP[:60_000], WIDE, LONG, b"\xc1"]
    wishes = [as_json(good) | {"payload": "0x" + body.hex()} for body in bodies if body]
    wishes += [as_json(good) | {"signature": "0x" + dice.randbytes(65).hex()} for _ in range(50)]
    for start in range(0, len(wishes), 50):
        part = {"actions": wishes[start : start + 50]}
        status, answer = devnet.fetch("v0", "/v1/actions", part)
        assert status in (200, 400, 413), answer[:200]
        if status == 200:
            assert not any(r["accepted"] for r in json.loads(answer)["results"])


def test_orders_with_absurd_numbers_are_rejected_one_by_one(
    devnet: LocalDevnet, member: Member
) -> None:
    top = (1 << 63) - 1
    wishes = [
        Place(MARKET, 0, price, size, 3)
        for price, size in ((top, 1), (1, top), (top, top), (0, 1), (1, 0), (LOW_PRICE, top))
    ]
    wishes.append(Place(4_000_000_000, 0, 1, 1, 3))
    for wish in wishes:
        try:
            action = member.builder.sign(wish)
        except Exception:
            continue  # what cannot even be encoded cannot be sent
        (result,) = member.send("v0", action)
        if not result["accepted"]:
            assert result["code"]
            continue
        receipt = devnet.until(lambda action=action: executed(devnet, action.id), "it is executed")
        assert receipt["statuses"][0]["code"] not in ("ok", "pending"), (wish, receipt)
    action = member.builder.sign(CancelAll(MARKET))
    assert member.send("v0", action)[0]["accepted"]
    devnet.until(lambda: executed(devnet, action.id), "cancelling works")
    member.placed.clear()


def executed(devnet: LocalDevnet, action_id: bytes) -> dict[str, Any] | None:
    receipt = devnet.ask("v0", f"/v1/actions/0x{action_id.hex()}")
    return receipt if receipt is not None and receipt["state"] == "executed" else None


# WebSocket


async def test_websocket_frames_that_are_none(
    devnet: LocalDevnet, dice: random.Random, soak: int
) -> None:
    url = devnet.url("v0").replace("http", "ws") + "/v1/ws"
    wishes: list[str | bytes] = [
        "",
        "[" * 100_000,
        '{"op":"subscribe","channel":"nothing"}',
        '{"op":"subscribe","channel":"book","market":99}',
        '{"op":"subscribe","channel":"book","market":' + "9" * 5_000 + "}",
        '{"op":"subscribe","channel":"account","account":"0x00"}',
        '{"op":"fly"}',
        '{"op":"submit","actions":[]}',
        '{"op":"submit","request":-1,"actions":[{"payload":"0x00","signature":"0x00"}]}',
        DEEP,
        WIDE,
        LONG,
        b"\x81\xa2op\xa9subscribe",
        *(dice.randbytes(dice.randrange(1, 500)) for _ in range(60 * soak)),
    ]
    for wish in wishes:
        async with open_websocket_url(url) as socket:
            await socket.send_message(wish)
            with trio.move_on_after(ANSWER_S) as late:
                answer = await socket.get_message()
            assert not late.cancelled_caught, f"no answer to {wish[:40]!r}"
            fields = (
                json.loads(answer) if isinstance(answer, str) else msgspec.msgpack.decode(answer)
            )
            assert fields["error"]["code"], fields


async def test_a_websocket_that_only_sends_garbage_is_closed(devnet: LocalDevnet) -> None:
    port = devnet.plan.validators[0].api_port
    frame = b"\x81\x81\0\0\0\0{"  # a text frame "{" with a mask of zeros
    answer = await send_frames(port, frame * 200)
    assert answer.count(b"bad_request") == 100
    assert (4003).to_bytes(2, "big") in answer.rpartition(b"\x88")[2]
    oversized = b"\x81\xff" + (3 << 20).to_bytes(8, "big") + b"\0\0\0\0" + b"x" * (3 << 20)
    answer = await send_frames(port, oversized)
    assert (1009).to_bytes(2, "big") in answer.rpartition(b"\x88")[2], answer[:100]  # too big


async def send_frames(port: int, data: bytes) -> bytes:
    """Upgrade, send bytes, and return what comes back up to a close frame."""
    answer = b""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(UPGRADE)
        while b"\r\n\r\n" not in answer:
            answer += await stream.receive_some(1 << 16)
        head, _, answer = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(push, stream, data)
            with suppress(trio.BrokenResourceError), trio.move_on_after(ANSWER_S):
                while b"\x88" not in answer and (chunk := await stream.receive_some(1 << 16)):
                    answer += chunk
            nursery.cancel_scope.cancel()
    return answer


async def push(stream: trio.SocketStream, data: bytes) -> None:
    with suppress(trio.BrokenResourceError):
        await stream.send_all(data)
