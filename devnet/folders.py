"""Lay out a devnet on disk: one data directory per validator, as `omnibazaar init` would make it.

Rule: everything lies under one folder and nothing outside it is touched; the keys in it are public.
Spec: docs/reference/devnet.md (Files). Deviations: keystores use a cheap key derivation, since
their
password stands beside them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from devnet.plan import DevnetPlan, ValidatorPlan
from devnet.processes import ProcessTable
from node.datadir import DataDir, write_atomic
from node.keys.keystore import encrypt_key
from node.network_file import NetworkFile, dump_network, load_network
from primitives.errors import OperatorError
from primitives.secp256k1 import PrivateKey

PASSWORD = "devnet"
SCRYPT_N = 1 << 10
FOLDER = ".devnet"
EVM = "evm"


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`devnet.json`: what the devnet was made with, for scripts and for starting it again."""

    format: int = 1
    validators: int
    traders: int
    seed: int
    evm: str  # embedded, coti, anvil or a URL
    rpc: str
    chain_id: int
    port_base: int
    genesis_time_ms: int
    replay: str = ""
    speed: str = "1"
    epoch: int = 0  # heights; 0: one epoch without end
    chains: int = 1  # EVM chains, with consecutive ids and ports
    confirmations: int = 1  # EVM blocks until a deposit counts
    deployed: bool = False

    def rpc_of(self, chain: int) -> str:
        """Return the JSON-RPC URL of one of the chains."""
        if not chain:
            return self.rpc
        place, _, port = self.rpc.rpartition(":")
        return f"{place}:{int(port) + chain}"

    def chain_name(self, chain: int) -> str:
        """Return the name of the process that runs one of the chains: evm, evm1, …"""
        return f"{EVM}{chain or ''}"

    @property
    def chain_names(self) -> tuple[str, ...]:
        """The processes of all chains that are ours; none if the chain is somebody else's."""
        if self.evm.startswith("http"):
            return ()
        return tuple(self.chain_name(chain) for chain in range(self.chains))


@dataclass(frozen=True, slots=True)
class Folder:
    """The state of one devnet."""

    root: Path

    @property
    def record_file(self) -> Path:
        """Parameters and ports."""
        return self.root / "devnet.json"

    @property
    def network_file(self) -> Path:
        """The network all validators share."""
        return self.root / "network.json"

    def chain(self, name: str) -> Path:
        """The data of an EVM chain: evm, evm1, …"""
        return self.root / name

    @property
    def outbox(self) -> Path:
        """What the devnet's own tools have on its way to the chains; they take turns by it."""
        return self.root / "outbox" / "tools"

    @property
    def processes(self) -> ProcessTable:
        """What runs."""
        return ProcessTable(self.root / "run", self.root / "logs")

    def data(self, name: str) -> DataDir:
        """One validator's data directory."""
        return DataDir(self.root / name)

    def exists(self) -> bool:
        """True when a devnet was made here."""
        return self.record_file.is_file()

    def load(self) -> Record:
        """Return what the devnet was made with. Raises OperatorError."""
        try:
            return msgspec.json.decode(self.record_file.read_bytes(), type=Record)
        except FileNotFoundError:
            raise OperatorError(
                f"there is no devnet in {self.root}",
                code="DEV002",
                fix="omnibazaar devnet up",
                exit_code=5,
            ) from None
        except (OSError, msgspec.DecodeError) as error:
            raise OperatorError(
                f"{self.record_file} cannot be read: {error}",
                code="DEV003",
                fix="omnibazaar devnet reset",
            ) from None

    def save(self, record: Record) -> None:
        """Write the parameters."""
        text = msgspec.json.format(msgspec.json.encode(record), indent=2)
        write_atomic(self.record_file, text + b"\n")

    def network(self) -> NetworkFile:
        """Return the network file."""
        return load_network(self.network_file)


def write_folders(folder: Folder, plan: DevnetPlan, record: Record) -> None:
    """Write the network file and all data directories."""
    folder.root.mkdir(parents=True, exist_ok=True)
    network = dump_network(plan.network)
    write_atomic(folder.network_file, network)
    urls = [record.rpc_of(chain) for chain in range(record.chains)]
    for validator in plan.validators:
        write_validator(folder.data(validator.name), validator, plan.network, network, urls)
        write_people(folder.data(validator.name), plan.people)


def write_validator(
    data: DataDir, validator: ValidatorPlan, network: NetworkFile, file: bytes, urls: list[str]
) -> None:
    """Write one validator's data directory."""
    data.create(network.name, network.genesis_hash)
    write_atomic(data.network_file, file)
    write_atomic(data.node_key_file, validator.seed.hex() + "\n")
    write_atomic(data.keys / "password", PASSWORD + "\n")
    keystore = encrypt_key(validator.key, PASSWORD, role="validator", scrypt_n=SCRYPT_N)
    write_atomic(data.keys / f"{validator.key.address.hex()[:8]}-validator.json", keystore)
    write_atomic(data.config_file, make_config(validator, network, urls))


def write_people(data: DataDir, people: Mapping[str, PrivateKey]) -> None:
    """Let `--as alice` mean somebody in this data directory."""
    for name, key in people.items():
        keystore = encrypt_key(key, PASSWORD, role="trader", name=name, scrypt_n=SCRYPT_N)
        write_atomic(data.keys / f"{key.address.hex()[:8]}-trader.json", keystore)


def make_config(validator: ValidatorPlan, network: NetworkFile, urls: Sequence[str]) -> str:
    """Return the config.toml of one validator."""
    endpoints = ", ".join(f'"{url}"' for url in urls)
    assets = network.exchange.assets
    fees = ", ".join(f'"{one.name}:{10 ** (one.decimals // 2)}"' for one in assets)
    return f"""\
version = 1
profile = "test"

[validator]
key = "{validator.key.address.hex()[:8]}"
password_file = "keys/password"

[p2p]
listen = "127.0.0.1:{validator.p2p_port}"

[api]
listen = "127.0.0.1:{validator.api_port}"

[evm]
rpc_urls = [{endpoints}]
relay_fees = [{fees}]
poll_ms = 500
"""


def node_command(data: DataDir) -> tuple[str, ...]:
    """Return the command that runs one validator."""
    return (sys.executable, "-m", "node.cli", "--data-dir", str(data.root), "run")


def node_environment() -> dict[str, str]:
    """Return the environment of every process: ours, without its own settings."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OMNIBAZAAR_")}
    environment["PYTHONUNBUFFERED"] = "1"
    return environment
