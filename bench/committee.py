"""Print what committees of several sizes cost a member per block, and the formulas behind it.

python -m bench.committee [--members 4,22,64,128] [--registered 1000]

Rule: the cost of consensus is measured by `tests.simulation.cost` in a process of its own (real
signatures and bytes, no disk, no network); sizes are those of encoded certificates; what grows with
everybody registered is timed on the product's own selection. The last line is JSON.
Spec: docs/explanation/committee-size.md. Deviations: none.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

from consensus.block import BlockBody, make_block
from consensus.certificate import Certificate, assemble_certificate
from consensus.committee import Committee, Member
from consensus.header import ZERO_HASH, Header
from consensus.limits import COMMITTEE_MAX
from consensus.messages import Range, encode_message
from consensus.participation.parameters import SCORE_ONE, Rules
from consensus.participation.period import close_period
from consensus.participation.register import Validator
from consensus.participation.selection import Seat, select_next_committee
from consensus.vote import Kind, Vote
from primitives.keccak import keccak256

BLOCKS_TIMES_MEMBERS: Final = 700  # how long each size runs
BUNDLES: Final = 4  # digests in the block whose size is told
RULES: Final = Rules(epoch_blocks=3_600)


def measure_cost(members: int) -> dict[str, float]:
    """Run a network of this size for a while."""
    blocks = max(4, BLOCKS_TIMES_MEMBERS // members)
    words = ["-m", "tests.simulation.cost", "--members", str(members), "--blocks", str(blocks)]
    done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_sizes(members: int) -> dict[str, int]:
    """Return the bytes of certificates, and of what an observer gets per block."""
    committee = Committee(
        tuple(Member(address=keccak256(b"%d" % n)[:20], weight=1) for n in range(members))
    )
    attendance = make_certificate(Kind.NOTARIZE, members)
    final = make_certificate(Kind.FINALIZE, committee.quorum)
    answer = Range((make_body(attendance),), final)
    return {
        "quorum": committee.quorum,
        "certificate_bytes": len(encode_message(final)),
        "full_certificate_bytes": len(encode_message(attendance)),
        "observer_bytes_per_block": len(encode_message(answer)),
        "observer_signatures_per_block": committee.quorum,
    }


def make_certificate(kind: Kind, signers: int) -> Certificate:
    """Return a certificate in the form that it has on the wire; nobody verifies it."""
    return assemble_certificate(
        Vote(kind, 1, 1 << 20, b"\1" * 32, (), signer, b"\2" * 65) for signer in range(signers)
    )


def make_body(attendance: Certificate) -> BlockBody:
    """Return a block with its parent's certificate."""
    words = Header(
        epoch=1,
        view=(1 << 20) + 1,
        height=1 << 20,
        parent_view=1 << 20,
        parent_hash=b"\1" * 32,
        time_ms=1_790_000_000_000,
        bundles_root=ZERO_HASH,
        executed_height=(1 << 20) - 2,
        state_root=b"\3" * 32,
        fees_root=b"\4" * 32,
        attendance_root=ZERO_HASH,
        evidence_root=ZERO_HASH,
        committee_hash=b"\5" * 32,
        next_committee_hash=ZERO_HASH,
        checkpoint_digest=ZERO_HASH,
        proposer=0,
    )
    return make_block(words, (b"\6" * 32,) * BUNDLES, attendance, ()).body


def measure_register(registered: int) -> dict[str, float]:
    """Time what a border costs every replica when so many are registered."""
    validators = {one.owner: one for one in map(make_validator, range(registered))}
    seats = tuple(
        Seat(owner=one.owner, hot_key=one.hot_key, weight=1)
        for one in list(validators.values())[:COMMITTEE_MAX]
    )
    started = time.thread_time()
    close_period(list(validators.values()))
    closed = time.thread_time()
    chosen = select_next_committee(validators, seats, RULES)
    ended = time.thread_time()
    return {
        "registered": registered,
        "seats": len(chosen),
        "close_period_ms": round(1_000 * (closed - started), 1),
        "select_ms": round(1_000 * (ended - closed), 1),
    }


def make_validator(number: int) -> Validator:
    """Return a validator whose bond and score differ from the others'."""
    return Validator(
        owner=keccak256(b"owner %d" % number)[:20],
        hot_key=keccak256(b"key %d" % number)[:20],
        payout=b"\1" * 20,
        network_key=b"\2" * 32,
        services=7,
        stake=RULES.bond_min * (1 + number % 90),
        is_leaving=False,
        score=SCORE_ONE * (60 + number % 40) // 100,
        heartbeat_height=1,  # everybody gives signs of life
    )


def fit(rows: Sequence[dict[str, float]], name: str) -> tuple[float, float]:
    """Return the straight line through the smallest and the largest committee."""
    first, last = rows[0], rows[-1]
    slope = (last[name] - first[name]) / (last["members"] - first["members"])
    return first[name] - slope * first["members"], slope


def print_table(rows: Sequence[dict[str, float]]) -> None:
    """Print one line per size and how well a straight line tells those between."""
    print("members quorum  CPU ms  sent KB  messages  journal KB  certificate  full  observer KB")
    for row in rows:
        print(
            f"{row['members']:7} {row['quorum']:6} {row['cpu_ms_per_block_and_node']:7.2f}"
            f" {row['sent_bytes_per_block_and_node'] / 1_000:8.1f}"
            f" {row['messages_per_block_and_node']:9.0f}"
            f" {row['journal_bytes_per_block_and_node'] / 1_000:11.1f}"
            f" {row['certificate_bytes']:12} {row['full_certificate_bytes']:5}"
            f" {row['observer_bytes_per_block'] / 1_000:12.1f}"
        )
    for name in ("cpu_ms_per_block_and_node", "sent_bytes_per_block_and_node"):
        base, slope = fit(rows, name)
        worst = max(abs(row[name] / (base + slope * row["members"]) - 1) for row in rows)
        print(f"{name}: {base:.2f} + {slope:.3f} x members, off by {100 * worst:.0f} % at most")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.committee")
    parser.add_argument("--members", default="4,22,64,128")
    parser.add_argument("--registered", type=int, default=1_000)
    given = parser.parse_args()
    sizes = sorted(int(size) for size in given.members.split(","))
    rows: list[dict[str, float]] = [{**measure_cost(n), **measure_sizes(n)} for n in sizes]
    if len(rows) > 1:
        print_table(rows)
    register = measure_register(given.registered)
    print(json.dumps({"committees": rows, "register": register}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
