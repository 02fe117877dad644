"""Name every expected failure by who is to blame.

Rule: an error that a peer, the operator or the world can cause is one of these; anything else is
our bug.

    NodeError                      expected in normal operation
    ├── PeerError                  the remote broke a rule
    │   ├── InvalidMessage         bytes that no rule-abiding peer sends
    │   ├── InvalidSignature       a signature that fits no key, or not the claimed one
    │   ├── InvalidBlock           a block that breaks a rule of the chain
    │   ├── InvalidVote            a vote that breaks a rule of the protocol
    │   └── LimitExceeded          more than a named maximum
    ├── OperatorError              the user can fix it: `code`, `fix`, `exit_code`
    │   ├── ConfigError, KeystoreError, DataDirInUse, WrongNetwork, GuardMissing, NotRunning
    ├── SafetyError                we must not sign: stop duties
    │   ├── WouldEquivocate, Doppelganger, StateDiverged
    └── TransientError             try again, within limits

Spec: docs/reference/errors.md.
Deviations: none.
"""

from __future__ import annotations


class NodeError(Exception):
    """Expected in normal operation."""


class PeerError(NodeError):
    """The remote broke a rule."""


class InvalidMessage(PeerError):
    """Bytes that no rule-abiding peer sends."""


class InvalidSignature(PeerError):
    """A signature that fits no key, or not the claimed one."""


class InvalidBlock(PeerError):
    """A block that breaks a rule of the chain."""


class InvalidVote(PeerError):
    """A vote that breaks a rule of the protocol."""


class LimitExceeded(PeerError):
    """More than a named maximum."""


class OperatorError(NodeError):
    """The user can fix it. `code` is stable and documented, `fix` says what to do, `risk` what it
    means for the funds where that is not plain.
    """

    default_code = "ERR001"
    default_exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        fix: str = "",
        risk: str = "",
        exit_code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code or self.default_code
        self.fix = fix
        self.risk = risk
        self.exit_code = self.default_exit_code if exit_code is None else exit_code


class ConfigError(OperatorError):
    """The configuration cannot be used (exit 3)."""

    default_code = "CFG001"
    default_exit_code = 3


class DataDirInUse(OperatorError):
    """Another process owns the data directory (exit 4)."""

    default_code = "DIR001"
    default_exit_code = 4


class NotRunning(OperatorError):
    """The daemon cannot be reached (exit 5)."""

    default_code = "RUN001"
    default_exit_code = 5


class KeystoreError(OperatorError):
    """A key file or its password is wrong (exit 10)."""

    default_code = "KEY001"
    default_exit_code = 10


class GuardMissing(OperatorError):
    """The signing guard is missing, damaged or behind (exit 11)."""

    default_code = "SIG001"
    default_exit_code = 11


class WrongNetwork(OperatorError):
    """Data, peer or EVM chain belong to another network (exit 14)."""

    default_code = "NET001"
    default_exit_code = 14


class SafetyError(NodeError):
    """We must not sign: stop duties."""


class WouldEquivocate(SafetyError):
    """A signature would contradict one already given."""


class Doppelganger(SafetyError):
    """Our key is in use elsewhere."""


class StateDiverged(SafetyError):
    """Our state differs from one that is final."""


class TransientError(NodeError):
    """Try again, within limits."""
