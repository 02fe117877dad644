"""Run one validator in a process of its own, so that a test can stop it with SIGSTOP.

Rule: prints `up` when all its lanes are open; echoes every vote to its sender.
Spec: docs/spec/p2p.md §5. Deviations: none.
"""

from __future__ import annotations

import json
import sys

import trio

from p2p.config import KnownValidator, NetworkConfig
from p2p.lanes import Lane
from p2p.network import Network
from primitives.secp256k1 import PrivateKey


async def run(what: dict) -> None:
    config = NetworkConfig(
        network_id=bytes.fromhex(what["network_id"]),
        seed=bytes.fromhex(what["seed"]),
        signer=PrivateKey(bytes.fromhex(what["secret"])),
        listen=(what["listen"],),
        validators=tuple(
            KnownValidator(address=bytes.fromhex(a), peer_id=p, multiaddrs=tuple(m))
            for a, p, m in what["validators"]
        ),
    )
    async with Network(config) as network:
        while not all(p.sending and p.receiving for p in network.peers()):
            await trio.sleep(0.02)
        print("up", flush=True)
        async for message in network.inbox(Lane.VOTE):
            network.send(message.sender, Lane.VOTE, message.data)


if __name__ == "__main__":
    trio.run(run, json.loads(sys.argv[1]))
