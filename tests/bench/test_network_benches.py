"""What the benchmark of committees says of sizes follows from encoded messages.

Rule: nothing is timed here; `python -m bench.committee` does that.
Spec: docs/reference/benchmarks.md (Committee size). Deviations: none.
"""

from __future__ import annotations

import pytest
import trio

from bench.cometbft import Watch, compare, sign_transactions
from bench.committee import fit, measure_register, measure_sizes

SIGNER_BYTES = 67  # a signature of 65 bytes and its MessagePack header


def test_a_certificate_costs_as_much_for_each_signer():
    sizes = {members: measure_sizes(members) for members in (22, 64, 128)}
    for one, other in ((22, 64), (64, 128)):
        grown = sizes[other]["certificate_bytes"] - sizes[one]["certificate_bytes"]
        signers = sizes[other]["quorum"] - sizes[one]["quorum"]
        assert 0 <= grown - SIGNER_BYTES * signers <= 4, "and the length of the list"
    assert sizes[128]["quorum"] == 86


def test_a_thousand_registered_fill_the_committee():
    assert measure_register(1_000)["seats"] == 128


def test_a_straight_line_through_two_committees():
    rows = [{"members": 4.0, "cpu": 1.0}, {"members": 8.0, "cpu": 2.0}]
    assert fit(rows, "cpu") == pytest.approx((0.0, 0.25))


def test_finality_beside_ours_is_from_complete_proposal_to_commit():
    watch = Watch()

    async def hear() -> None:
        watch.note(0, {"type": "tendermint/event/CompleteProposal", "value": {"height": "7"}})
        for step in ("RoundStepPrevote", "RoundStepCommit", "RoundStepCommit"):
            event = {"type": "tendermint/event/RoundState", "value": {"height": "7", "step": step}}
            watch.note(0, event)

    trio.run(hear)
    assert len(watch.finality_ms) == 1
    assert list(watch.committed) == [7]


def test_ratios_above_one_favour_cometbft():
    theirs = [
        {"finality_ms": {"median": 20}, "per_second": 20},
        {"finality_ms": {"median": 50}, "per_second": 900},
    ]
    ours = [
        {"finality_ms": {"median": 40}, "per_second": 20},
        {"finality_ms": {"median": 50}, "per_second": 300},
    ]
    assert compare(theirs, ours) == {
        "finality_light": 2.0,
        "finality_loaded": 1.0,
        "throughput": 3.0,
    }
    assert len(set(sign_transactions(3))) == 3
