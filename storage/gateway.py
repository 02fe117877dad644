"""Answer trustless-gateway requests: one raw block, or a DAG as a CAR.

Rule: what goes out can be verified by whoever gets it, so nothing is trusted and nothing rendered;
this file knows no HTTP server, it turns a request into status, headers and body.
Spec: https://specs.ipfs.tech/http-gateways/trustless-gateway/; docs/spec/storage.md#gateway
Deviations: CIDs without a path; `dag-scope` all or block; no ranges (`Accept-Ranges: none`); CARs
in depth-first order without duplicates; sha2-256 only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from primitives.cid import Cid
from primitives.errors import InvalidMessage
from storage import car, limits
from storage.block_source import BlockSource
from storage.dag_walk import walk

RAW: Final = "raw"
CAR: Final = "car"
MEDIA_TYPES: Final[Mapping[str, str]] = {
    "application/vnd.ipld.raw": RAW,
    "application/vnd.ipld.car": CAR,
}
RAW_TYPE: Final = "application/vnd.ipld.raw"
CAR_TYPE: Final = "application/vnd.ipld.car; version=1; order=dfs; dups=n"
FOREVER: Final = "public, max-age=29030400, immutable"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayAnswer:
    status: int
    headers: Headers
    body: bytes | AsyncIterator[bytes]
    """An iterator that raises has found a gap: cut the connection, do not end it cleanly."""


async def respond(
    source: BlockSource,
    cid_text: str,
    *,
    form: str = "",
    scope: str = "all",
    headers: Sequence[tuple[str, str]] = (),
    is_head: bool = False,
) -> GatewayAnswer:
    """Answer GET (or HEAD) /ipfs/{cid}; `form` and `scope` are `format` and `dag-scope` queries."""
    fields = {name.lower(): value for name, value in headers}
    form = form or choose_form(fields.get("accept", ""))
    if form not in (RAW, CAR):
        return refuse(406, "ask for ?format=raw or ?format=car: this gateway serves blocks only")
    if scope not in ("all", "block"):
        return refuse(400, "dag-scope is all or block")
    if not (cid_text.isascii() and cid_text.isalnum()):
        return refuse(400, "not a CID")  # it goes into headers, so not even white space is let in
    try:
        cid = Cid.parse(cid_text[: limits.CID_TEXT_MAX + 1])
    except InvalidMessage as error:
        return refuse(400, str(error))
    etag = f'"{cid_text}.raw"' if form == RAW else f'W/"{cid_text}.car.{scope}"'
    if is_match(fields.get("if-none-match", ""), etag):
        return GatewayAnswer(status=304, headers=(("Etag", etag),), body=b"")
    block = await source.get(cid)
    if block is None:
        status = 412 if "only-if-cached" in fields.get("cache-control", "") else 404
        return refuse(status, f"block {cid_text} is not here")
    if form == RAW:
        return answer_raw(cid_text, block, etag, is_head=is_head)
    return answer_car(source, cid, cid_text, block, etag, scope=scope, is_head=is_head)


def choose_form(accept: str) -> str:
    """Return the first form an Accept header names; "" = none of ours."""
    for part in accept.split(",")[:32]:
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        form = MEDIA_TYPES.get(media_type, "")
        if form == CAR and any(p.startswith("version=") and p != "version=1" for p in parameters):
            continue
        if form:
            return form
    return ""


def is_match(if_none_match: str, etag: str) -> bool:
    """Compare entity tags weakly, as RFC 9110 wants for If-None-Match."""
    tags = (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
    return any(tag in ("*", etag.removeprefix("W/")) for tag in tags)


def answer_raw(cid_text: str, block: bytes, etag: str, *, is_head: bool) -> GatewayAnswer:
    """Return one block."""
    headers = (
        ("Content-Type", RAW_TYPE),
        ("Content-Length", str(len(block))),
        ("Content-Disposition", f'attachment; filename="{cid_text}.bin"'),
        *common_headers(cid_text, etag),
    )
    return GatewayAnswer(status=200, headers=headers, body=b"" if is_head else block)


def answer_car(
    source: BlockSource,
    cid: Cid,
    cid_text: str,
    block: bytes,
    etag: str,
    *,
    scope: str,
    is_head: bool,
) -> GatewayAnswer:
    """Return a DAG, streamed."""
    headers = (
        ("Content-Type", CAR_TYPE),
        ("Content-Disposition", f'attachment; filename="{cid_text}.car"'),
        *common_headers(cid_text, etag),
    )
    body: bytes | AsyncIterator[bytes]
    if is_head:
        body = b""
    elif scope == "block":
        body = car.encode_header((cid,)) + car.encode_section(cid, block)
    else:
        body = stream_car(source, cid)
    return GatewayAnswer(status=200, headers=headers, body=body)


async def stream_car(source: BlockSource, root: Cid) -> AsyncIterator[bytes]:
    """Yield a CAR section by section. Raises as `walk`, after what was found has been yielded."""
    yield car.encode_header((root,))
    async for cid, block in walk(source, root):
        yield car.encode_section(cid, block)


def common_headers(cid_text: str, etag: str) -> Headers:
    return (
        ("Etag", etag),
        ("Cache-Control", FOREVER),
        ("Accept-Ranges", "none"),
        ("Vary", "Accept"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Ipfs-Path", f"/ipfs/{cid_text}"),
        ("X-Ipfs-Roots", cid_text),
    )


def refuse(status: int, reason: str) -> GatewayAnswer:
    """Say in a line what is wrong."""
    headers = (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    )
    return GatewayAnswer(status=status, headers=headers, body=f"{reason}\n".encode())
