"""Ask a node over HTTP with the standard library only, so that quick commands stay quick.

Rule: answers are bounded; a refusal of the node becomes the same four-part error here.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from primitives.errors import NodeError, NotRunning, OperatorError

ANSWER_BYTES_MAX: Final = 16 << 20
TIMEOUT_S: Final = 30  # a node that is not there refuses at once, a busy one answers late


class Refused(NodeError):
    """The node said no."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("message", f"HTTP {status}")))
        self.status = status
        self.code = str(error.get("code", ""))
        self.risk = str(error.get("risk", ""))
        self.fix = str(error.get("fix", ""))


class Answer(dict[str, Any]):
    """What a node said: a JSON object. A name it lacks means that something else has answered."""

    def __init__(self, url: str, values: dict[str, Any]) -> None:
        super().__init__(values)
        self._url = url

    def __missing__(self, name: str) -> Any:
        raise _not_a_node(self._url)


def get(url: str, path: str, token: str = "", **query: object) -> Any:
    """Return the JSON a node answers to GET. Raises Refused or NotRunning."""
    text = urlencode({name: value for name, value in query.items() if value is not None})
    return _request(url, "GET", f"{path}?{text}" if text else path, None, token)


def post(url: str, path: str, body: dict[str, Any], token: str = "") -> Any:
    """Return the JSON a node answers to POST. Raises Refused or NotRunning."""
    return _request(url, "POST", path, body, token)


def _request(url: str, method: str, path: str, body: dict[str, Any] | None, token: str) -> Any:
    import http.client

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OperatorError(f"{url!r} is no URL of a node", fix="http://HOST:PORT", exit_code=2)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {"Accept": "application/json"}
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_S)
    try:
        connection.request(method, parts.path.rstrip("/") + path, data, headers)
        answer = connection.getresponse()
        content = answer.read(ANSWER_BYTES_MAX)
    except TimeoutError:
        raise NotRunning(
            f"the node at {url} does not answer within {TIMEOUT_S} s",
            fix="try again; if it stays so, `omnibazaar logs` says what it does",
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise NotRunning(
            f"no node answers at {url}: {error}", fix="start it with `omnibazaar run`"
        ) from None
    finally:
        connection.close()
    try:
        value = json.loads(content)
    except ValueError:
        raise _not_a_node(url) from None
    if not isinstance(value, dict):
        raise _not_a_node(url)
    if answer.status < 400:
        return Answer(url, value)
    if not isinstance(value.get("error"), dict):
        raise _not_a_node(url)
    raise Refused(answer.status, value["error"])


def _not_a_node(url: str) -> NotRunning:
    return NotRunning(f"{url} is no OmniBazaar node, or of another version", fix="check the URL")
