"""Carry a key's signing history from one machine to another, as a file one can read.

Rule: importing only ever forbids more: the floor is raised to the highest view that either side has
signed in, so nothing at or below it is signed again; conflicts between the two need no decision.
Spec: docs/reference/signing.md (after EIP-3076). Deviations: our vote kinds; (epoch, view) instead
of slots; a floor beside the votes.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from consensus.guard import Guard, Place
from consensus.vote import Kind
from primitives.address import parse_address, to_checksum
from primitives.errors import ConfigError, PeerError
from primitives.nesting import check_json_nesting

FORMAT = "omnibazaar-signing-history"
VERSION = "1"
HISTORY_BYTES_MAX = 64 << 20  # an honest one has a few kilobytes
NUMBER_MAX = 1 << 63

Number = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,18})$")]
Hex32 = Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-f]{64}$")]


class PlaceText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A view of an epoch."""

    epoch: Number
    view: Number


class SignedVote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One digest that was signed."""

    epoch: Number
    view: Number
    kind: str
    digest: Hex32


class KeyHistory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that one key has signed above its floor."""

    address: str
    floor: PlaceText
    signed_votes: list[SignedVote]


class Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which format, and of which network."""

    interchange_format: str
    interchange_format_version: str
    genesis_hash: Hex32


class History(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    metadata: Metadata
    data: list[KeyHistory]


def export_history(guard: Guard, address: bytes, genesis_hash: bytes) -> bytes:
    """Return the file's bytes."""
    votes = [
        SignedVote(str(epoch), str(view), kind.name.lower(), "0x" + digest.hex())
        for (epoch, view), signed in sorted(guard.signed().items())
        for kind, digest in sorted(signed.items())
    ]
    floor = PlaceText(str(guard.floor[0]), str(guard.floor[1]))
    history = History(
        Metadata(FORMAT, VERSION, "0x" + genesis_hash.hex()),
        [KeyHistory(to_checksum(address), floor, votes)],
    )
    return msgspec.json.format(msgspec.json.encode(history), indent=2) + b"\n"


def read_highest(data: bytes, address: bytes, genesis_hash: bytes) -> Place:
    """Return the highest place a file says the key has signed in. Raises ConfigError.

    A file of another network or without this key is refused: it protects from nothing here.
    """
    history = _decode(data)
    if history.metadata.interchange_format != FORMAT:
        raise _unusable(f"its format is {history.metadata.interchange_format!r}, not {FORMAT!r}")
    if history.metadata.interchange_format_version != VERSION:
        raise _unusable("it was written by a newer program")
    if history.metadata.genesis_hash != "0x" + genesis_hash.hex():
        raise _unusable("it belongs to another network")
    places = [
        place
        for entry in history.data
        if _parse_address(entry.address) == address
        for place in _places(entry)
    ]
    if not places:
        raise _unusable(f"it does not name the key {to_checksum(address)}")
    return max(places)


def find_highest(guard: Guard) -> Place:
    """Return the highest place that a guard knows of."""
    return max([guard.floor, *guard.signed()])


def _places(entry: KeyHistory) -> list[Place]:
    names = {kind.name.lower() for kind in Kind}
    strange = [vote.kind for vote in entry.signed_votes if vote.kind not in names]
    if strange:
        raise _unusable(f"{strange[0]!r} is not a kind of vote")
    places: list[PlaceText | SignedVote] = [entry.floor, *entry.signed_votes]
    found = [(int(place.epoch), int(place.view)) for place in places]
    if any(max(place) >= NUMBER_MAX for place in found):
        raise _unusable("an epoch or view in it is too large")
    return found


def _decode(data: bytes) -> History:
    if len(data) > HISTORY_BYTES_MAX:
        raise _unusable("it is too large")
    try:
        check_json_nesting(data)
        return msgspec.json.decode(data, type=History)
    except (msgspec.DecodeError, UnicodeDecodeError, PeerError) as error:
        raise _unusable(str(error)) from None


def _parse_address(text: str) -> bytes:
    try:
        return parse_address(text)
    except PeerError as error:
        raise _unusable(str(error)) from None


def _unusable(why: str) -> ConfigError:
    return ConfigError(
        f"the signing history cannot be used: {why}; nothing was changed",
        code="SIG002",
        fix="export it again where the key ran last: `omnibazaar signing export FILE`",
    )
