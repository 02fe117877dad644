"""Say in four parts what went wrong: what failed, its code, what is at risk, what to do.

Rule: every refusal of the API is an `ApiError` with a code from `CODES`; nothing else reaches a
client, and no answer shows a traceback.
Spec: docs/reference/errors.md (API). Deviations: none.
"""

from __future__ import annotations

from typing import Any, Final

from primitives.errors import (
    InvalidMessage,
    InvalidSignature,
    LimitExceeded,
    NodeError,
    PeerError,
    TransientError,
)

CODES: Final[dict[str, tuple[int, str]]] = {
    "bad_request": (400, "Correct the request; /v1/openapi.json describes it."),
    "invalid_message": (400, "Build the message as docs/reference/api.md describes."),
    "invalid_signature": (400, "Sign with the account's key or a session key it has granted."),
    "limit_exceeded": (400, "Send less at once; the limits stand in docs/reference/api.md."),
    "token_required": (401, "Send the header 'Authorization: Bearer TOKEN' with run/token."),
    "forbidden_host": (403, "Use the node's own address, or add the name to api.hosts."),
    "forbidden_origin": (403, "Use the node's own page, or add the origin to api.origins."),
    "not_found": (404, "Check the path and the name; /v1/openapi.json lists what there is."),
    "method_not_allowed": (405, "Use a method listed in the header 'Allow'."),
    "timeout": (408, "Send the body at once."),
    "pruned": (410, "Ask a node that keeps more; every node gives the same numbers."),
    "too_large": (413, "Split the request; the limits stand in docs/reference/api.md."),
    "unsupported_media_type": (415, "Send application/json or application/msgpack."),
    "too_many_requests": (429, "Wait a second and send less; batch actions in one request."),
    "internal": (500, "Try again; if it stays, `omnibazaar logs --level error` says more."),
    "unavailable": (503, "Wait until `omnibazaar status` says READY and try again."),
}
NO_RISK: Final = "nothing was changed"


class ApiError(Exception):
    """A refusal; `code` is a key of `CODES`."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        risk: str = NO_RISK,
        fix: str = "",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        fields: dict[str, int] | None = None,
    ) -> None:
        super().__init__(message)
        self.fields = fields or {}  # further numbers a program needs
        self.headers = headers  # of the HTTP answer
        self.code = code
        self.status, default_fix = CODES[code]
        self.message = message
        self.risk = risk
        self.fix = fix or default_fix

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        parts: dict[str, Any] = {"code": self.code, "message": self.message}
        return {"error": {**parts, "risk": self.risk, "fix": self.fix, **self.fields}}


def from_node_error(error: NodeError) -> ApiError:
    """Translate an error of the daemon into a refusal."""
    message = str(error) or type(error).__name__
    if isinstance(error, InvalidSignature):
        return ApiError("invalid_signature", message)
    if isinstance(error, LimitExceeded):
        return ApiError("limit_exceeded", message)
    if isinstance(error, InvalidMessage | PeerError):
        return ApiError("invalid_message", message)
    if isinstance(error, TransientError):
        return ApiError("unavailable", message)
    return ApiError("internal", "the node could not do it", risk="unknown; see the node's log")
