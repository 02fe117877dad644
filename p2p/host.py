"""Build the libp2p host: TCP, Noise, Yamux, nothing that dials or opens ports by itself.

Rule: no other file constructs a host; every guard is on before the first connection.
Spec: docs/spec/p2p.md §1 (Transport).
Deviations: TLS, mplex, QUIC, WebSocket, mDNS and UPnP are not offered
(docs/adr/0040-libp2p-guards.md).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

from libp2p import create_yamux_muxer_option, new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.network.config import ConnectionConfig
from libp2p.peer.id import ID
from libp2p.rcmgr.connection_limits import ConnectionLimits
from libp2p.rcmgr.manager import ResourceLimits, ResourceManager
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from multiaddr import Multiaddr

from p2p import guards
from p2p.identity import decode_peer_id
from p2p.limits import CONNECTIONS_MAX, STREAMS_MAX
from primitives.errors import ConfigError


def build_host(
    *,
    seed: bytes,
    listen: Sequence[Multiaddr],
    announce: Sequence[Multiaddr],
    on_fault: Callable[[str, str], None],
) -> Any:
    """Return a host that is not running yet. Raises ConfigError for an untested libp2p."""
    guards.apply()
    keys = create_new_key_pair(seed)
    noise = NoiseTransport(keys, noise_privkey=create_noise_key_pair().private_key)
    host = new_host(
        key_pair=keys,
        listen_addrs=list(listen),
        announce_addrs=list(announce) or None,
        sec_opt={TProtocol(NOISE): noise},
        muxer_opt=create_yamux_muxer_option(),
        connection_config=_connection_config(),
        resource_manager=_resource_manager(),
        disable_identify_address_discovery=True,
    )
    guards.contain_streams(host, on_fault)
    guards.dial_nobody(host.get_network())
    return host


def _connection_config() -> ConnectionConfig:
    """No watermarks: nothing is dialed or pruned but by us."""
    return ConnectionConfig(
        max_connections=CONNECTIONS_MAX,
        min_connections=0,
        low_watermark=0,
        high_watermark=CONNECTIONS_MAX,
        dial_timeout=5.0,
        inbound_upgrade_timeout=5.0,
        outbound_upgrade_timeout=5.0,
        outbound_stream_protocol_negotiation_timeout=5.0,
        inbound_stream_protocol_negotiation_timeout=5.0,
    )


def _resource_manager() -> ResourceManager:
    """Only the counters: the circuit breaker lets five strangers' faults refuse everybody."""
    return ResourceManager(
        limits=ResourceLimits(max_connections=CONNECTIONS_MAX, max_streams=STREAMS_MAX),
        connection_limits=ConnectionLimits(
            max_established_per_peer=4, max_established_total=CONNECTIONS_MAX
        ),
        enable_metrics=False,
        enable_memory_limits=False,
        enable_circuit_breaker=False,
        enable_graceful_degradation=False,
        enable_rate_limiting=False,
    )


def parse_multiaddrs(texts: Sequence[str]) -> list[Multiaddr]:
    """Return the addresses. Raises ConfigError naming the one that is malformed."""
    addresses = []
    for text in texts:
        try:
            address = Multiaddr(text)
            if address.value_for_protocol("tcp") is None:
                raise ValueError("no tcp port")
        except Exception as error:
            raise ConfigError(
                f"not a TCP multiaddr: {text!r}", code="P2P004", fix="/ip4/0.0.0.0/tcp/30303"
            ) from error
        addresses.append(address)
    return addresses


def to_id(peer_id: str) -> ID:
    """Return libp2p's object of a peer id. Raises InvalidMessage."""
    return ID(decode_peer_id(peer_id))


def check_port_free(address: Multiaddr) -> None:
    """Refuse a port that is taken. Raises ConfigError.

    The library listens with SO_REUSEPORT: a second node on the same port would start, and each
    would get half of the connections.
    """
    port = int(address.value_for_protocol("tcp"))
    text = str(address)
    if not port or not text.startswith(("/ip4/", "/ip6/")):
        return
    family = socket.AF_INET6 if text.startswith("/ip6/") else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((text.split("/")[2], port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {text}: {error.strerror}",
                code="P2P005",
                fix="stop the other process or choose another p2p port",
            ) from error
