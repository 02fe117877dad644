"""Say in a sentence why the registry, or its token, refuses, and what helps.

Rule: every custom error of the registry has a sentence; a test compares this table with the ABI.

Spec: docs/reference/errors.md
Deviations: none
"""

from __future__ import annotations

from typing import Final

from contracts.errors import ContractRefused
from primitives.errors import OperatorError

CODE: Final = "VAL002"

REASONS: Final[dict[str, tuple[str, str]]] = {
    "ZeroAddress": ("an address is zero", "give an address that somebody has the key of"),
    "AlreadyRegistered": (
        "this owner has a validator already",
        "`omnibazaar validator status`; use another --from for a second one",
    ),
    "NotRegistered": (
        "this owner has no validator",
        "`omnibazaar validator join`, or give the owner's key with --from",
    ),
    "HotKeyTaken": (
        "the hot key is, or was, in use by a registration; a key is never used twice",
        "omnibazaar keys new --role validator, and use that one",
    ),
    "HotKeyNotProven": (
        "the hot key's signature is not for this owner, registry and chain",
        "check that network.json and the RPC URL are of the same network",
    ),
    "UnknownService": ("there is no such service", "use trading, chat and storage"),
    "StakeTooSmall": (
        "the stake is below 1,000 XOM, or an addition below 1 XOM",
        "give a larger amount",
    ),
    "Leaving": (
        "the validator is leaving; that cannot be taken back",
        "wait for the unbonding, `omnibazaar validator claim`, then join again",
    ),
    "StillBonded": (
        "the stake is still bonded",
        "`omnibazaar validator status` says until when; repeat it then",
    ),
    "NoEquivocation": (
        "the two votes are not by one registered key, or do not conflict",
        "nothing: there was no offence",
    ),
    "AlreadyPunished": ("this offence has been punished before", "nothing: it is done"),
    "NotConvicted": ("the validator was not convicted in that week", "nothing"),
    "NothingToRaise": ("the penalty is what it has to be", "nothing"),
    "OnlySettlement": ("only the vault may call this", "nothing"),
    "NoSuccessor": ("the vault has no successor yet", "wait until its time has come"),
    "ReentrancyGuardReentrantCall": ("the call came from within another", "nothing"),
    "SafeERC20FailedOperation": ("the token refused the transfer", "check the XOM balance"),
    "ECDSAInvalidSignature": ("a signature is malformed", "nothing: there was no offence"),
    "ECDSAInvalidSignatureLength": ("a signature is malformed", "nothing: there was no offence"),
    "ECDSAInvalidSignatureS": ("a signature is malformed", "nothing: there was no offence"),
    "ERC20InsufficientBalance": ("the owner has too little XOM", "send XOM to the owner's address"),
    "ERC20InsufficientAllowance": (
        "the registry may not take that much XOM from the owner",
        "run the same command again: it approves first",
    ),
}


def explain(refusal: ContractRefused) -> OperatorError:
    """Return a refusal as an error with a sentence and a fix."""
    sentence, fix = REASONS.get(
        refusal.reason, (f"the registry refuses: {refusal}", "`omnibazaar validator status`")
    )
    return OperatorError(f"{sentence} ({refusal.reason})", code=CODE, fix=fix)
