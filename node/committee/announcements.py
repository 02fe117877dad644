"""Read what validators say of where they can be dialed.

Rule: the transport proves whose announcement it is; an address in it is a hint for dialing and is
bounded, in plain form, and private only on a private network.
Spec: docs/spec/node.md (Directory). Deviations: none.
"""

from __future__ import annotations

import ipaddress
import re
from collections import OrderedDict
from typing import Annotated, Final

import msgspec

from node.limits import ANNOUNCE_AHEAD_MS_MAX, ANNOUNCE_BYTES_MAX
from p2p.limits import ADDRESSES_PER_PEER_MAX, MULTIADDR_CHARS_MAX, VALIDATORS_MAX
from primitives import codec
from primitives.errors import InvalidMessage

ANNOUNCE_TOPIC: Final = "addresses"
_FORM = re.compile(
    r"/(?:(ip4|ip6)/([0-9a-f.:]{2,45})|dns[46]?/([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*))"
    r"/tcp/([1-9][0-9]{0,4})"
)
PORT_MAX: Final = 65_535

Multiaddr = Annotated[str, msgspec.Meta(max_length=MULTIADDR_CHARS_MAX)]


class Announcement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """Where the author can be dialed from now on."""

    time_ms: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
    multiaddrs: Annotated[
        tuple[Multiaddr, ...], msgspec.Meta(min_length=1, max_length=ADDRESSES_PER_PEER_MAX)
    ]


class Announcements:
    """The newest announcement of every validator. Single-threaded."""

    def __init__(self, *, allows_private: bool) -> None:
        self.allows_private = allows_private
        self._newest: OrderedDict[str, int] = OrderedDict()  # peer id → time

    def take(self, origin: str, data: bytes, now_ms: int) -> tuple[str, ...]:
        """Return new addresses of a peer; empty if it said something newer. Raises PeerError."""
        said: Announcement = codec.decode(data, Announcement, max_bytes=ANNOUNCE_BYTES_MAX)
        if said.time_ms > now_ms + ANNOUNCE_AHEAD_MS_MAX:
            raise InvalidMessage("an announcement from the future")
        if said.time_ms <= self._newest.get(origin, -1):
            return ()
        for address in said.multiaddrs:
            verify_dialable(address, allows_private=self.allows_private)
        self._newest[origin] = said.time_ms
        self._newest.move_to_end(origin)
        if len(self._newest) > VALIDATORS_MAX:
            self._newest.popitem(last=False)
        return said.multiaddrs


def encode_announcement(now_ms: int, multiaddrs: tuple[str, ...]) -> bytes:
    """Return the bytes to publish."""
    return codec.encode(Announcement(now_ms, multiaddrs[:ADDRESSES_PER_PEER_MAX]))


def verify_dialable(multiaddr: str, *, allows_private: bool) -> None:
    """Raise InvalidMessage for what is no TCP address that a validator could have."""
    form = _FORM.fullmatch(multiaddr)
    if form is None or int(form[4]) > PORT_MAX:
        raise InvalidMessage("not the address of a TCP port")
    if form[1] is None:
        return  # a name: what it stands for is looked up when it is dialed
    try:
        address = ipaddress.ip_address(form[2])
    except ValueError:
        raise InvalidMessage("not an IP address") from None
    if address.version != int(form[1][2]) or address.is_unspecified or address.is_multicast:
        raise InvalidMessage("not the address of one host")
    if not address.is_global and not allows_private:
        raise InvalidMessage("a private address on a public network")


def read_ip(multiaddr: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address in a multiaddr; None for a name or another form."""
    form = _FORM.fullmatch(multiaddr)
    if form is None or form[2] is None:
        return None
    try:
        return ipaddress.ip_address(form[2])
    except ValueError:
        return None


def is_unspecified(multiaddr: str) -> bool:
    """True for 0.0.0.0 and its like, which nobody can dial."""
    address = read_ip(multiaddr)
    return address is not None and address.is_unspecified


def is_private(multiaddr: str) -> bool:
    """True for an address that only neighbours reach."""
    address = read_ip(multiaddr)
    return address is not None and not address.is_global
