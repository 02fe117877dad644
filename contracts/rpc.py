"""Speak JSON-RPC with an EVM node over HTTP, blocking.

Rule: nothing an RPC node answers is trusted to be well-formed; every wait and size is bounded.

A node keeps this client resident instead of web3, which costs 39 MB (docs/adr/0060).

Spec: JSON-RPC 2.0, Ethereum JSON-RPC; docs/spec/settlement.md §10
Deviations: none
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from contracts.errors import ChainAway, RateLimited, RpcRefused
from contracts.limits import (
    RPC_ANSWER_MAX_BYTES,
    RPC_ATTEMPTS_MAX,
    RPC_LIMITED_MAX_SECONDS,
    RPC_LIMITED_SECONDS,
    RPC_TIMEOUT_SECONDS,
    RPC_TOTAL_SECONDS,
)
from primitives.errors import ConfigError, TransientError

LIMITED_STATUS = (429, 503)
LIMITED_CODES = (-32005, -32029, 429)
LIMITED_WORDS = ("rate limit", "too many requests", "request limit")


class Rpc(Protocol):
    """Something that answers Ethereum JSON-RPC methods."""

    def call(self, method: str, *parameters: Any) -> Any:
        """Return the result; raises RpcRefused for an error answer and TransientError for none."""
        ...


class HttpRpc:
    """One RPC endpoint and one kept-alive connection; may be shared by threads."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Connect on first use; raises ConfigError for a URL that cannot be one."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{url!r} is not an http(s) URL", fix="set the EVM RPC URL")
        self.url = url
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._connection: http.client.HTTPConnection | None = None
        self._lock = threading.Lock()
        self._identity = 0
        self._clock = clock
        self._silent_until = 0.0

    def call(self, method: str, *parameters: Any) -> Any:
        """Return the result; raises RpcRefused for an error answer and TransientError for none."""
        with self._lock:
            self._identity += 1
            request = {
                "jsonrpc": "2.0",
                "id": self._identity,
                "method": method,
                "params": parameters,
            }
            self._wait_for_leave()
            try:
                body = self._exchange(msgspec.json.encode(request))
                return _result(body, self._identity)
            except RateLimited as limit:
                self._silent_until = self._clock() + limit.seconds
                raise

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        with self._lock:
            self._drop()

    def _wait_for_leave(self) -> None:
        """Refuse to ask while the endpoint wants to be left alone: asking makes it last longer."""
        left = self._silent_until - self._clock()
        if left > 0:
            raise RateLimited(f"EVM RPC {self._host}: limits us for {left:.0f} s more", left)

    def _exchange(self, body: bytes) -> bytes:
        """Send a request and return the answer's body; raises TransientError."""
        problem: Exception | None = None
        for _ in range(RPC_ATTEMPTS_MAX):
            fresh = self._connection is None
            try:
                with self._deadline():
                    return self._post(body)
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                problem = error
                if fresh:
                    break
        raise ChainAway(f"EVM RPC {self._host}: {problem or 'no answer'}") from problem

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        """End an exchange that takes too long, though something comes now and then."""
        timer = threading.Timer(RPC_TOTAL_SECONDS, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _cut(self) -> None:
        """Wake whoever reads from the connection."""
        connection = self._connection
        line = None if connection is None else connection.sock
        if line is not None:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _post(self, body: bytes) -> bytes:
        """One POST over the kept connection."""
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            self._connection = kind(self._host, self._port, timeout=RPC_TIMEOUT_SECONDS)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._connection.request("POST", self._path, body, headers)
        with self._connection.getresponse() as response:
            answer = response.read(RPC_ANSWER_MAX_BYTES + 1)
        if len(answer) > RPC_ANSWER_MAX_BYTES:
            self._drop()
            raise TransientError(f"EVM RPC {self._host}: answer too large")
        if response.status in LIMITED_STATUS:
            self._drop()
            raise RateLimited(
                f"EVM RPC {self._host}: HTTP status {response.status}",
                _parse_wait(response.getheader("Retry-After")),
            )
        if response.status != 200 and not answer.startswith(b"{"):
            raise TransientError(f"EVM RPC {self._host}: HTTP status {response.status}")
        return answer

    def _drop(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _result(body: bytes, identity: int) -> Any:
    """The result in an answer; raises RpcRefused or TransientError."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TransientError("EVM RPC: the answer is not JSON") from error
    if not isinstance(answer, dict):
        raise TransientError("EVM RPC: the answer is not an object")
    problem = answer.get("error")
    if isinstance(problem, dict):
        refusal = refused(problem)
        if is_limit(refusal):
            raise RateLimited(f"EVM RPC: {refusal}", RPC_LIMITED_SECONDS)
        raise refusal
    if "result" not in answer or answer.get("id") != identity:
        raise TransientError("EVM RPC: the answer does not belong to the request")
    return answer["result"]


def is_limit(problem: RpcRefused) -> bool:
    """Tell whether a node means that we ask too much."""
    if problem.details:
        return False  # a contract said this
    message = problem.message.lower()
    return problem.code in LIMITED_CODES or any(text in message for text in LIMITED_WORDS)


def _parse_wait(header: str | None) -> float:
    """Seconds that a node wants to be left alone, within bounds; dates are not understood."""
    if header is None or not header.strip().isdigit() or len(header) > 9:
        return RPC_LIMITED_SECONDS
    return min(float(header), RPC_LIMITED_MAX_SECONDS)


def refused(problem: dict[str, Any]) -> RpcRefused:
    """Return the exception for the error part of an answer."""
    code = problem.get("code")
    details = problem.get("data")
    if isinstance(details, dict):
        details = details.get("data")
    try:
        data = bytes.fromhex(details[2:]) if isinstance(details, str) else b""
    except ValueError:
        data = b""
    message = str(problem.get("message", ""))[:500]
    return RpcRefused(code if isinstance(code, int) else 0, message, data)
