"""Serve the web page from memory: plain files, no build step, same origin.

Rule: only the files found at start are served; a path from a request never touches the disk.
Spec: docs/reference/api.md (Page). Deviations: none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from node.api.errors import ApiError

WEB_DIR: Final = Path(__file__).resolve().parent.parent / "web"
MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of the page."""

    body: bytes
    media_type: str
    etag: str


def load_files(folder: Path = WEB_DIR) -> dict[str, File]:
    """Read every servable file below `folder`."""
    files = {}
    for path in sorted(folder.rglob("*")):
        media_type = MEDIA_TYPES.get(path.suffix)
        if media_type is None or not path.is_file():
            continue
        body = path.read_bytes()
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        name = path.relative_to(folder).as_posix()
        files[name] = File(body=body, media_type=media_type, etag=etag)
    return files


def page_routes(files: Mapping[str, File]) -> list[Route]:
    """Make the routes of the page: `/` and `/web/{path}`."""

    async def index(request: Request) -> Response:
        return file_response(files, "index.html", request)

    async def file(request: Request) -> Response:
        return file_response(files, request.path_params["path"], request)

    return [Route("/", index), Route("/web/{path:path}", file)]


def file_response(files: Mapping[str, File], name: str, request: Request) -> Response:
    """Answer with a file, or 304 when the browser has this very one. Raises ApiError."""
    file = files.get(name)
    if file is None:
        raise ApiError("not_found", "the page has no such file")
    headers = {"etag": file.etag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers=headers, media_type=file.media_type)
