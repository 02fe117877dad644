"""A range ends with a certified block and fits one message.

Spec: docs/spec/consensus.md (Catching up). Deviations: none.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import trio

from node.blocks import ranges
from node.blocks.ranges import RangeServer, Requests, make_range
from node.blocks.records import decode_stored_certificate
from node.limits import RANGE_REQUESTS_MAX
from primitives import codec
from primitives.errors import OperatorError
from storage.records import StoredBlock
from tests.consensus.desk import Desk


def make_rows(certified: str) -> list[StoredBlock]:
    """One row per character; `c` has a certificate of its own."""
    desk, blocks = Desk(), []
    for view in range(1, len(certified) + 1):
        blocks.append(desk.block(view, *blocks[-1:]))
    return [
        StoredBlock(
            summary=None,  # type: ignore[arg-type]
            encoded=codec.encode(block.body),
            node=b"",
            certificate=codec.encode(desk.finalization(block)) if mark == "c" else b"",
            bundles=(),
        )
        for block, mark in zip(blocks, certified, strict=True)
    ]


@pytest.mark.parametrize(
    ("certified", "length"), [("", 0), ("--", 0), ("c", 1), ("-c-", 2), ("c-c--", 3), ("-cc", 3)]
)
def test_it_ends_with_the_last_certified_block(certified: str, length: int) -> None:
    rows = make_rows(certified)
    found = make_range(rows)
    if not length:
        assert found is None
        return
    assert found is not None
    assert [codec.encode(body) for body in found.blocks] == [r.encoded for r in rows[:length]]
    assert codec.encode(found.finalization) == rows[length - 1].certificate


def test_it_stays_within_the_byte_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = make_rows("cc-c")
    limit = sum(len(row.encoded) for row in rows[:3])
    monkeypatch.setattr(ranges, "RANGE_BYTES_MAX", limit)
    found = make_range(rows)
    assert found is not None
    assert len(found.blocks) == 2


def test_a_boundary_block_comes_with_the_seals_that_prove_it() -> None:
    desk = Desk()
    boundary = desk.block(1)
    seal = desk.block(2, boundary)
    row = make_rows("-")[0]
    proven = replace(
        row,
        encoded=codec.encode(boundary.body),
        certificate=codec.encode(desk.finalization(seal)),
        seals=codec.encode((seal.body,)),
    )
    found = make_range([proven])
    assert found is not None
    assert found.blocks == (boundary.body, seal.body)
    assert found.finalization.block_hash == seal.hash


def test_it_stays_within_one_epoch() -> None:
    rows = make_rows("-cc")
    later = decode_stored_certificate(rows[2].certificate)
    assert later is not None
    foreign = codec.encode(msgspec.structs.replace(later, epoch=2))
    found = make_range([*rows[:2], replace(rows[2], certificate=foreign)])
    assert found is not None
    assert len(found.blocks) == 2


def test_it_ends_before_blocks_that_a_fetched_state_made_needless() -> None:
    rows = make_rows("cc-cc")
    found = make_range([*rows[:2], *rows[3:]])
    assert found is not None
    assert len(found.blocks) == 2


def test_who_asks_very_often_keeps_nobody_waiting() -> None:
    """One request per peer waits, the newest, and members have every other turn."""
    members = {b"member 1", b"member 2"}
    requests = Requests(members.__contains__)
    for height in range(1, 1_000):
        requests.put(b"greedy", height)
    for number in range(1_000):
        requests.put(b"one of many %d" % number, 1)
    assert all(requests.put(member, 7) for member in sorted(members))
    answered = [requests.take() for _ in range(4)]
    assert answered[0] == (b"member 1", 7)
    assert answered[1] == (b"greedy", 999)
    assert answered[2] == (b"member 2", 7)
    others = [answered[1], answered[3], *iter(requests.take, None)]
    assert len(others) == RANGE_REQUESTS_MAX
    assert requests.put(b"greedy", 1_000)


async def test_a_damaged_page_that_a_peer_asks_for_ends_nothing() -> None:
    """Whoever asked again ended the node again, at every start."""
    sent: list[tuple[bytes, ...]] = []

    async def read(_: object, first: int, __: int) -> list[StoredBlock]:
        if first == 1:
            raise OperatorError("database damaged", code="DSK005")
        return make_rows("c")

    wire = SimpleNamespace(send=lambda to, frame, bulk: sent.append(to))
    server = RangeServer(
        cast(Any, SimpleNamespace(run=read)), cast(Any, wire), is_member=lambda peer: True
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        server.serve(b"\x01" * 20, 1)
        server.serve(b"\x02" * 20, 2)
        with trio.fail_after(30):
            while not sent:
                await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
    assert sent == [(b"\x02" * 20,)]
