"""Decisions are shown in people's words, and bringing one survives an epoch border.

Spec: docs/how-to/decide.md; docs/reference/cli.md. Deviations: the node's answers are written here.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from contracts.errors import ContractRefused
from node.cli import decision as commands
from node.cli import http
from primitives.errors import NodeError

MEMBERS = [{"address": f"0x{n:040x}", "weight": 333_333_333} for n in range(1, 4)]
OPEN = {
    "id": "0x" + "3f" * 32,
    "approved_here": True,
    "chain_id": 31337,
    "vault": "0x" + "51" * 20,
    "kind": 1,
    "subject": "0x" + "00" * 20,
    "value": "1",
    "epoch": 1,
    "nonce": 0,
    "valid_until_s": 2_000_000_000,
    "weight": 999_999_999,
    "quorum": 666_666_667,
    "signatures": [{"seat": n, "address": "0x", "signature": "0x"} for n in range(3)],
    "members": MEMBERS,
}
SIGNED_BY_ONE = OPEN | {"weight": 333_333_333, "signatures": OPEN["signatures"][:1], "epoch": 2}  # type: ignore[index]


class Vault:
    """What it says to each attempt, and what the node shows before it."""

    def __init__(self, *turns: tuple[dict[str, Any], Exception | None]) -> None:
        self.turns = list(turns)
        self.waits = 0

    def show(self, url: str, path: str) -> dict[str, Any]:
        return {"decisions": [self.turns[0][0]]}

    def bring(self, context: object, found: dict[str, Any], *_: object) -> str:
        assert found["weight"] >= found["quorum"]
        error = self.turns[0][1]
        if error is not None:
            raise error
        return "done"

    def wait(self, _seconds: float) -> None:
        self.waits += 1
        self.turns = self.turns[1:] or self.turns


def run(monkeypatch: pytest.MonkeyPatch, vault: Vault, *arguments: str) -> Result:
    clock = SimpleNamespace(monotonic=lambda: 10.0 * vault.waits, sleep=vault.wait)
    context = SimpleNamespace(
        find_url=lambda: "http://node", load_key=lambda *_: None, find_token=lambda: "token"
    )
    monkeypatch.setattr(commands, "time", clock)
    monkeypatch.setattr(commands, "_bring", vault.bring)
    monkeypatch.setattr(http, "get", vault.show)
    monkeypatch.setattr(http, "post", lambda url, path, body, token: vault.turns[0][0])
    return CliRunner().invoke(commands.decision, arguments, obj=context)


def border(epoch: int = 1) -> ContractRefused:
    return ContractRefused("WrongDecisionEpoch", (epoch, epoch + 1))


def test_a_decision_says_how_many_have_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(monkeypatch, Vault((OPEN, None)), "list").output
    assert "pause" in said
    assert "3 of 3 validators (100.0 %, > 66.6 % needed)" in said
    assert "approves" in said
    said = run(monkeypatch, Vault((SIGNED_BY_ONE, None)), "withdraw", "0x3f").output
    assert "no longer signed here after epoch 2" in said


def test_it_is_brought_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault((OPEN, None))
    assert run(monkeypatch, vault, "submit", "0x3f").output == "pause: done\n"
    assert vault.waits == 0


def test_after_a_border_it_waits_for_the_signatures_of_the_new_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    later = OPEN | {"epoch": 2}
    vault = Vault((OPEN, border()), (OPEN, border()), (SIGNED_BY_ONE, None), (later, None))
    done = run(monkeypatch, vault, "submit", "0x3f")
    assert done.exit_code == 0
    assert done.output.endswith("pause: done\n")
    assert vault.waits == 3


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        (((SIGNED_BY_ONE, None),), "only 1 of 3 validators (33.3 %"),
        (((OPEN, ContractRefused("WrongNonce", (0, 1))),), "WrongNonce"),
        (((OPEN, border()),), "WrongDecisionEpoch"),
        (((OPEN, border()), (SIGNED_BY_ONE, None)), "only 1 of 3"),
    ],
)
def test_what_cannot_be_brought_is_said(
    monkeypatch: pytest.MonkeyPatch,
    turns: tuple[tuple[dict[str, Any], Exception | None], ...],
    reason: str,
) -> None:
    vault = Vault(*turns)
    done = run(monkeypatch, vault, "submit", "0x3f")
    assert isinstance(done.exception, NodeError)
    assert reason in str(done.exception)
    assert vault.waits <= 10  # a minute and a half, and then the error
