"""What no peer gives comes from a gateway, and a gateway is believed nothing.

Rule: real sockets on this machine; a gateway's answer is what the test says it is.
Spec: docs/spec/storage.md#gateway. Deviations: none.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest

from primitives.cid import Cid
from primitives.errors import ConfigError, TransientError
from storage import limits
from storage.block_store import SNAPSHOT, BlockStore
from storage.gateway_client import GatewayClient, read_in_time
from storage.snapshot_fetch import fetch_snapshot
from storage.snapshots import Snapshots
from tests.storage.memory_streams import MemoryNetwork

Answer = Callable[[str], tuple[int, bytes]]


class Gateways:
    """HTTP servers, ended with the test."""

    def __init__(self) -> None:
        self.servers: list[ThreadingHTTPServer] = []
        self.asked: list[str] = []

    def open(self, answer: Answer) -> str:
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                status, body = answer(self.path.removeprefix("/ipfs/").partition("?")[0])
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"


@pytest.fixture
def gateways() -> Iterator[Gateways]:
    made = Gateways()
    yield made
    for server in made.servers:
        server.shutdown()
        server.server_close()


def serve(store: BlockStore) -> Answer:
    def answer(name: str) -> tuple[int, bytes]:
        data = store.get(Cid.parse(name))
        return (404, b"") if data is None else (200, data)

    return answer


async def test_a_snapshot_that_no_peer_has_comes_from_the_second_gateway(
    nursery, tmp_path, gateways: Gateways
):
    remote, local = BlockStore(tmp_path / "a.sqlite"), BlockStore(tmp_path / "b.sqlite")
    manifest = Snapshots(remote).write(100, b"r" * 32, [b"one" * 9, b"two" * 9, b"three"])
    bitswap = await MemoryNetwork(nursery).add("alone")
    urls = [gateways.open(lambda _: (200, b"rubbish")), gateways.open(serve(remote))]
    client = GatewayClient(urls)
    found = await fetch_snapshot(
        bitswap,
        Snapshots(local),
        manifest.cid,
        height=100,
        state_root=b"r" * 32,
        peers=(),
        gateways=client,
    )
    assert found == manifest
    assert list(Snapshots(local).chunks(found)) == [b"one" * 9, b"two" * 9, b"three"]
    assert client.fetched_total == 4
    assert all(path.endswith("?format=raw") for path in gateways.asked)
    assert len(gateways.asked) <= 4 + 8, "a gateway that lied is asked last"
    remote.close()
    local.close()


ANSWERS: dict[str, Answer] = {
    "not there": lambda _: (404, b"no"),
    "elsewhere": lambda _: (302, b""),
    "other bytes": lambda _: (200, b"other"),
    "too many bytes": lambda _: (200, bytes(limits.BLOCK_BYTES_MAX + 1)),
    "nothing": lambda _: (200, b""),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_whatever_is_not_the_block_is_refused(kind: str, gateways: Gateways):
    client = GatewayClient([gateways.open(ANSWERS[kind])])
    with pytest.raises(TransientError, match="none of 1 gateways"):
        await client.fetch(Cid.raw(b"wanted"))


async def test_a_gateway_that_is_not_there_costs_a_try_only(tmp_path, gateways: Gateways):
    store = BlockStore(tmp_path / "a.sqlite")
    store.put(Cid.raw(b"wanted"), b"wanted", SNAPSHOT)
    client = GatewayClient(["http://127.0.0.1:1", gateways.open(serve(store)) + "/"])
    assert await client.fetch(Cid.raw(b"wanted")) == b"wanted"
    store.close()


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "127.0.0.1:8080", "http://", "http://[1", "http://a:b"]
)
def test_what_is_no_url_is_said_so(url: str):
    with pytest.raises(ConfigError, match="is no gateway"):
        GatewayClient([url])


def test_a_gateway_that_trickles_is_given_up():
    class Trickle:
        """One byte at a time, for ever."""

        def read1(self, _: int) -> bytes:
            return b"x"

    with pytest.raises(TransientError, match="too slowly"):
        read_in_time(cast(Any, Trickle()), time.monotonic() - 1)
    whole = cast(Any, io.BufferedReader(io.BytesIO(b"block")))
    assert read_in_time(whole, time.monotonic() + 60) == b"block"
