"""A validator that was away is jailed, serves its term, and `validator unjail` brings it back.

Rule: the ledger, its blocks and the command are real; only the way over HTTP is left out.
Spec: docs/spec/participation.md (Jail). Deviations: none.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from consensus.participation.parameters import (
    JAIL_HEIGHTS_MIN,
    JAILED_SCORE,
    SEAT_SCORE,
)
from exchange.actions import SignedAction
from node.cli import claiming, staking
from node.views.score_views import make_score
from primitives.errors import OperatorError
from primitives.secp256k1 import PrivateKey
from tests.exchange.world import NETWORK_ID, START_MS
from tests.node.rotating_ledger import EPOCH, GAP_MS, RotatingLedger, with_newcomer

TERM_MS = 60_000


class Operator:
    """Types commands; what they send waits for the next block."""

    def __init__(
        self, ledger: RotatingLedger, key: PrivateKey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.ledger = ledger
        self.sent: list[SignedAction] = []
        monkeypatch.setattr(claiming.http, "get", self.get)
        monkeypatch.setattr(claiming.http, "post", self.post)
        monkeypatch.setattr(staking, "load_hot_key", lambda *_: key)
        monkeypatch.setattr("time.time_ns", lambda: self.now_ms * 1_000_000)
        network = SimpleNamespace(network_id=NETWORK_ID)
        monkeypatch.setattr("node.network_file.load_network", lambda _: network)

    @property
    def now_ms(self) -> int:
        return START_MS + self.ledger.ledger.height * GAP_MS

    def get(self, url: str, path: str) -> dict[str, Any]:
        found = self.ledger.keeper.find(bytes.fromhex(path.split("/")[3][2:]))
        assert found is not None
        score = make_score(self.ledger.keeper.participation, found)
        return {"jailed_until_ms": score.jailed_until_ms}

    def post(self, url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        (one,) = body["actions"]
        payload, signature = (bytes.fromhex(one[name][2:]) for name in ("payload", "signature"))
        self.sent.append(SignedAction(payload=payload, signature=signature))
        return {"results": [{"accepted": True, "id": "0x"}]}

    def unjail(self) -> None:
        context = SimpleNamespace(
            find_url=lambda: "http://node", data=SimpleNamespace(network_file=Path("network.json"))
        )
        assert claiming.unjail.callback is not None
        claiming.unjail.callback.__wrapped__(context, "validator", None, False)


def test_a_jailed_validator_comes_back_by_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, hot, owner = with_newcomer()
    operator, one = Operator(ledger, hot, monkeypatch), ledger.find(owner)
    ledger.absent = {owner}
    ledger.observers.clear()
    began = ledger.ledger.height
    while not one.jailed_until_ms:
        ledger.block()
        assert ledger.ledger.height < began + 2 * JAIL_HEIGHTS_MIN
    assert one.jailed_until_ms == operator.now_ms + TERM_MS
    assert (one.jail_count, one.score <= JAILED_SCORE) == (1, True)
    with pytest.raises(OperatorError, match="ends in 61 s"):
        operator.unjail()
    while owner in ledger.seats:
        ledger.block()
        assert ledger.ledger.height < began + 2 * JAIL_HEIGHTS_MIN + 2 * EPOCH
    ledger.absent = set()
    ledger.run_to(ledger.ledger.height + TERM_MS // GAP_MS)
    assert one.jailed_until_ms, "the end of the term alone brings nobody back"
    score = one.score
    operator.unjail()
    ledger.block(*operator.sent)
    ledger.block()
    assert (one.jailed_until_ms, one.vote_heights, one.score) == (0, 0, score)
    with pytest.raises(OperatorError, match="not jailed"):
        operator.unjail()
    ledger.observers.append(hot)
    periods = 0
    while owner not in ledger.seats:
        ledger.run_to(ledger.ledger.height + EPOCH)
        periods += 1
        assert periods < 12 * 6
    assert one.score >= SEAT_SCORE
    weights = {seat.weight for seat in ledger.seats.values()}
    assert max(weights) - min(weights) <= 1, "below fifty members shares are equal"
