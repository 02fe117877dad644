"""Say in a sentence why a vault, or a token that it asked, refuses, and what helps.

Rule: every custom error of the vault has a sentence; a test compares this table with the ABI. They
are for those who type commands: what a node sends by itself is told in its log.

Spec: docs/reference/errors.md
Deviations: none
"""

from __future__ import annotations

from typing import Final

from contracts.errors import ContractRefused
from primitives.errors import OperatorError

CODE: Final = "EVM014"
NOT_OURS: Final = (
    "the proof and this vault do not belong together",
    "check that network.json, the node and the RPC URL are of the same network",
)
OTHERS_BRING: Final = (
    "the vault does not take this checkpoint",
    "nothing: the validators bring the next one",
)
NEW_ONE: Final = ("it was signed for something else, or by somebody else", "sign a new one")
AGAIN_LATER: Final = ("the vault has not heard of it yet", "wait for the next checkpoint")

REASONS: Final[dict[str, tuple[str, str]]] = {
    # Deposits
    "BadAmount": (
        "the amount is zero or too large, or the fee takes all of it",
        "give another amount, or a lower fee",
    ),
    "DepositsClosed": (
        "the vault takes no deposits: they are paused, it moves to a successor, or it is silent",
        "`omnibazaar vault show` says which; nothing was taken",
    ),
    "UnlistedToken": (
        "the vault does not take this token",
        "`omnibazaar vault show` lists what it does",
    ),
    "WrongTransfer": (
        "the token moved another amount than it was told to",
        "nothing: such a token cannot be deposited, and its payments wait until it behaves",
    ),
    "NativeRefused": (
        "the receiver does not take the chain's coin",
        "its owner has to let it take coin; the payment waits in the vault",
    ),
    "OrderExpired": ("the deadline of the signed deposit has passed", "sign a new one"),
    "OrderNotSigned": NEW_ONE,
    "OrderDone": ("this deposit was made before", "nothing: look at `omnibazaar wallet balance`"),
    # Payments
    "UnknownState": AGAIN_LATER,
    "BadProof": NOT_OURS,
    "ForeignAsset": NOT_OURS,
    "AlreadyPaid": ("this withdrawal was paid before", "nothing: it is done"),
    "EscapedAlready": ("this balance was paid before", "nothing: it is done"),
    "NothingOwed": ("nothing is owed here", "nothing"),
    "OnlyOwner": ("only the owner may have it paid to somebody else", "use the owner's key"),
    "FeeNotSigned": ("the receiver has not signed this fee", "claim it without a relay"),
    "FeeTooHigh": ("the fee is more than the withdrawal", "offer a lower fee"),
    "FeeExpired": ("the promise of the fee has expired", "claim again: a new one is signed"),
    "InsufficientVault": (
        "the vault holds less of this token than it would have to pay",
        "`omnibazaar vault show`; the claim stays good",
    ),
    "UnknownDeposit": ("there is no such deposit, or it was refunded", "nothing"),
    "DepositCredited": ("the ledger has credited this deposit", "withdraw it from the ledger"),
    # Closing
    "VaultOpen": ("the vault has not closed", "withdraw as usual: `omnibazaar wallet withdraw`"),
    "VaultClosed": (
        "the vault has closed, and only pays what its last root says",
        "`omnibazaar wallet escape`",
    ),
    "EscapeTooEarly": ("the vault still settles", "`omnibazaar wallet escape` says from when on"),
    "EscapeNoticedAlready": ("notice was given before", "wait until it has run out"),
    # Decisions
    "WrongDecisionEpoch": (
        "the vault follows another epoch than the signatures are of",
        "try again in half a minute: the nodes sign again by themselves",
    ),
    "WrongNonce": (
        "another decision was carried out first, or this one already",
        "`omnibazaar decision list`; propose it again if it is still wanted",
    ),
    "DecisionExpired": ("the decision's days are over", "propose it again"),
    "BadDecision": ("there is no such decision", "propose another one"),
    "BadSuccessor": ("the next vault is this one, or no contract", "name another address"),
    "ListedAlready": ("the token is listed, or not listed, already", "nothing: it is done"),
    # Moving
    "SuccessorBehind": AGAIN_LATER,
    "SuccessorTooEarly": ("the successor's time has not come", "`omnibazaar vault show` says when"),
    "NotMoved": ("the ledger has not moved this token", "wait for the next checkpoint"),
    "NothingToHandOver": ("nothing is left to hand over", "nothing: it is done"),
    # Checkpoints
    "StaleCheckpoint": OTHERS_BRING,
    "WrongFees": OTHERS_BRING,
    "WrongNextCommittee": OTHERS_BRING,
    "WrongEpoch": OTHERS_BRING,
    "WrongCommittee": OTHERS_BRING,
    "BadHeaderCount": OTHERS_BRING,
    "BadMemberCount": OTHERS_BRING,
    "BadSeal": OTHERS_BRING,
    "BrokenHeaderLink": OTHERS_BRING,
    "MalformedCertificate": OTHERS_BRING,
    "BadSignature": OTHERS_BRING,
    "TooLittleWeight": ("too few validators have signed it", "wait until more have signed"),
    "CertificateExpired": (
        "the last checkpoint is so old that no signatures count any more",
        "`omnibazaar wallet escape`",
    ),
    # Either
    "ZeroAddress": ("an address is zero", "give an address that somebody has the key of"),
    "OnlySelf": ("only the vault may call this", "nothing"),
    "ReentrancyGuardReentrantCall": ("the call came from within another", "nothing"),
    "SafeERC20FailedOperation": (
        "the token refused the transfer",
        "check balance and allowance of the token",
    ),
    "ERC20InsufficientBalance": ("the wallet holds too little of the token", "send tokens to it"),
    "ERC20InsufficientAllowance": (
        "the vault may not take that much of the token",
        "run the same command again: it approves first",
    ),
}


def explain_refusal(refusal: ContractRefused) -> OperatorError:
    """Return a refusal as an error with a sentence and a fix."""
    found = REASONS.get(refusal.reason)
    if found is None:
        return OperatorError(f"the contract refuses: {refusal}", code=CODE)
    return OperatorError(f"{found[0]} ({refusal.reason})", code=CODE, fix=found[1])
