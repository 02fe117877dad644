"""A receipt only moves forward: pending, then its end.

Rule: receipts are what a node would send, in any order.
Spec: docs/reference/api.md (Channel account). Deviations: none.
"""

from __future__ import annotations

import trio

from client.outcomes import Outcomes, is_accepted_code, is_ended, is_executed
from client.views import AccountUpdate, ActionReceipt, Atoms, Fill, OpStatus

ID = b"\x01" * 32


def receipt(*codes, state="executed", height=5):
    statuses = tuple(OpStatus(index=n, code=code) for n, code in enumerate(codes))
    return ActionReceipt(id=ID, state=state, height=height, time_ms=1, statuses=statuses)


def fill(order, size):
    return Fill(
        trade=1,
        market=0,
        order=order,
        side="buy",
        price=5,
        size=size,
        fee=Atoms(1),
        maker=False,
        height=5,
        time_ms=1,
    )


def test_codes_tell_whether_an_operation_was_accepted():
    for code in ("ok", "pending", "filled", "PARTLY_FILLED", "replaced"):
        assert is_accepted_code(code)
    for code in ("ioc_unfilled", "insufficient_funds", "a code of tomorrow", ""):
        assert not is_accepted_code(code)


def test_an_action_has_ended_when_none_of_its_operations_is_pending():
    assert not is_ended(receipt("ok", "pending"))
    assert is_executed(receipt("ok", "pending"))
    assert is_ended(receipt("ok", "unknown_order"))
    assert not is_executed(receipt("ok", state="included"))


def test_an_end_is_not_taken_back():
    outcomes = Outcomes()
    end = receipt("filled", height=7)
    for item in (receipt("pending"), end, receipt("pending"), receipt("nonce_used", height=9)):
        outcomes.on_receipt(item)
    assert outcomes.get(ID) == end


def test_a_repeated_action_does_not_end_the_pending_one():
    outcomes = Outcomes()
    outcomes.on_receipt(receipt("pending", height=5))
    outcomes.on_receipt(receipt("nonce_used", height=6))
    assert outcomes.get(ID) == receipt("pending", height=5)
    outcomes.on_receipt(receipt("filled", height=8))
    assert is_ended(outcomes.get(ID))


async def test_whoever_waits_is_woken_by_the_receipt(autojump_clock):
    outcomes = Outcomes()
    found = []

    async def wait():
        found.append(await outcomes.wait(ID, is_ended, 10))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        outcomes.on_receipt(receipt("pending"))
        await trio.testing.wait_all_tasks_blocked()
        assert found == []
        outcomes.on_receipt(receipt("filled", height=8))
    assert found == [receipt("filled", height=8)]
    assert await outcomes.wait(b"\x02" * 32, is_ended, 10) is None


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("client.outcomes.OUTCOMES_REMEMBERED_MAX", 10)
    outcomes = Outcomes()
    for n in range(30):
        update = AccountUpdate(
            address=b"\x01" * 20,
            height=n,
            time_ms=1,
            orders=(),
            fills=(fill(n, 1), fill(n, 2)),
            balances=(),
        )
        outcomes.on_update(update)
    assert [item.size for item in outcomes.get_fills(29)] == [1, 2]
    assert outcomes.get_fills(5) == ()
