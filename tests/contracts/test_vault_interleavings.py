"""Any order of deposits, checkpoints, claims, replays and forgeries leaves the vault solvent.

It never pays a leaf twice or more than it owes, and it is never bricked: at the end everything that
the ledger owes can be claimed. `OMNIBAZAAR_SOAK` multiplies the number of runs.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import ContractRefused
from contracts.settlement_calls import encode_checkpoint
from contracts.settlement_types import CheckpointSubmission, StateWords, Submission
from primitives.address import to_checksum
from primitives.errors import TransientError
from tests.contracts.harness import STRANGER, TRADER, World, embedded_evm

RUNS = 8 * int(os.environ.get("OMNIBAZAAR_SOAK", "1"))
STEPS = (
    "deposit",
    "withdraw",
    "fees",
    "checkpoint",
    "late",
    "skip",
    "claim",
    "claim old",
    "replay",
    "forge",
    "light",
    "other vault",
    "break token",
    "mend token",
)
BEHAVE, REVERT, BURN_GAS = 0, 1, 2


class Run:
    """A world and what must be true of it."""

    def __init__(self) -> None:
        self.world = World(embedded_evm(), extra_tokens=("HostileToken",))
        self.evil = self.world.extra[0]
        self.tokens = (self.world.usdx, self.world.tokens["WBTC"], self.evil)
        self.free = dict.fromkeys(self.tokens, 0)
        self.paid: dict[int, int] = {}
        self.proven = 0  # withdrawals in the newest checkpoint
        self.words: list[tuple[StateWords, int]] = []
        self.skipped: list[CheckpointSubmission] = []
        self.foreign: set[int] = set()
        self.broken = False

    def step(self, name: str, number: int) -> None:
        """Do one thing, chosen by `number` where there is a choice."""
        token = self.tokens[number % len(self.tokens)]
        getattr(self, "do_" + name.replace(" ", "_"))(token, number)
        self.check()

    def check(self) -> None:
        """Solvent in every token; what was paid out is what the ledger let out."""
        self.world.assert_solvent()
        for token in self.tokens:
            status = self.world.client.token_status(token)
            paid = sum(
                amount
                for index, amount in self.paid.items()
                if self.world.ledger.withdrawals[index][1] == token
            )
            assert status.withdrawn == paid
            company, development = (status.fees_settled * p // 100 for p in (20, 10))
            assert status.liabilities == status.deposited - paid - company - development

    def do_deposit(self, token: bytes, number: int) -> None:
        if token == self.evil and self.broken:
            return
        self.world.deposit(token, number + 1)
        self.free[token] += number + 1

    def do_withdraw(self, token: bytes, number: int) -> None:
        amount = min(self.free[token], number + 1)
        if amount:
            self.world.ledger.withdraw(token, amount, STRANGER.address)
            self.free[token] -= amount

    def do_fees(self, token: bytes, number: int) -> None:
        """Fees move money on the ledger; the treasuries' part leaves it."""
        before = self.world.fees[token]
        after = before + min(self.free[token], number)
        leaving = sum(after * p // 100 - before * p // 100 for p in (20, 10))
        self.free[token] -= leaving
        self.world.fees[token] = after

    def do_checkpoint(self, _token: bytes, number: int) -> None:
        self._submit(self.world.submission(descendants=number % 4))

    def _submit(self, submission: CheckpointSubmission) -> None:
        assert self.world.client.submit_checkpoint(submission) is Submission.DONE
        self.proven = self.world.ledger.tree.size
        self.words.append((self.world.ledger.words(submission.executed_height), self.proven))

    def do_skip(self, _token: bytes, _number: int) -> None:
        self.skipped.append(self.world.submission())

    def do_late(self, _token: bytes, _number: int) -> None:
        """A checkpoint that was overtaken is refused and changes nothing."""
        if self.skipped and self.words:
            late = self.skipped.pop()
            if late.executed_height < self.words[-1][0].height:
                assert self.world.refused_checkpoint(late) == "StaleCheckpoint"

    def do_claim(self, _token: bytes, number: int) -> None:
        if self.proven:
            self._claim(number % self.proven, len(self.words) - 1)

    def do_claim_old(self, _token: bytes, number: int) -> None:
        if self.words:
            position = number % len(self.words)
            if self.words[position][1]:
                self._claim(number % self.words[position][1], position)

    def _claim(self, index: int, position: int) -> None:
        if index in self.foreign:
            return
        words, count = self.words[position]
        _, token, amount, _ = self.world.ledger.withdrawals[index]
        claim = self.world.ledger.claim(index, words, count)
        if token == self.evil and self.broken and index not in self.paid:
            with pytest.raises((ContractRefused, TransientError)):
                self.world.client.withdraw(claim)
            return
        outcome = self.world.client.withdraw(claim)
        assert (outcome is Submission.ALREADY_DONE) == (index in self.paid)
        self.paid[index] = amount

    def do_replay(self, _token: bytes, number: int) -> None:
        if self.paid:
            index = sorted(self.paid)[number % len(self.paid)]
            claim = self.world.ledger.claim(index, self.words[-1][0], self.words[-1][1])
            assert self.world.refused_withdrawal(claim) == "AlreadyPaid"

    def do_forge(self, _token: bytes, number: int) -> None:
        submission = self.world.submission()
        spoilt = bytearray(submission.signatures)
        spoilt[number % len(spoilt)] ^= 1 + number % 255
        forged = replace(submission, signatures=bytes(spoilt))
        assert self.world.refusal(encode_checkpoint(forged)).reason == "BadSignature"

    def do_light(self, _token: bytes, number: int) -> None:
        signers = (number % 4, (number + 1) % 4)
        light = self.world.submission(signers=tuple(sorted(signers)))
        assert self.world.refused_checkpoint(light) == "TooLittleWeight"

    def do_other_vault(self, token: bytes, number: int) -> None:
        """Leaves of other vaults are in the same tree and are not paid here."""
        index = self.world.ledger.withdraw(token, number + 1, TRADER.address, vault=b"\x99" * 20)
        self.foreign.add(index)
        self.do_checkpoint(token, 0)
        claim = self.world.ledger.claim(index, self.words[-1][0])
        assert self.world.refused_withdrawal(claim) == "BadProof"

    def do_break_token(self, _token: bytes, number: int) -> None:
        self._set_mode(REVERT if number % 2 else BURN_GAS)
        self.broken = True

    def do_mend_token(self, _token: bytes, _number: int) -> None:
        self._set_mode(BEHAVE)
        self.broken = False

    def _set_mode(self, mode: int) -> None:
        call = self.world.encode("HostileToken", "setMode", mode, to_checksum(bytes(20)), b"")
        assert self.world.send(TRADER, self.evil, call)["status"] == 1

    def finish(self) -> None:
        """Everybody gets everything."""
        self.do_mend_token(self.evil, 0)
        for token in self.tokens:
            if self.free[token]:
                self.world.ledger.withdraw(token, self.free[token], TRADER.address)
        self.do_checkpoint(self.evil, 0)
        for token in self.tokens:
            self.world.client.settle_fees(token)
        for index in range(self.world.ledger.tree.size):
            if index not in self.paid and index not in self.foreign:
                self._claim(index, len(self.words) - 1)
        self.check()
        for token in self.tokens:
            assert self.world.client.token_status(token).liabilities == 0
            assert self.world.balance(token, self.world.vault) == 0


@settings(max_examples=RUNS, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 10**9)), max_size=16))
def test_vault_stays_solvent_and_pays_everybody(steps: list[tuple[str, int]]) -> None:
    run = Run()
    for name, number in steps:
        run.step(name, number)
    run.finish()
