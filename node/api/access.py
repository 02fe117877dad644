"""Decide who may ask: names, origins, the operator's token and how much at once.

Rule: a browser page of another site can neither read nor trigger anything (Host, Origin, no CORS),
and operator endpoints need the token of `run/token`, compared in constant time.
Spec: docs/reference/api.md (Access). Deviations: none.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections import Counter
from collections.abc import Mapping
from typing import Any

import trio

from node.api.errors import ApiError
from node.api.limits import (
    ACTIONS_BURST,
    ACTIONS_PER_S_MAX,
    ANSWER_BYTES_PER_REQUEST,
    CONNECTIONS_MAX,
    CONNECTIONS_PER_ADDRESS_MAX,
    REQUESTS_BURST,
    REQUESTS_PER_S_MAX,
)
from node.api.rates import RateLimit

LOCAL_NAMES = frozenset({"localhost", "ip6-localhost"})


class Access:
    """The policy of one listening API."""

    def __init__(
        self,
        *,
        token: str,
        hosts: frozenset[str] = frozenset(),
        origins: frozenset[str] = frozenset(),
        requests_per_s: int = REQUESTS_PER_S_MAX,
        actions_per_s: int = ACTIONS_PER_S_MAX,
    ) -> None:
        assert len(token) >= 32, "a short token could be guessed"
        self._token = token.encode()
        self._hosts = LOCAL_NAMES | {host.lower() for host in hosts}
        self._origins = origins
        self._requests_burst = max(1, requests_per_s * REQUESTS_BURST // REQUESTS_PER_S_MAX)
        self._requests = RateLimit(per_s=requests_per_s, burst=self._requests_burst)
        self._actions = RateLimit(
            per_s=actions_per_s, burst=max(100, actions_per_s * ACTIONS_BURST // ACTIONS_PER_S_MAX)
        )
        self._connections: Counter[str] = Counter()

    def remote(self, scope: Mapping[str, Any]) -> str:
        """Return the remote address a connection comes from."""
        client = scope.get("client")
        return str(client[0]) if client else "local"

    def verify_host(self, host: str) -> None:
        """Refuse names an attacker could point here; plain addresses cannot be rebound by DNS."""
        name = host_name(host)
        if name in self._hosts:
            return
        try:
            ipaddress.ip_address(name)
        except ValueError:
            raise ApiError("forbidden_host", f"this node is not {name[:64]!r}") from None

    def verify_origin(self, origin: str | None, host: str) -> None:
        """Refuse requests made by pages of other sites."""
        if origin is None or origin in self._origins:
            return
        if origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
            raise ApiError("forbidden_origin", f"pages of {origin[:64]!r} may not use this node")

    def verify_token(self, authorization: str) -> None:
        """Raise ApiError unless the header carries the operator's token."""
        given = authorization.encode("utf-8", "replace").removeprefix(b"Bearer ").strip()
        if not hmac.compare_digest(given, self._token):
            raise ApiError("token_required", "only the operator may do this")

    def charge_request(self, remote: str, weight: int = 1) -> None:
        """Count a request as so many small ones. Raises ApiError when there were too many."""
        if not self._requests.take(remote, min(weight, self._requests_burst), now_ms()):
            raise ApiError("too_many_requests", "too many requests from this address")

    def charge_answer(self, remote: str, size: int) -> None:
        """Count the bytes of a large answer as further requests, which the next ones wait for."""
        if size >= ANSWER_BYTES_PER_REQUEST:
            self._requests.owe(remote, size // ANSWER_BYTES_PER_REQUEST, now_ms())

    def charge_actions(self, remote: str, count: int) -> None:
        """Count actions. Raises ApiError when there were too many."""
        if not self._actions.take(remote, count, now_ms()):
            raise ApiError("too_many_requests", "too many actions from this address")

    def open_connection(self, remote: str) -> None:
        """Count a WebSocket. Raises ApiError when there are too many."""
        if self._connections.total() >= CONNECTIONS_MAX:
            raise ApiError("unavailable", "the node has all the connections it can serve")
        if self._connections[remote] >= CONNECTIONS_PER_ADDRESS_MAX:
            raise ApiError("too_many_requests", "too many connections from this address")
        self._connections[remote] += 1

    def close_connection(self, remote: str) -> None:
        """Count a WebSocket that ended."""
        self._connections[remote] -= 1
        if self._connections[remote] <= 0:
            del self._connections[remote]

    @property
    def connections(self) -> int:
        """Return how many WebSockets are open."""
        return self._connections.total()


def host_name(host: str) -> str:
    """Return the name or address in a Host header, without port and brackets."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def now_ms() -> int:
    """Return trio's monotonic clock in milliseconds."""
    return int(trio.current_time() * 1_000)
