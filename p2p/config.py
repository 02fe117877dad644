"""State what a node must know to join the network.

Rule: plain data, checked once here; this file imports no libp2p.
Spec: docs/spec/p2p.md §2 (Identity).
Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from p2p.handshake import Signer
from p2p.identity import SEED_BYTES, decode_peer_id
from p2p.limits import ADDRESSES_PER_PEER_MAX, MULTIADDR_CHARS_MAX, OBSERVERS_MAX, VALIDATORS_MAX
from primitives.errors import ConfigError, InvalidMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownValidator:
    """A validator as the network file names it: key, transport identity, where to dial."""

    address: bytes
    """20 bytes of the validator's hot key."""
    peer_id: str
    """Its libp2p peer id, base58."""
    multiaddrs: tuple[str, ...] = ()
    """Where to dial, for example `/ip4/127.0.0.1/tcp/30303`, without the `/p2p/` part."""

    def __post_init__(self) -> None:
        if len(self.address) != 20:
            raise ConfigError("a validator's address has 20 bytes", code="P2P001")
        if len(self.multiaddrs) > ADDRESSES_PER_PEER_MAX:
            raise ConfigError(f"{self.peer_id} has too many multiaddrs", code="P2P001")
        if any(len(a) > MULTIADDR_CHARS_MAX or not a.startswith("/") for a in self.multiaddrs):
            raise ConfigError(f"{self.peer_id} has a malformed multiaddr", code="P2P001")
        try:
            decode_peer_id(self.peer_id)
        except InvalidMessage as error:
            raise ConfigError(str(error), code="P2P001") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Everything `Network` needs."""

    network_id: bytes
    """32 bytes."""
    seed: bytes = field(repr=False)
    """32 secret bytes of the transport identity (Ed25519)."""
    validators: tuple[KnownValidator, ...]
    """All validators, ourselves included or not."""
    signer: Signer | None = None
    """Our validator key; None makes us an observer, who has no lanes."""
    listen: tuple[str, ...] = ("/ip4/127.0.0.1/tcp/0",)
    """Multiaddrs to listen on; port 0 picks a free one."""
    announce: tuple[str, ...] = ()
    """Multiaddrs to tell others instead of those we listen on."""
    peer_book: Path | None = None
    """Where the peer list survives a restart."""
    observers_max: int = OBSERVERS_MAX
    """Connected peers that are not validators."""

    def __post_init__(self) -> None:
        if len(self.network_id) != 32 or len(self.seed) != SEED_BYTES:
            raise ConfigError("network_id and seed have 32 bytes each", code="P2P002")
        if len(self.validators) > VALIDATORS_MAX:
            raise ConfigError(f"at most {VALIDATORS_MAX} validators", code="P2P002")
        if len({v.address for v in self.validators}) != len(self.validators):
            raise ConfigError("two validators with one address", code="P2P002")
        if len({v.peer_id for v in self.validators}) != len(self.validators):
            raise ConfigError("two validators with one peer id", code="P2P002")
