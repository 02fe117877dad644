"""A pending receipt is told again, whole, when one of its operations ends.

Spec: docs/reference/api.md (Account stream). Deviations: none.
"""

from __future__ import annotations

import msgspec

from exchange.outcome import Receipt, Resolution
from exchange.reasons import Reason
from node.views.receipts import PendingReceipts
from tests.exchange.world import World

ID = b"i" * 32
EMPTY = World().block()


def outcome(*receipts: Receipt, resolutions: tuple[Resolution, ...] = ()):
    return msgspec.structs.replace(EMPTY, receipts=receipts, resolutions=resolutions)


def pending() -> Receipt:
    return Receipt(ID, 1, [Reason.OK, Reason.PENDING, Reason.PENDING], [1, 2, 3])


def statuses(receipts: list[Receipt]) -> list[list[int]]:
    return [list(receipt.statuses) for receipt in receipts]


def test_each_end_is_told_with_all_statuses_and_then_no_more() -> None:
    known = PendingReceipts()
    assert statuses(known.apply(outcome(pending()))) == [[0, 1, 1]]
    first, second = Resolution(ID, 2, Reason.FILLED), Resolution(ID, 1, Reason.NOT_OPENED)
    assert statuses(known.apply(outcome(resolutions=(first,)))) == [[0, 1, 2]]
    assert statuses(known.apply(outcome(resolutions=(second,)))) == [[0, 74, 2]]
    assert known.apply(outcome(resolutions=(second,))) == []


def test_a_replay_never_hides_a_pending_receipt() -> None:
    known = PendingReceipts()
    known.apply(outcome(pending()))
    assert known.apply(outcome(Receipt(ID, 1, [Reason.NONCE_USED] * 3, [0] * 3))) == []
    ended = Resolution(ID, 1, Reason.FILLED)
    assert statuses(known.apply(outcome(resolutions=(ended,)))) == [[0, 2, 1]]
