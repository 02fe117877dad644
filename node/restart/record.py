"""Lay out the last final state of a network that cannot go on, as one CAR that proves itself.

Rule: nothing in it is believed because somebody wrote it down: a certificate proves the last block,
executing the blocks proves the state.
Spec: docs/spec/restart.md (Export). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from consensus.committee import Member
from consensus.header import HEADER_BYTES
from node.limits import HEADERS_PER_CHECKPOINT_MAX
from node.network_file import FILE_BYTES_MAX, MEMBERS_MAX
from node.settlement.escape_archive import Archive, decode_archive
from primitives import dag_cbor
from primitives.cid import DAG_CBOR, RAW, Cid
from primitives.errors import ConfigError, InvalidMessage, PeerError
from storage.car import encode_header, encode_section, read_blocks, read_roots
from storage.limits import CAR_BYTES_MAX, MANIFEST_BYTES_MAX

VERSION: Final = 1
CERTIFICATE_BYTES_MAX: Final = 262_144
KEYS: Final = {"archive", "certificate", "headers", "members", "network", "version"}

Blocks = Callable[[Cid], bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What proves the last final state."""

    network: Cid  # the network file, a raw block
    archive: Cid  # what leads to the state after the last final block
    headers: tuple[bytes, ...]  # from the last final block to the certified one: itself, or seals
    certificate: bytes
    members: tuple[Member, ...]  # the committee that certified it

    def encode(self) -> bytes:
        """Return the DAG-CBOR block."""
        return dag_cbor.encode(
            {
                "archive": self.archive,
                "certificate": self.certificate,
                "headers": list(self.headers),
                "members": [[member.address, member.weight] for member in self.members],
                "network": self.network,
                "version": VERSION,
            }
        )

    @property
    def cid(self) -> Cid:
        """The root of the CAR."""
        return Cid.of(DAG_CBOR, self.encode())


def decode_export(block: bytes) -> Export:
    """Decode the root of an export. Raises InvalidMessage, LimitExceeded."""
    value = dag_cbor.decode(block, MANIFEST_BYTES_MAX)
    if not isinstance(value, dict) or value.keys() != KEYS or value["version"] != VERSION:
        raise InvalidMessage("this is no export of a last final state")
    network, archive = value["network"], value["archive"]
    if not (isinstance(network, Cid) and isinstance(archive, Cid)) or network.codec != RAW:
        raise InvalidMessage("an export links a network file and an archive")
    headers, certificate = value["headers"], value["certificate"]
    if not isinstance(headers, list) or not 1 <= len(headers) <= HEADERS_PER_CHECKPOINT_MAX:
        raise InvalidMessage("an export has the headers up to the certified one")
    if not all(isinstance(one, bytes) and len(one) == HEADER_BYTES for one in headers):
        raise InvalidMessage(f"headers have {HEADER_BYTES} bytes")
    if not isinstance(certificate, bytes) or len(certificate) > CERTIFICATE_BYTES_MAX:
        raise InvalidMessage("an export has a certificate")
    return Export(
        network=network,
        archive=archive,
        headers=tuple(headers),
        certificate=certificate,
        members=tuple(_members(value["members"])),
    )


def _members(value: Any) -> Iterator[Member]:
    if not isinstance(value, list) or not 1 <= len(value) <= MEMBERS_MAX:
        raise InvalidMessage("an export names the committee")
    for one in value:
        if not isinstance(one, list) or len(one) != 2:
            raise InvalidMessage("a member is an address and a weight")
        address, weight = one
        if not isinstance(address, bytes) or len(address) != 20 or type(weight) is not int:
            raise InvalidMessage("a member is an address and a weight")
        if not 1 <= weight < 1 << 64:
            raise InvalidMessage("a member's weight is a positive integer")
        yield Member(address=address, weight=weight)


def write_car(file: Path, export: Export, blocks: Iterator[bytes]) -> None:
    """Write an export and the blocks that it leads to into a new file. Raises ConfigError."""
    try:
        with file.open("xb") as stream:
            stream.write(encode_header([export.cid]))
            stream.write(encode_section(export.cid, export.encode()))
            for section in blocks:
                stream.write(section)
    except OSError as error:
        raise ConfigError(
            f"{file}: {error.strerror}", fix="name a new file in a writable place"
        ) from None


def read_car(file: Path) -> tuple[Export, Blocks]:
    """Read an export; every block is checked against its CID. Raises ConfigError, PeerError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(CAR_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", fix="name a readable file") from None
    if len(data) > CAR_BYTES_MAX:
        raise InvalidMessage(f"{file} is larger than {CAR_BYTES_MAX} bytes")
    roots, _ = read_roots(data)
    blocks = dict(read_blocks(data))
    if len(roots) != 1:
        raise InvalidMessage("an export has one root")
    return decode_export(take(roots[0], blocks.get)), blocks.get


def take(cid: Cid, blocks: Blocks) -> bytes:
    """Return a block. Raises PeerError when the CAR lacks it."""
    data = blocks(cid)
    if data is None:
        raise PeerError(f"the export lacks the block {cid}")
    return data


def take_network(export: Export, blocks: Blocks) -> bytes:
    """Return the network file of the export. Raises PeerError."""
    data = take(export.network, blocks)
    if len(data) > FILE_BYTES_MAX:
        raise InvalidMessage("the export's network file is too large")
    return data


def take_archive(export: Export, blocks: Blocks) -> Archive:
    """Return what leads to the state. Raises PeerError."""
    return decode_archive(take(export.archive, blocks))
