"""The HTTP client of the daemon survives servers that lie, stall, close and flood."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from contracts import rpc as rpc_module
from contracts.errors import RateLimited, RpcRefused
from contracts.rpc import HttpRpc
from primitives.errors import ConfigError, TransientError

Reply = Callable[[dict[str, Any]], tuple[int, bytes]]


class Server:
    """Answers with whatever the test says."""

    def __init__(self) -> None:
        self.reply: Reply = lambda request: (200, good(request))
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.close_after = False
        self.headers: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(request)
                outer.paths.append(self.path)
                status, body = outer.reply(request)
                self.send_response(status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                # Closed without saying so, as a server with an idle limit does.
                self.close_connection = outer.close_after

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # a client that hung up is what we test
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"


def good(request: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": request["params"]}).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()
    server.thread.join()


@pytest.fixture
def rpc(server: Server) -> Iterator[HttpRpc]:
    rpc = HttpRpc(server.url + "/key?x=1")
    yield rpc
    rpc.close()


def test_result_is_returned(server: Server, rpc: HttpRpc) -> None:
    assert rpc.call("echo", 1, "two") == [1, "two"]
    assert rpc.call("echo") == []
    assert server.requests[0]["method"] == "echo"
    assert server.paths[0] == "/key?x=1"


def test_silently_closed_connection_is_reopened(server: Server, rpc: HttpRpc) -> None:
    server.close_after = True
    for number in range(3):
        assert rpc.call("echo", number) == [number]


def test_error_answer_is_raised_with_code_and_data(server: Server, rpc: HttpRpc) -> None:
    error = {"code": 3, "message": "execution reverted", "data": "0x1234"}
    server.reply = lambda r: (200, json.dumps({"id": r["id"], "error": error}).encode())
    with pytest.raises(RpcRefused) as caught:
        rpc.call("eth_call")
    assert (caught.value.code, caught.value.details) == (3, b"\x12\x34")


def test_error_with_status_500_is_still_an_error_answer(server: Server, rpc: HttpRpc) -> None:
    server.reply = lambda r: (500, json.dumps({"id": r["id"], "error": {"code": 1}}).encode())
    with pytest.raises(RpcRefused):
        rpc.call("x")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"<html>busy</html>",
        b'{"id":1}',
        b'{"id":999,"result":1}',
        b'{"id":1,"error":5}',
        b"[" * 10_000,
        b'{"id":1,"result":' + b"[" * 10_000,
    ],
)
def test_nonsense_is_transient(server: Server, rpc: HttpRpc, body: bytes) -> None:
    server.reply = lambda _: (200, body)
    with pytest.raises(TransientError):
        rpc.call("x")


def test_odd_error_parts_are_survived(server: Server, rpc: HttpRpc) -> None:
    for error in ({}, {"code": "x", "message": 5, "data": "0xzz"}, {"data": {"data": "0x12"}}):
        server.reply = lambda r, e=error: (200, json.dumps({"id": r["id"], "error": e}).encode())
        with pytest.raises(RpcRefused):
            rpc.call("x")


def test_rate_limit_page_is_transient(server: Server, rpc: HttpRpc) -> None:
    server.reply = lambda _: (429, b"too many requests")
    with pytest.raises(TransientError, match="429"):
        rpc.call("x")


def test_flood_is_cut_off(server: Server, rpc: HttpRpc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_module, "RPC_ANSWER_MAX_BYTES", 1000)
    server.reply = lambda _: (200, b'"' + b"x" * 5000 + b'"')
    with pytest.raises(TransientError, match="too large"):
        rpc.call("x")


def test_stalling_server_is_given_up(
    server: Server, rpc: HttpRpc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_module, "RPC_TIMEOUT_SECONDS", 0.2)
    release = threading.Event()

    def stall(request: dict[str, Any]) -> tuple[int, bytes]:
        release.wait(10)
        return 200, good(request)

    server.reply = stall
    with pytest.raises(TransientError):
        rpc.call("x")
    release.set()


def test_an_answer_a_byte_at_a_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time, the answer never."""
    monkeypatch.setattr(rpc_module, "RPC_TOTAL_SECONDS", 0.3)
    done = threading.Event()

    def drip(listener: socket.socket) -> None:
        line, _ = listener.accept()
        with line, suppress(OSError):
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not done.wait(0.05):
                line.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        dripping = threading.Thread(target=drip, args=(listener,))
        dripping.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with closing(HttpRpc(url)) as slow, pytest.raises(TransientError):
            slow.call("x")
        done.set()
        dripping.join()


def test_nobody_listening_is_transient(server: Server) -> None:
    url = server.url
    server.http.server_close()
    with pytest.raises(TransientError):
        HttpRpc(url).call("x")


@pytest.mark.parametrize("url", ["", "localhost:8545", "ftp://x", "http://", "file:///etc/passwd"])
def test_urls_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        HttpRpc(url)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("100000", 60), ("soon", 2), (None, 2), ("9" * 40, 2)]
)
def test_who_limits_us_is_left_alone(server: Server, header: str | None, seconds: float) -> None:
    now = [100.0]
    rpc = HttpRpc(server.url, clock=lambda: now[0])
    server.headers = {} if header is None else {"Retry-After": header}
    server.reply = lambda request: (429, b"slow down")
    with pytest.raises(RateLimited) as caught:
        rpc.call("eth_blockNumber")
    assert caught.value.seconds == seconds
    server.reply = lambda request: (200, good(request))
    now[0] += seconds - 0.5
    with pytest.raises(RateLimited, match="limits us"):
        rpc.call("eth_blockNumber")
    assert len(server.requests) == 1
    now[0] += 1
    assert rpc.call("eth_blockNumber") == []
    rpc.close()


@pytest.mark.parametrize(
    ("code", "message", "limits"),
    [
        (-32005, "daily request count exceeded", True),
        (-32000, "Too Many Requests", True),
        (-32000, "exceeds block gas limit", False),
        (3, "execution reverted", False),
    ],
)
def test_limits_are_told_from_other_refusals(
    server: Server, rpc: HttpRpc, code: int, message: str, limits: bool
) -> None:
    server.reply = lambda request: (
        200,
        json.dumps({"id": request["id"], "error": {"code": code, "message": message}}).encode(),
    )
    with pytest.raises(RateLimited if limits else RpcRefused):
        rpc.call("eth_call")
