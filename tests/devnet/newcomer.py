"""Add a validator to a running devnet: its own key, stake, identity and process.

Rule: it knows what any outsider knows, the network file, and uses the registry as anybody may.
Spec: docs/how-to. Deviations: transactions are sent with web3 instead of the command line.
"""

from __future__ import annotations

import http.client
import json
import subprocess
from pathlib import Path
from typing import Any

from contracts.artifact import load_artifact
from contracts.evm_web3 import connect
from devnet.folders import Folder, node_command, node_environment, write_validator
from devnet.funding import open_wallet
from devnet.plan import XOM, plan_validator
from devnet.ports import PortBlock
from node.network_file import dump_network, load_network
from p2p.identity import decode_peer_id
from primitives.address import to_checksum
from tests.devnet.local_devnet import REPOSITORY, LocalDevnet

STAKE = 100_000 * 10**18
GAS = 600_000


class Newcomer:
    """One more validator, numbered on from those of the devnet."""

    def __init__(self, devnet: LocalDevnet, index: int) -> None:
        record = devnet.record
        self.devnet = devnet
        self.plan = plan_validator(record.seed, index, PortBlock(base=record.port_base))
        self.name = self.plan.name
        self.data = Folder(devnet.folder.root).data(self.name)
        network = load_network(devnet.folder.network_file)
        write_validator(self.data, self.plan, network, dump_network(network), [record.rpc])
        self.process: subprocess.Popen[bytes] | None = None
        self.log: Path = devnet.folder.root / "logs" / f"{self.name}.log"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                node_command(self.data),
                cwd=REPOSITORY,
                env={**node_environment(), "PYTHONPATH": str(REPOSITORY)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def remove(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)

    def register(self) -> None:
        """Stake from the owner's account and name the hot key."""
        record, plan = self.devnet.record, self.devnet.plan
        deployer = open_wallet(record, plan.deployer)
        owner = self.plan.payout
        token = plan.deployment.tokens[XOM].address
        deployer.send_native(owner.address, 10**19)
        deployer.send_native(self.plan.key.address, 10**19)
        deployer.transfer(token, owner.address, STAKE)
        web3 = connect(record.rpc, record.chain_id)
        registry = web3.eth.contract(
            address=to_checksum(plan.deployment.registry),
            abi=list(load_artifact("ValidatorRegistry").abi),
        )
        digest = registry.functions.hotKeyDigest(to_checksum(owner.address)).call()
        wallet = open_wallet(record, owner)
        coin = web3.eth.contract(
            address=to_checksum(token), abi=list(load_artifact("OmniCoin").abi)
        )
        approve = coin.encode_abi("approve", [registry.address, STAKE])
        wallet._send(token, approve, GAS)
        fields = [
            STAKE,
            to_checksum(self.plan.key.address),
            decode_peer_id(self.plan.peer_id)[-32:],
            7,
            self.plan.key.sign(digest),
        ]
        wallet._send(plan.deployment.registry, registry.encode_abi("register", fields), GAS)

    def status(self) -> dict[str, Any]:
        """Return what the node says of itself; empty when it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.plan.api_port, timeout=10)
        try:
            connection.request("GET", "/v1/status")
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            connection.close()
