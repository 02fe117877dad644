"""Fetch blocks by HTTP from trustless gateways: another node's, a Kubo's, anybody's.

Rule: a gateway is believed nothing: at most the bytes of one block are read, and they must hash to
the CID. Calls block, so each runs in a thread; a gateway that fails is asked last for a while.
Spec: https://specs.ipfs.tech/http-gateways/trustless-gateway/; docs/spec/storage.md#gateway
Deviations: raw blocks only; redirects are not followed.
"""

from __future__ import annotations

import http.client
import logging
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import trio

from primitives.cid import Cid
from primitives.errors import ConfigError, InvalidMessage, TransientError
from storage import limits
from storage.gateway import RAW_TYPE

log = logging.getLogger("omnibazaar.storage")


class GatewayClient:
    """Several gateways, asked in turn."""

    def __init__(self, urls: Sequence[str]) -> None:
        """Raises ConfigError when an URL is none."""
        for url in urls:
            verify_url(url)
        self._urls = list(urls)
        self._threads = trio.CapacityLimiter(limits.GATEWAY_REQUESTS_MAX)
        self.fetched_total = 0  # blocks that came

    async def fetch(self, cid: Cid) -> bytes:
        """Return a block. Raises TransientError when no gateway gives it."""
        for url in tuple(self._urls):
            try:
                data = await trio.to_thread.run_sync(
                    fetch_block, url, cid, limiter=self._threads, abandon_on_cancel=True
                )
            except (TransientError, InvalidMessage) as error:
                log.info("the gateway %s has not given %s: %s", url, cid, error)
                self._put_last(url)
                continue
            self.fetched_total += 1
            return data
        raise TransientError(f"none of {len(self._urls)} gateways gives the block {cid}")

    def _put_last(self, url: str) -> None:
        self._urls.remove(url)
        self._urls.append(url)


def verify_url(url: str) -> None:
    """Raise ConfigError unless this is the root of an HTTP gateway."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise ConfigError(
            f"{url!r} is no gateway", code="CFG001", fix="write it like http://127.0.0.1:8080"
        )


def fetch_block(url: str, cid: Cid) -> bytes:
    """Return one block from one gateway. Raises TransientError, InvalidMessage."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=limits.GATEWAY_TIMEOUT_S)
    try:
        path = f"{parts.path.rstrip('/')}/ipfs/{cid}?format=raw"
        connection.request("GET", path, headers={"Accept": RAW_TYPE})
        with connection.getresponse() as answer:
            data = read_in_time(answer, time.monotonic() + limits.GATEWAY_BLOCK_S)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TransientError(f"it does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise TransientError(f"HTTP {answer.status}")
    if len(data) > limits.BLOCK_BYTES_MAX:
        raise InvalidMessage(f"a block of more than {limits.BLOCK_BYTES_MAX} bytes")
    cid.verify(data)
    return data


def read_in_time(answer: http.client.HTTPResponse, deadline_s: float) -> bytes:
    """Return at most one byte more than a block. Raises TransientError for a trickle."""
    data = b""
    while len(data) <= limits.BLOCK_BYTES_MAX:
        piece = answer.read1(limits.BLOCK_BYTES_MAX + 1 - len(data))
        if not piece:
            break
        data += piece
        if time.monotonic() > deadline_s:
            raise TransientError("it sends too slowly")
    return data
