"""Name what can go wrong between this node and an EVM chain.

Rule: what may succeed later is TransientError; what a human must fix is OperatorError; what the
contract will never accept is ContractRefused.

Spec: docs/spec/settlement.md §10
Deviations: none
"""

from __future__ import annotations

from primitives.errors import NodeError, OperatorError, TransientError


class RpcRefused(NodeError):
    """The RPC node answered with an error."""

    def __init__(self, code: int, message: str, details: bytes = b"") -> None:
        """Keep the JSON-RPC code and message, and the revert data if there is any."""
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.details = details


class ChainAway(TransientError):
    """No node of the EVM chain answers, or not enough of them agree."""

    risk = "funds stay where they are; what is on its way is finished by the same command later"
    fix = "try again later, or name another endpoint: --rpc, or evm.rpc_urls"


class RateLimited(TransientError):
    """The RPC node wants to be left alone for a while."""

    def __init__(self, message: str, seconds: float) -> None:
        """Keep how long it wants to be left alone."""
        super().__init__(message)
        self.seconds = seconds


class MinedInVain(TransientError):
    """A transaction that a look had found good was mined and reverted: something came between."""


class ContractRefused(NodeError):
    """A contract reverts this call; repeating it cannot help."""

    def __init__(self, reason: str, arguments: tuple[int, ...] = ()) -> None:
        """Keep the name of the custom error and its words as integers."""
        super().__init__(f"{reason}{arguments if arguments else ''}")
        self.reason = reason
        self.arguments = arguments


class GasAccountEmpty(OperatorError):
    """The account that pays for transactions cannot pay."""

    default_code = "EVM002"
