"""Give each test a loopback port that nobody else gets between its choice and its use.

Rule: ports come from below those that the kernel gives to connections and to whoever binds port 0;
a process that hands out some holds a claim on their block until it ends.
Spec: docs/how-to/run-the-tests.md. Deviations: none.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

LOWEST, HIGHEST = 10_000, 18_000
"""Below the ports of devnets, which are below the kernel's (32768 to 60999)."""
BLOCK = 40

_claims: list[socket.socket] = []


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    return next(_ports)


def _offer() -> Iterator[int]:
    while True:
        before = len(_claims)
        for base in range(LOWEST, HIGHEST, BLOCK):
            if (claim := _bind(base)) is None:
                continue
            _claims.append(claim)
            for port in range(base + 1, base + BLOCK):
                if (probe := _bind(port)) is not None:
                    probe.close()
                    yield port
        assert len(_claims) > before, "all blocks of ports are taken"


def _bind(port: int) -> socket.socket | None:
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        one.bind(("127.0.0.1", port))
    except OSError:
        one.close()
        return None
    return one


_ports = _offer()
