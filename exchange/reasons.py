"""What became of an operation: one stable code per outcome.

Rule: a code is never reused or renumbered; codes below `REJECTED` mean that the operation was
accepted.
Spec: docs/spec/exchange.md#reasons
Deviations: none.
"""

from enum import IntEnum
from typing import Final

REJECTED: Final = 16
"""Codes from here on are rejections: the operation changed nothing."""


class Reason(IntEnum):
    """Status of an operation, and the reason in an order's last event."""

    OK = 0
    """Done: applied, resting, cancelled as asked."""
    PENDING = 1
    """Accepted; it waits for its market's batch. A later receipt or resolution tells the end."""
    FILLED = 2
    """The order traded completely."""
    PARTLY_FILLED = 3
    """The order traded in part and the rest expired (immediate-or-cancel)."""
    REPLACED = 4
    """In order events: the order left its place for its replacement."""
    CANCELLED = 5
    """In order events: cancelled by its owner."""
    REVOKED = 6
    """In order events: cancelled with the session key that placed it."""

    COUNTED = 7
    """A validator's attestation counts; it is applied when enough others say the same."""

    EXPIRED = 8
    """In order events: the time it was to rest until has passed."""
    SWITCHED_OFF = 9
    """In order events: the sub-account's cancel-after time has passed."""

    LAST_PART = 10
    """In order events: the last part of the order was made; it goes on as an order of its own."""
    EXIT_REACHED = 11
    """In order events: the rest of an entry ended because an exit of its bracket was reached."""

    MALFORMED = 16
    WRONG_DOMAIN = 17
    BAD_SIGNATURE = 18
    MIXED_OPERATIONS = 19
    """A wallet operation or an attestation must be the only kind in its action."""
    NEEDS_WALLET = 20
    """Grant, Revoke, Withdraw and Transfer need the account's own key."""
    UNKNOWN_ACCOUNT = 21
    UNKNOWN_KEY = 22
    KEY_EXPIRED = 23
    KEY_REVOKED = 24
    NONCE_USED = 25
    NONCE_TOO_OLD = 26
    NONCE_OUT_OF_WINDOW = 27
    DEADLINE_PASSED = 28
    DEADLINE_TOO_FAR = 29
    RATE_LIMITED = 30
    ATOMIC_FAILED = 31
    """Another operation of the same atomic action was rejected."""
    KEY_LACKS_ACTION = 32
    KEY_LACKS_MARKET = 33
    OVER_KEY_NOTIONAL = 34
    OVER_KEY_TOTAL = 35
    """More notional than the session key has left in its whole life."""
    OVER_KEY_ORDERS = 36
    """More orders than the session key has left in its whole life."""
    OVER_ALLOWANCE = 37
    """More operations than the account may send in this hour."""

    UNKNOWN_MARKET = 48
    UNKNOWN_ASSET = 49
    INSUFFICIENT_FUNDS = 50
    POST_ONLY_CROSSES = 51
    FOK_UNFILLABLE = 52
    IOC_UNFILLED = 53
    NEEDS_COMMIT = 54
    """Taking liquidity in a sealed market needs a commit."""
    SELF_TRADE = 55
    UNKNOWN_ORDER = 56
    """No such live order, or not this account's."""
    DUPLICATE_CLIENT_ID = 57
    TOO_MANY_ORDERS = 58
    OVER_MARKET_LIMIT = 59
    OUTSIDE_BAND = 60
    """A buy above, or a sell below, the price band of the market."""

    NOT_SEALED = 64
    BAD_TIER = 65
    DUPLICATE_COMMIT = 66
    TOO_MANY_COMMITS = 67
    UNKNOWN_COMMIT = 68
    OPENED_TOO_EARLY = 69
    ALREADY_OPEN = 70
    OPENING_MISMATCH = 71
    OPENING_OVER_TIER = 72
    OPENING_INVALID = 73
    NOT_OPENED = 74
    """In commit events: the window closed; the bond went to the insurance account."""

    KEY_USED_BEFORE = 80
    BAD_GRANT = 81
    BAD_TRANSFER = 82
    UNKNOWN_BUILDER = 83
    """No such account, the own one, or not approved by this one."""
    BAD_BUILDER = 84
    """More than the network lets anybody approve."""
    TOO_MANY_BUILDERS = 85
    OVER_APPROVAL = 86
    """A builder's fee above what the account has approved."""
    TOO_MANY_KEYS = 87
    """Ended keys count until they are forgotten, eight days after their end."""

    NOT_VALIDATOR = 96
    ATTESTED_ALREADY = 97
    ATTESTATION_NOT_NEXT = 98
    BAD_DEPOSITS = 99
    UNKNOWN_VAULT = 100
    VAULT_MOVED = 101
    """The assets of this vault have moved to another one."""
    VAULT_FROZEN = 103
    """Its chain has lost the ledger, or validators see another chain; in events: ended by that."""
    BAD_MOVE = 102
    """Not another vault, too early, or something else is decided: call that off first."""

    MARKET_POST_ONLY = 112
    """The market takes only orders that rest, and no commits."""
    MARKET_CANCEL_ONLY = 113
    """The market takes no orders; in events: ended because it came to that."""
    MARKET_DELISTED = 114
    NOT_THIS_ROUND = 115
    """A validator's word on another round of the market's status than the present one."""
    NO_CHANGE = 116
    """The market has this status; an earlier word of this validator in the round is taken back."""
    BELOW_MINIMUM = 117
    """Less than the asset's smallest transfer or withdrawal."""
    BAD_LISTING = 118
    """Terms that contradict themselves or change what a market is, or a name like a number."""
    BAD_PROTOCOL = 119
    """Not the next version of the protocol, or a height that is too near."""

    LISTED_ALREADY = 120
    """The name, or the token in that vault, is taken: for ever, also by what was delisted."""
    LISTINGS_FULL = 121
    """As many assets or markets as there can be."""
    MARKET_IN_CHANGE = 122
    """The market's orders end because its terms change; it can only be delisted meanwhile."""
    TERMS_CHANGED = 123
    """In events: ended because the market's terms change."""
    MARKET_AUCTION = 124
    """The market collects orders for an auction: no fill-or-kill, no commits; in events: a commit
    ended because it came to that. While the auction is carried out, nothing but cancels."""

    BAD_TRIGGER = 128
    """No leg, a leg without a limit, overlapping legs, or post-only."""
    TRIGGER_REACHED = 129
    """The last trade is there already: place the order itself."""
    TOO_MANY_TRIGGERS = 130
    BAD_TIME = 131
    """An expiry that has passed, or a cancel-after time beyond a day."""

    BAD_PLAN = 132
    """The visible part is not smaller than the whole, too many parts, or fewer lots than slots."""
    TOO_MANY_PLANS = 133


def is_accepted(status: int) -> bool:
    """Tell whether a status is no rejection."""
    return status < REJECTED


def reason_name(status: int) -> str:
    """Return the stable name of a status, as users read it: "ok" for zero."""
    try:
        return Reason(status).name.lower()
    except ValueError:
        return f"code_{status}"
