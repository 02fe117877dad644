"""Whatever the vault refuses is a sentence with a way on.

Spec: docs/reference/errors.md. Deviations: none.
"""

from __future__ import annotations

import pytest

from contracts.artifact import error_names
from contracts.errors import ContractRefused
from contracts.vault_reasons import CODE, REASONS, explain_refusal
from node.cli import root


def test_every_reason_of_the_vault_has_a_sentence_and_a_fix() -> None:
    assert set(error_names("Settlement").values()) <= set(REASONS)
    for reason in REASONS:
        error = explain_refusal(ContractRefused(reason, (1, 2)))
        assert reason in str(error)
        assert error.fix
        assert error.code == CODE
    assert "reverted" in str(explain_refusal(ContractRefused("transaction 0x1 was reverted")))


def test_a_command_that_a_contract_refuses_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**_: object) -> None:
        raise ContractRefused("DepositsClosed")

    monkeypatch.setattr(root.root, "main", refuse)
    assert root.call(["wallet"]) == 1
    said = capsys.readouterr().err
    assert "takes no deposits" in said
    assert "(DepositsClosed)" in said
    assert "do    `omnibazaar vault show`" in said
