"""List every setting of the daemon: its meaning, type, bounds and default.

Rule: this file is the only list; loading, `config explain` and docs/reference/config.md are made
from it. What all nodes must agree on is not here but in the network file.
Spec: docs/reference/config.md. Deviations: none.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

Profile = Literal["home", "lowpower", "test"]
LISTEN: Final = r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$"
URL: Final = r"^https?://[^\s]+$"
FEE: Final = r"^[A-Z0-9][A-Z0-9._-]{0,31}:[0-9]{1,30}$"
FORMS: Final = {
    LISTEN: "it is HOST:PORT, such as 127.0.0.1:8640",
    URL: "it is a URL with http:// or https://",
    FEE: "it is ASSET:ATOMS, such as USDX:50000",
}
"""What to say to whoever has written something else."""
ListenAddress = Annotated[str, Meta(pattern=LISTEN)]
Url = Annotated[str, Meta(pattern=URL, max_length=512)]


def about(text: str, **bounds: Any) -> Meta:
    """Describe a setting and its bounds."""
    return Meta(description=text, **bounds)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root of every table of the file."""


class ValidatorSettings(Section, frozen=True, kw_only=True):
    """Duties of this node's own seat."""

    key: Annotated[
        str, about("name, role or first digits of a key in keys/; a node does not run without")
    ] = ""
    password_file: Annotated[str, about("file with the password of that key")] = ""


class P2pSettings(Section, frozen=True, kw_only=True):
    """The peer-to-peer side."""

    listen: Annotated[ListenAddress, about("address and TCP port for other nodes")] = (
        "0.0.0.0:30303"
    )
    announce: Annotated[
        tuple[ListenAddress, ...],
        about("HOST:PORT at which others reach this node; empty = where it listens", max_length=8),
    ] = ()


class EvmSettings(Section, frozen=True, kw_only=True):
    """The settlement chains."""

    rpc_urls: Annotated[
        tuple[Url, ...],
        about(
            "JSON-RPC endpoints, several per EVM chain if you like; each is asked for its chain id",
            max_length=16,
        ),
    ] = ("http://127.0.0.1:8545",)
    rpc_quorum: Annotated[
        int,
        about(
            "endpoints of a chain that must give the same answer; 1 believes the first", ge=1, le=16
        ),
    ] = 1
    submit: Annotated[bool, about("send checkpoints to the contract in turn with the others")] = (
        True
    )
    gas_key: Annotated[
        str,
        about(
            "first digits of the address of the key in keys/ that pays gas; empty = validator.key"
        ),
    ] = ""
    relay_fees: Annotated[
        tuple[Annotated[str, Meta(pattern=FEE)], ...],
        about(
            "bring claims and deposits for traders without gas, for at least so many atoms each, "
            "ASSET:ATOMS; empty = do not",
            max_length=64,
        ),
    ] = ()
    poll_ms: Annotated[int, about("time between looks at the chain", ge=100, le=60_000)] = 1_000


class ApiSettings(Section, frozen=True, kw_only=True):
    """REST, WebSocket, page and metrics."""

    listen: Annotated[ListenAddress, about("address and TCP port; port 0 = any free one")] = (
        "127.0.0.1:8640"
    )
    hosts: Annotated[
        tuple[str, ...], about("names under which a reverse proxy offers this node", max_length=32)
    ] = ()
    origins: Annotated[
        tuple[str, ...], about("pages of other origins that may use it", max_length=32)
    ] = ()
    requests_per_s: Annotated[
        int, about("REST requests of one remote address", ge=1, le=1_000_000)
    ] = 2_000
    actions_per_s: Annotated[
        int, about("signed actions of one remote address", ge=1, le=1_000_000)
    ] = 20_000
    account_ops_per_s: Annotated[
        int,
        about("operations of one account; cancels have as many of their own", ge=64, le=1_000_000),
    ] = 20_000


class LogSettings(Section, frozen=True, kw_only=True):
    """What is written where. The file is always at debug level."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], about("least level on the terminal")
    ] = "info"
    format: Annotated[
        Literal["auto", "human", "json"], about("form on the terminal; auto = human")
    ] = "auto"
    file_mb: Annotated[
        int, about("size at which logs/node.jsonl is rolled over", ge=1, le=1_000)
    ] = 50
    files: Annotated[int, about("rolled-over files that are kept", ge=1, le=100)] = 5


class StorageSettings(Section, frozen=True, kw_only=True):
    """Disk use of the chain database, which can be rebuilt."""

    archive: Annotated[bool, about("keep every block for ever")] = False
    chain_gb: Annotated[int, about("size at which old blocks are pruned", ge=1, le=100_000)] = 50
    snapshots: Annotated[int, about("newest state snapshots that are kept", ge=2, le=64)] = 3


class SyncSettings(Section, frozen=True, kw_only=True):
    """Catching up by a state instead of by all blocks."""

    state: Annotated[bool, about("fetch a certified state when this node is far behind")] = True
    behind_blocks: Annotated[
        int, about("blocks behind from which a state is fetched", ge=10, le=10_000_000)
    ] = 5_000
    trusted_checkpoint: Annotated[
        str,
        about("HEIGHT:0xHASH of a final block to trust instead of the contract", max_length=90),
    ] = ""
    gateways: Annotated[
        tuple[Url, ...],
        about("IPFS gateways (a Kubo's too) that are asked for what no peer gives", max_length=16),
    ] = ()


class SafetySettings(Section, frozen=True, kw_only=True):
    """When duties wait. Absence is cheap, a double signature is not."""

    clock_offset_ms_max: Annotated[
        int, about("clock error at which `doctor` fails", ge=50, le=60_000)
    ] = 1_000
    disk_free_mb_min: Annotated[
        int, about("free space below which duties stop", ge=10, le=1_000_000)
    ] = 512


class WorkSettings(Section, frozen=True, kw_only=True):
    """How the machine is used."""

    bundle_ms: Annotated[int, about("longest wait before actions go out", ge=1, le=1_000)] = 25


class Config(Section, frozen=True, kw_only=True):
    """All settings. `version` is the format of the file."""

    version: Annotated[Literal[1], about("format of this file")] = 1
    network: Annotated[
        str, about("the network file, relative to the data directory", min_length=1)
    ] = "network.json"
    profile: Annotated[Profile, about("a set of defaults for a kind of machine")] = "home"
    validator: ValidatorSettings = ValidatorSettings()
    p2p: P2pSettings = P2pSettings()
    evm: EvmSettings = EvmSettings()
    api: ApiSettings = ApiSettings()
    log: LogSettings = LogSettings()
    storage: StorageSettings = StorageSettings()
    sync: SyncSettings = SyncSettings()
    safety: SafetySettings = SafetySettings()
    work: WorkSettings = WorkSettings()


PROFILES: Final[dict[Profile, dict[str, Any]]] = {
    "home": {},
    "lowpower": {"storage.chain_gb": 10, "storage.snapshots": 2, "log.file_mb": 10},
    "test": {
        "p2p.listen": "127.0.0.1:0",
        "api.listen": "127.0.0.1:0",
        "evm.poll_ms": 250,
        "safety.disk_free_mb_min": 10,
    },
}
