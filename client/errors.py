"""Name what can go wrong between a trader and a node, by what the trader has to do about it.

Rule: every failure the SDK raises on purpose is one of these; after `OutcomeUnknown` and
`ConnectionLost` an action may still take effect, after the others it has not.

    NodeError
    ├── ClientError
    │   ├── RequestRefused         the node refused the request: `code`, `risk`, `fix`
    │   ├── UnknownMarket          the node lists no such market; the message names those it does
    │   ├── ActionRejected         an operation was refused: `code`; nothing changed
    │   ├── OutcomeUnknown         no word in time: ask for `action_id`, or send the same bytes
    │   ├── StreamLagged           events came faster than they were read: subscribe again
    │   ├── BookBroken             a local book went wrong: begin anew from a snapshot
    │   ├── NotRelayed             no relay brought a deposit or claim; it may still be brought
    │   ├── RiskyRecipient         a withdrawal to a contract or to nobody was not confirmed
    │   └── ProofRefused           what a node showed does not follow from the contract's state
    │       └── AnchorOutdated     it is of a later epoch than the contract knows yet: ask later
    └── TransientError
        └── ConnectionLost         the node cannot be reached

Spec: docs/reference/api.md (Errors). Deviations: none.
"""

from __future__ import annotations

from primitives.errors import NodeError, TransientError


class ClientError(NodeError):
    """Something a trader's program should handle."""


class RequestRefused(ClientError):
    """The node refused a request."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        risk: str = "",
        fix: str = "",
        status: int = 0,
        oldest_height: int | None = None,
    ) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code  # stable, documented in docs/reference/errors.md
        self.message = message
        self.risk = risk
        self.fix = fix
        self.status = status  # of HTTP; 0 over WebSocket
        self.oldest_height = oldest_height  # of `pruned`: from where on the node has what was asked


class UnknownMarket(ClientError, KeyError):
    """The node lists no such market."""

    def __str__(self) -> str:
        return str(self.args[0])


class ProofRefused(ClientError):
    """A proof does not hold: the node is wrong, or the contract is not that network's."""


class AnchorOutdated(ProofRefused):
    """What a node showed is of a later epoch than the contract knows; a checkpoint tells it."""


class ActionRejected(ClientError):
    """An action, or one operation of it, was refused and changed nothing."""

    def __init__(
        self, code: str, message: str = "", *, action_id: bytes = b"", op: int = 0
    ) -> None:
        super().__init__(f"rejected: {code}" + (f" ({message})" if message else ""))
        self.code = code  # lower-case name of the reason
        self.action_id = action_id
        self.op = op  # index of the operation


class OutcomeUnknown(ClientError):
    """No word in time of what became of an action; it may be executed until its deadline."""

    def __init__(self, action_id: bytes, message: str) -> None:
        super().__init__(f"{message}; action 0x{action_id.hex()} may still take effect")
        self.action_id = action_id


class StreamLagged(ClientError):
    """A subscription fell behind and was ended, so that nothing is lost in silence."""


class BookBroken(ClientError):
    """A local book lacks an update or does not agree with its checksum."""


class ConnectionLost(TransientError):
    """The node cannot be reached, or went away before it answered."""


class RiskyRecipient(ClientError):
    """A withdrawal would go where it may be lost; nothing was sent. `confirmed=True` sends it."""


class NotRelayed(ClientError):
    """No relay brought it. What was signed counts once and until its deadline, should one do so."""
