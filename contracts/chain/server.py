"""Serve JSON-RPC over HTTP on 127.0.0.1 and make a block at each tick.

Rule: requests are bounded in size, number and time, and none of them can stop the server.

Spec: JSON-RPC 2.0; docs/spec/settlement.md §12
Deviations: notifications (requests without id) are answered like requests.
"""

from __future__ import annotations

import json
import socket
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from contracts.chain.methods import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    LIMIT_EXCEEDED,
    RpcMethods,
    RpcProblem,
)
from contracts.limits import (
    SERVER_BATCH_MAX,
    SERVER_BODY_MAX_BYTES,
    SERVER_CONNECTIONS_MAX,
    SERVER_IDLE_SECONDS_MAX,
)
from primitives.errors import InvalidMessage
from primitives.nesting import check_json_nesting

LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
PARSE_ERROR = -32700


def answer_body(methods: RpcMethods, body: bytes) -> bytes:
    """Return the answer to the body of a request, single or batch."""
    try:
        check_json_nesting(body)  # py-evm raises the recursion limit past what the stack carries
        request = json.loads(body)
    except (ValueError, RecursionError, InvalidMessage):
        return _encode(_error(None, PARSE_ERROR, "parse error"))
    if not isinstance(request, list):
        return _encode(_answer(methods, request))
    if not request or len(request) > SERVER_BATCH_MAX:
        return _encode(_error(None, LIMIT_EXCEEDED, f"1 to {SERVER_BATCH_MAX} calls per batch"))
    return _encode([_answer(methods, one) for one in request])


def _answer(methods: RpcMethods, request: Any) -> dict[str, Any]:
    """The answer to one call."""
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return _error(None, INVALID_REQUEST, "invalid request")
    identity = request.get("id")
    if not isinstance(identity, str | int | None):
        identity = None
    try:
        result = methods.answer(request["method"], request.get("params", []))
    except RpcProblem as problem:
        return _error(identity, problem.code, problem.message, problem.details)
    except Exception as error:  # noqa: BLE001 - the boundary: report, answer, go on
        traceback.print_exception(error)
        return _error(identity, INTERNAL_ERROR, f"internal error: {type(error).__name__}")
    return {"jsonrpc": "2.0", "id": identity, "result": result}


def _error(identity: Any, code: int, message: str, details: str | None = None) -> dict[str, Any]:
    """An error answer."""
    error: dict[str, Any] = {"code": code, "message": message}
    if details is not None:
        error["data"] = details
    return {"jsonrpc": "2.0", "id": identity, "error": error}


def _encode(answer: Any) -> bytes:
    """JSON bytes."""
    return json.dumps(answer, separators=(",", ":")).encode()


class _Handler(BaseHTTPRequestHandler):
    """One connection; keeps it open between requests."""

    protocol_version = "HTTP/1.1"
    timeout = SERVER_IDLE_SECONDS_MAX
    server: ChainServer

    def do_POST(self) -> None:
        """Answer a JSON-RPC request."""
        if not self._is_local():
            self._reply(403, b'{"error":"this server answers local requests only"}')
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > SERVER_BODY_MAX_BYTES:
            self.close_connection = True
            self._reply(413, _encode(_error(None, LIMIT_EXCEEDED, "request too large")))
            return
        body = self.rfile.read(int(length))
        self._reply(200, answer_body(self.server.methods, body))

    def do_OPTIONS(self) -> None:
        """Answer a browser's preflight."""
        self._reply(204 if self._is_local() else 403, b"")

    def do_GET(self) -> None:
        """Say what this is."""
        self._reply(200, b'{"service":"omnibazaar devnet EVM chain, JSON-RPC over POST"}')

    def log_message(self, *_arguments: Any) -> None:
        """Requests are not logged."""

    def _is_local(self) -> bool:
        """Refuse pages of other origins and host names that were bent to this address."""
        host = urlsplit("//" + self.headers.get("Host", "127.0.0.1")).hostname
        origin = self.headers.get("Origin")
        return host in LOCAL_NAMES and (origin is None or urlsplit(origin).hostname in LOCAL_NAMES)

    def _reply(self, status: int, body: bytes) -> None:
        """Send a JSON answer."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        origin = self.headers.get("Origin")
        if origin is not None and self._is_local():
            self.send_header("Access-Control-Allow-Origin", origin)
            self.send_header("Access-Control-Allow-Headers", "content-type")
            self.send_header("Vary", "Origin")
        self.end_headers()
        self.wfile.write(body)


class ChainServer(ThreadingHTTPServer):
    """The server; a thread per connection, at most SERVER_CONNECTIONS_MAX of them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, methods: RpcMethods, port: int) -> None:
        """Listen on 127.0.0.1; port 0 takes a free one."""
        self.methods = methods
        self._slots = threading.BoundedSemaphore(SERVER_CONNECTIONS_MAX)
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection, or close it at once when there are too many."""
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        if isinstance(request, socket.socket):
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection and give its slot back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is not an error."""


class BlockClock:
    """Makes a block each period, in a thread of its own."""

    def __init__(self, methods: RpcMethods, period_ms: int) -> None:
        """Start with `start`."""
        self._methods = methods
        self._period_s = period_ms / 1000
        self._stopped = threading.Event()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="block clock", daemon=True)

    def start(self) -> None:
        """Begin to make blocks."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the block in hand and stop."""
        self._stopped.set()
        self._thread.join()

    def wait(self) -> None:
        """Return when the clock has stopped, or failed."""
        self._thread.join()

    def request_stop(self) -> None:
        """Stop soon (safe within a signal handler)."""
        self._stopped.set()

    def _run(self) -> None:
        """The thread: a block per period until told to stop."""
        try:
            while not self._stopped.wait(self._period_s):
                self._methods.mine()
        except BaseException as error:  # noqa: BLE001 - kept for the main thread, which reports it
            self.failure = error
