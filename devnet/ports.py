"""Find a whole block of free loopback ports for one devnet.

Rule: a devnet's ports move together or not at all, so that two devnets on one machine never
interleave.
Spec: docs/reference/devnet.md (Ports). Deviations: none.
"""

from __future__ import annotations

import atexit
import socket
from dataclasses import dataclass

from devnet.limits import CHAINS_MAX, PORT_BASE, PORT_BLOCKS_MAX, PORTS_PER_NODE, VALIDATORS_MAX
from primitives.errors import OperatorError

PORT_BLOCK = (VALIDATORS_MAX + 1) * PORTS_PER_NODE


@dataclass(frozen=True, slots=True, kw_only=True)
class PortBlock:
    """The ports of one devnet: the chain's first, then ten for each validator."""

    base: int

    @property
    def evm(self) -> int:
        """JSON-RPC of the first EVM chain; further ones follow."""
        return self.base - PORTS_PER_NODE

    @property
    def claim(self) -> int:
        """Bound while a devnet starts, so that two that start together do not meet."""
        return self.base - 1

    def api(self, index: int) -> int:
        """HTTP API of validator `index`."""
        return self.base + PORTS_PER_NODE * index

    def p2p(self, index: int) -> int:
        """libp2p port of validator `index`."""
        return self.api(index) + 1


def allocate_ports(validators: int) -> PortBlock:
    """Take the first block in which every port is free. Raises OperatorError when none is."""
    for number in range(PORT_BLOCKS_MAX):
        block = PortBlock(base=PORT_BASE + number * PORT_BLOCK)
        if block.base not in _claims and take_ports(block, validators):
            return block
    raise OperatorError(
        f"no free block of ports from {PORT_BASE} upwards",
        code="DEV001",
        fix="stop another devnet: omnibazaar devnet down",
    )


_claims: dict[int, socket.socket] = {}
"""By port base; held until this process ends, when the devnet's processes have bound their own."""


def take_ports(block: PortBlock, validators: int) -> bool:
    """Claim a block; False when a port of it is taken or another devnet is just starting there.

    A block that this process has claimed before is taken for the same devnet, started again.
    """
    if block.base in _claims:
        return True
    claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        claim.bind(("127.0.0.1", block.claim))
    except OSError:
        claim.close()
        return False
    wanted = [block.evm + chain for chain in range(CHAINS_MAX)]
    for index in range(validators):
        wanted += [block.api(index), block.p2p(index)]
    if not all(is_free(port) for port in wanted):
        claim.close()
        return False
    _claims[block.base] = claim
    atexit.register(claim.close)
    return True


def is_free(port: int) -> bool:
    """True when nothing listens on the loopback port and it can be bound."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
