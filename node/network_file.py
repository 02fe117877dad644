"""Read and write the one file that says which network this is.

Rule: everything all nodes must agree on stands in it and in nothing else; its hash (without
bootstrap addresses, which may change) is the genesis hash, the parent of block 1.
Spec: docs/spec/network-file.md. Deviations: none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from exchange.genesis import ExchangeGenesis, dump_genesis, load_genesis
from primitives.abi import encode_words
from primitives.errors import ConfigError, WrongNetwork
from primitives.keccak import keccak256

FILE_BYTES_MAX: Final = 1 << 20
MEMBERS_MAX: Final = 128

HexAddress = Annotated[str, Meta(pattern="^0x[0-9a-fA-F]{40}$")]
Hex32 = Annotated[str, Meta(pattern="^0x[0-9a-f]{64}$")]
Atoms = Annotated[str, Meta(pattern="^[1-9][0-9]{0,37}$")]
Milliseconds = Annotated[int, Meta(ge=0, le=600_000)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root of every object in the file."""


class Seat(Part, frozen=True, kw_only=True):
    """One member of the genesis committee; its index is its place in the list."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9_.-]{1,32}$")]
    address: HexAddress
    payout: HexAddress
    weight: Annotated[int, Meta(ge=1, le=1 << 32)] = 1
    owner: HexAddress | None = None  # holds the stake in the registry; the payout address if absent
    services: Annotated[int, Meta(ge=0, le=7)] = 7  # 1 trading, 2 chat, 4 storage

    @property
    def owner_bytes(self) -> bytes:
        """The 20-byte address that registered the validator."""
        return bytes.fromhex((self.owner or self.payout)[2:])

    @property
    def address_bytes(self) -> bytes:
        """The validator's 20-byte address."""
        return bytes.fromhex(self.address[2:])

    @property
    def payout_bytes(self) -> bytes:
        """The 20-byte address its fees are credited to."""
        return bytes.fromhex(self.payout[2:])


class Timers(Part, frozen=True, kw_only=True):
    """Base durations of consensus, as in `consensus.config.Timing`."""

    gap_ms: Milliseconds = 1_000
    leader_ms: Milliseconds = 2_000
    view_ms: Milliseconds = 3_000
    retry_ms: Milliseconds = 2_000
    standstill_ms: Milliseconds = 5_000
    fetch_ms: Milliseconds = 500


class Scoring(Part, frozen=True, kw_only=True):
    """What scores and bonds go by; see `consensus.participation.parameters.Rules`."""

    period_blocks: Annotated[int, Meta(ge=2, le=1_000_000)] = 3_600  # heights of a scoring period
    lead_blocks: Annotated[int, Meta(ge=33, le=10_000)] = 64  # before a border scores close
    newcomer_points: Annotated[int, Meta(ge=0, le=100)] = 25  # first score of who joins later
    jail_first_ms: Annotated[int, Meta(ge=1_000, le=86_400_000)] = 600_000  # doubled every time
    rotates: bool = False  # the committee changes every period; else that of genesis stays
    bond_min: Atoms = "1000000000000000000000"  # least bond of a seat, atoms
    bond_cap: Atoms = "100000000000000000000000"  # more gives no more weight, atoms

    @property
    def bond_min_atoms(self) -> int:
        """The least bond of a seat."""
        return int(self.bond_min)

    @property
    def bond_cap_atoms(self) -> int:
        """The bond beyond which weight stops growing."""
        return int(self.bond_cap)


class Chain(Part, frozen=True, kw_only=True):
    """One EVM chain with its contracts."""

    chain_id: Annotated[int, Meta(ge=1, lt=1 << 62)]
    vault: HexAddress
    registry: HexAddress
    distributor: HexAddress
    first_block: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0
    confirmations: Annotated[int, Meta(ge=1, le=10_000)] = 12
    window_blocks: Annotated[int, Meta(ge=1, le=10_000)] = 32  # EVM blocks attested together
    block_ms: Annotated[int, Meta(ge=100, le=600_000)] = 5_000

    @property
    def vault_bytes(self) -> bytes:
        """The vault's 20-byte address."""
        return bytes.fromhex(self.vault[2:])


class Bootstrap(Part, frozen=True, kw_only=True):
    """Where a validator is found. Not part of the hash."""

    address: HexAddress
    peer_id: Annotated[str, Meta(min_length=1, max_length=128)]
    multiaddrs: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=512)], ...], Meta(max_length=16)
    ]

    @property
    def address_bytes(self) -> bytes:
        """The validator's 20-byte address."""
        return bytes.fromhex(self.address[2:])


class Vault(Part, frozen=True, kw_only=True):
    """A vault on a chain."""

    chain_id: Annotated[int, Meta(ge=1, lt=1 << 62)]
    vault: HexAddress


class Predecessor(Part, frozen=True, kw_only=True):
    """The network that this one takes over from, and where that one ended."""

    network_id: Hex32
    genesis_hash: Hex32
    height: Annotated[int, Meta(ge=1, lt=1 << 62)]  # of its last final block
    time_ms: Annotated[int, Meta(ge=0, lt=1 << 48)]  # of that block
    block_hash: Hex32
    state_root: Hex32  # after it
    vaults: Annotated[tuple[Vault, ...], Meta(max_length=64)]  # which pay by escape, and no more
    attempt: Annotated[int, Meta(ge=1, le=1_000)] = 1  # counts restarts from one last state


DEFAULT_SCORING: Final = Scoring()


class _File(Part, frozen=True, kw_only=True):
    format: Annotated[int, Meta(ge=1, le=1)]
    name: Annotated[str, Meta(pattern="^[a-z0-9-]{1,32}$")]
    network_id: Hex32
    genesis_time_ms: Annotated[int, Meta(ge=0, lt=1 << 48)]
    committee: Annotated[tuple[Seat, ...], Meta(min_length=1, max_length=MEMBERS_MAX)]
    timers: Timers
    chains: Annotated[tuple[Chain, ...], Meta(max_length=16)]
    exchange: dict[str, Any]
    scoring: Scoring = Scoring()
    predecessor: Predecessor | None = None
    bootstrap: Annotated[tuple[Bootstrap, ...], Meta(max_length=256)] = ()


class NetworkFile(msgspec.Struct, frozen=True, kw_only=True):
    """A network, checked. Build it with `load_network` or `parse_network`."""

    name: str
    network_id: bytes  # 32 bytes; the salt of the EIP-712 domain
    genesis_time_ms: int
    committee: tuple[Seat, ...]
    timers: Timers
    chains: tuple[Chain, ...]
    exchange: ExchangeGenesis
    bootstrap: tuple[Bootstrap, ...]
    genesis_hash: bytes  # 32 bytes
    scoring: Scoring = Scoring()
    predecessor: Predecessor | None = None

    @property
    def checkpoint_interval(self) -> int:
        """Heights between checkpoints."""
        return self.exchange.checkpoint_interval


def load_network(file: Path) -> NetworkFile:
    """Read and check a network file. Raises ConfigError."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the network file {file} cannot be read: {error.strerror}",
            code="NET002",
            fix="`omnibazaar init --network FILE` copies it into the data directory",
        ) from None
    return parse_network(data, str(file))


def parse_network(data: bytes, name: str = "network file") -> NetworkFile:
    """Check the bytes of a network file. Raises ConfigError that says what is wrong and where."""
    if len(data) > FILE_BYTES_MAX:
        raise _bad(name, f"larger than {FILE_BYTES_MAX} bytes")
    try:
        raw = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(name, str(error)) from None
    exchange = load_genesis(raw.exchange)
    _verify(raw, exchange, name)
    return NetworkFile(
        name=raw.name,
        network_id=bytes.fromhex(raw.network_id[2:]),
        genesis_time_ms=raw.genesis_time_ms,
        committee=raw.committee,
        timers=raw.timers,
        chains=raw.chains,
        exchange=exchange,
        bootstrap=raw.bootstrap,
        scoring=raw.scoring,
        predecessor=raw.predecessor,
        genesis_hash=compute_genesis_hash(data),
    )


def dump_network(network: NetworkFile) -> bytes:
    """Write the file from which `parse_network` makes an equal network."""
    raw = {
        "format": 1,
        "name": network.name,
        "network_id": "0x" + network.network_id.hex(),
        "genesis_time_ms": network.genesis_time_ms,
        "committee": msgspec.to_builtins(network.committee),
        "timers": msgspec.to_builtins(network.timers),
        "chains": msgspec.to_builtins(network.chains),
        "exchange": dump_genesis(network.exchange),
        "scoring": msgspec.to_builtins(network.scoring),
        "bootstrap": msgspec.to_builtins(network.bootstrap),
    }
    if network.predecessor is not None:
        raw["predecessor"] = msgspec.to_builtins(network.predecessor)
    return json.dumps(raw, indent=2).encode() + b"\n"


def make_network(
    *,
    name: str,
    network_id: bytes,
    genesis_time_ms: int,
    committee: tuple[Seat, ...],
    timers: Timers,
    chains: tuple[Chain, ...],
    exchange: ExchangeGenesis,
    bootstrap: tuple[Bootstrap, ...] = (),
    scoring: Scoring = DEFAULT_SCORING,
    predecessor: Predecessor | None = None,
) -> NetworkFile:
    """Build a network from its parts, with all checks of `parse_network`. Raises ConfigError."""
    draft = NetworkFile(
        name=name,
        network_id=network_id,
        genesis_time_ms=genesis_time_ms,
        committee=committee,
        timers=timers,
        chains=chains,
        exchange=exchange,
        bootstrap=bootstrap,
        scoring=scoring,
        predecessor=predecessor,
        genesis_hash=b"",
    )
    return parse_network(dump_network(draft))


def compute_genesis_hash(data: bytes) -> bytes:
    """Return keccak256 of the canonical JSON (sorted keys, no spaces) without `bootstrap`."""
    raw = json.loads(data)
    raw.pop("bootstrap", None)
    text = json.dumps(raw, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return keccak256(text.encode())


def compute_restarted_id(predecessor: Predecessor, committee: Sequence[Seat]) -> bytes:
    """Return the id of the network that takes over: nothing signed for another network, or for
    another committee's restart from the same state, counts in it.
    """
    seats: list[int | bytes] = []
    for seat in committee:
        seats += [seat.address_bytes, seat.weight]
    return keccak256(
        b"OmniBazaar restart"
        + encode_words(
            bytes.fromhex(predecessor.network_id[2:]),
            bytes.fromhex(predecessor.genesis_hash[2:]),
            predecessor.height,
            bytes.fromhex(predecessor.block_hash[2:]),
            bytes.fromhex(predecessor.state_root[2:]),
            predecessor.attempt,
            keccak256(encode_words(*seats)),
        )
    )


def verify_same_network(expected: bytes, found: bytes, place: str) -> None:
    """Raise WrongNetwork when two genesis hashes differ."""
    if expected != found:
        raise WrongNetwork(
            f"{place} belongs to the network 0x{found.hex()}, this is 0x{expected.hex()}",
            fix="use another data directory for another network",
        )


def _verify(raw: _File, exchange: ExchangeGenesis, name: str) -> None:
    for what, values in (
        ("validators share an address", [seat.address.lower() for seat in raw.committee]),
        ("validators share an owner", [seat.owner_bytes.hex() for seat in raw.committee]),
        ("validators share a name", [seat.name for seat in raw.committee]),
        ("chains share a chain id", [chain.chain_id for chain in raw.chains]),
        ("bootstrap entries share an address", [peer.address.lower() for peer in raw.bootstrap]),
    ):
        if len(set(values)) != len(values):
            raise _bad(name, f"two {what}")
    vaults = {(chain.chain_id, chain.vault.lower()) for chain in raw.chains}
    for asset in exchange.assets:
        if (asset.chain_id, asset.vault.lower()) not in vaults:
            raise _bad(name, f"the asset {asset.name} lies in a vault that no chain names")
    scoring = raw.scoring
    if scoring.lead_blocks >= scoring.period_blocks:
        raise _bad(name, "scores close within their period: lead_blocks < period_blocks")
    if scoring.bond_min_atoms > scoring.bond_cap_atoms:
        raise _bad(name, "bond_cap is not below bond_min")
    if raw.predecessor is not None:
        _verify_predecessor(raw, raw.predecessor, name)
    timers = raw.timers
    if not 0 <= 2 * timers.gap_ms <= timers.leader_ms <= timers.view_ms:
        raise _bad(name, "timers must keep 2 × gap_ms ≤ leader_ms ≤ view_ms")


def _verify_predecessor(raw: _File, before: Predecessor, name: str) -> None:
    """A network that takes over has its own id, its own vaults and a later time."""
    if raw.network_id != "0x" + compute_restarted_id(before, raw.committee).hex():
        raise _bad(name, "network_id does not follow from predecessor and committee")
    closed = {(vault.chain_id, vault.vault.lower()) for vault in before.vaults}
    if closed & {(chain.chain_id, chain.vault.lower()) for chain in raw.chains}:
        raise _bad(name, "a vault of the predecessor pays by its own last root and by nothing else")
    if raw.genesis_time_ms <= before.time_ms:
        raise _bad(name, "genesis_time_ms lies before the predecessor's last block")


def _bad(name: str, text: str) -> ConfigError:
    return ConfigError(
        f"{name}: {text}",
        code="NET002",
        fix="get the file again from where the network is announced",
    )
