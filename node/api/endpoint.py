"""Describe one REST endpoint once, for the router, the documentation and the tests.

Rule: a handler gets parsed and bounded values only; what a query or body may look like stands in
its `Endpoint`, and OpenAPI is made from the same object.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from node.api.errors import ApiError
from node.api.limits import INTEGER_MAX, ROOM_NAME_CHARS_MAX
from node.api.service import NodeService
from primitives.address import parse_address
from primitives.errors import PeerError

Kind = Literal["integer", "address", "hash", "text", "market", "height_or_hash", "interval"]

INTERVALS_MS: dict[str, int] = {  # those the chain store keeps candles of
    "1s": 1_000,
    "5s": 5_000,
    "15s": 15_000,
    "1m": 60_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "4h": 14_400_000,
    "1d": 86_400_000,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One value in the path or the query."""

    name: str
    kind: Kind
    about: str
    minimum: int = 0
    maximum: int = INTEGER_MAX
    default: Any = None
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a handler gets: parsed parameters by name and the decoded body."""

    service: NodeService
    values: dict[str, Any]
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Bytes that are no view: pages, metrics, the gateway."""

    body: Any  # bytes, or an async iterator of bytes
    media_type: str
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method on one path."""

    method: Literal["GET", "POST"]
    path: str  # "/v1/markets/{market}/book"
    summary: str
    handler: Callable[[Call], Awaitable[Any]]
    answer: Any  # the view, or a media type as text
    parameters: tuple[Parameter, ...] = field(default=())
    body: Any = None  # the struct of the JSON body
    body_msgpack: Any = None  # the type of the MessagePack body
    operator: bool = False  # needs the token of run/token
    weight: int = 1  # counts as so many requests; what costs the node milliseconds counts more


def parse_value(service: NodeService, parameter: Parameter, text: str) -> Any:
    """Turn the text of a parameter into its value. Raises ApiError."""
    if parameter.kind == "integer":
        return parse_integer(parameter, text)
    if parameter.kind == "market":
        return parse_market(service, text)
    if parameter.kind == "address":
        return parse_account(text)
    if parameter.kind == "hash":
        return parse_hash(parameter.name, text)
    if parameter.kind == "height_or_hash":
        return parse_hash(parameter.name, text) if "x" in text else parse_integer(parameter, text)
    if parameter.kind == "interval":
        if text not in INTERVALS_MS:
            raise ApiError("bad_request", f"{parameter.name} is one of {', '.join(INTERVALS_MS)}")
        return INTERVALS_MS[text]
    return parse_text(parameter, text)


def parse_integer(parameter: Parameter, text: str) -> int:
    """Parse a plain decimal number within the parameter's bounds."""
    low, high = parameter.minimum, parameter.maximum
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and low <= int(text) <= high):
        raise ApiError("bad_request", f"{parameter.name} is a whole number from {low} to {high}")
    return int(text)


def parse_market(service: NodeService, text: str) -> int:
    """Find a market by id or name."""
    market = service.market_data.find_market(text)
    if market is not None:
        return market
    raise ApiError(
        "not_found", f"there is no market {text[:32]!r}", fix="GET /v1/markets lists all."
    )


def parse_account(text: str) -> bytes:
    """Parse a 20-byte address; a checksum is verified where the text has one."""
    try:
        return parse_address(text)
    except PeerError:
        raise ApiError("bad_request", "an account is 0x and 40 hex digits") from None


def parse_hash(name: str, text: str) -> bytes:
    """Parse 32 bytes in hex."""
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        value = b""
    if len(value) != 32 or len(text) != 66:
        raise ApiError("bad_request", f"{name} is 0x and 64 hex digits")
    return value


def parse_text(parameter: Parameter, text: str) -> str:
    """Accept a short printable text without control characters."""
    longest = min(parameter.maximum, ROOM_NAME_CHARS_MAX * 4)
    if not 0 < len(text) <= longest or not text.isprintable():
        raise ApiError("bad_request", f"{parameter.name} is 1 to {longest} printable characters")
    return text
