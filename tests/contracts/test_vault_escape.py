"""The escape: when it opens, whom it pays, and that it pays by the last root and only once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from contracts.settlement_types import StateWords, Submission
from primitives.address import to_checksum
from primitives.secp256k1 import PrivateKey
from tests.contracts.harness import CHAIN_ID, NOBODY, RELAYER, STRANGER, TRADER, ZERO, World

DAY = 24 * 3600
USDX, XOM, WETH, WBTC = range(4)


@dataclass
class Silent:
    """A world whose ledger has stopped, with what its last root says."""

    world: World
    words: StateWords

    def state(self) -> tuple[Any, ...]:
        """The last root's words as the contract wants them."""
        return as_tuple(self.words)

    def fees(self) -> list[tuple[Any, ...]]:
        """The last root's fee totals."""
        return [
            (one.chain_id, to_checksum(one.vault), to_checksum(one.token), one.total, one.owed)
            for one in self.world.fee_totals()
        ]

    def escape(self, owner: bytes, position: int = 0, **other: Any) -> bytes:
        """Calldata of `escape`, with parts replaced."""
        account, entry = self.world.ledger.balance_proof(owner, position)
        return self.world.encode(
            "Settlement",
            "escape",
            other.get("words", self.state()),
            other.get("account", account),
            other.get("entry", entry),
            other.get("fees", self.fees()),
            to_checksum(other.get("to", owner)),
        )

    def refund(self, deposit: int, amount: int, **other: Any) -> bytes:
        """Calldata of `refund` for a deposit by the trader, USDX and all but what is replaced."""
        trader = to_checksum(TRADER.address)
        token = to_checksum(other.get("token", self.world.usdx))
        cursors = [(one[0], to_checksum(one[1]), one[2]) for one in self.world.ledger.cursors()]
        return self.world.encode(
            "Settlement",
            "refund",
            other.get("words", self.state()),
            other.get("cursors", cursors),
            (deposit, token, trader, trader, amount),
            to_checksum(other.get("to", TRADER.address)),
        )

    def close(self) -> None:
        """Let a week pass, give notice and let it run out."""
        self.world.increase_time(7 * DAY + 60)
        assert call(self.world, RELAYER, "openEscape") == 1
        self.world.increase_time(2 * DAY + 60)

    def send(self, payload: bytes, key: PrivateKey = RELAYER) -> int:
        """Status of a call to the vault."""
        return int(self.world.send(key, self.world.vault, payload)["status"])


def as_tuple(words: StateWords) -> tuple[Any, ...]:
    """State words in the order of the contract's struct."""
    return (
        words.height,
        words.accounts,
        words.withdrawals,
        words.deposits,
        words.fills,
        words.effects,
        words.rest,
    )


def call(world: World, key: PrivateKey, function: str, *arguments: Any) -> int:
    """Status of a transaction to the vault."""
    payload = world.encode("Settlement", function, *arguments)
    return int(world.send(key, world.vault, payload)["status"])


def refused(world: World, function: str, *arguments: Any) -> str:
    """Why the vault refuses a call."""
    return world.refusal(world.encode("Settlement", function, *arguments)).reason


@pytest.fixture
def silent(world: World) -> Silent:
    """Two deposits, of which one is credited: trader 600 free and 100 held, stranger 300."""
    world.deposit(world.usdx, 1_000)
    world.deposit(world.usdx, 55)
    world.ledger.credited = 1
    world.ledger.accounts = {
        TRADER.address: [(0, USDX, 600, 100), (3, WETH, 0, 0)],
        STRANGER.address: [(0, WETH, 9, 0), (1, WETH, 0, 0), (0, USDX, 300, 0)],
    }
    return Silent(world, world.checkpoint())


def test_notice_needs_a_week_of_silence(silent: Silent) -> None:
    world = silent.world
    assert refused(world, "openEscape") == "EscapeTooEarly"
    assert world.view("Settlement", world.vault, "closedAt") == 0
    world.increase_time(7 * DAY - 3600)
    assert refused(world, "openEscape") == "EscapeTooEarly"
    world.increase_time(3600)
    assert call(world, STRANGER, "openEscape") == 1
    assert refused(world, "openEscape") == "EscapeNoticedAlready"
    noticed = world.view("Settlement", world.vault, "noticeAt")
    assert world.view("Settlement", world.vault, "closedAt") == noticed + 2 * DAY
    assert not world.view("Settlement", world.vault, "isClosed")


def test_nothing_escapes_before_the_notice_has_run_out(silent: Silent) -> None:
    world = silent.world
    for seconds in (0, 7 * DAY + 60):
        world.increase_time(seconds)
        assert world.refusal(silent.escape(TRADER.address)).reason == "VaultOpen"
        assert world.refusal(silent.refund(1, 55)).reason == "VaultOpen"
    assert call(world, RELAYER, "openEscape") == 1
    world.increase_time(2 * DAY - 60)
    assert world.refusal(silent.escape(TRADER.address)).reason == "VaultOpen"
    world.increase_time(60)
    assert silent.send(silent.escape(TRADER.address)) == 1


def test_newer_checkpoint_cancels_the_notice(silent: Silent) -> None:
    world = silent.world
    world.increase_time(7 * DAY + 60)
    assert call(world, RELAYER, "openEscape") == 1
    world.increase_time(2 * DAY - 3600)
    world.checkpoint()
    assert world.view("Settlement", world.vault, "noticeAt") == 0
    world.increase_time(2 * DAY)
    assert world.refusal(silent.escape(TRADER.address)).reason == "VaultOpen"
    assert refused(world, "openEscape") == "EscapeTooEarly"


def test_closed_vault_takes_no_checkpoint_and_no_boundary(silent: Silent) -> None:
    world = silent.world
    late = world.submission()
    silent.close()
    assert world.refused_checkpoint(late) == "VaultClosed"
    silent.world.increase_time(30 * DAY)
    assert world.refused_checkpoint(late) == "VaultClosed"


def test_certificates_expire_nine_days_after_the_last_checkpoint(silent: Silent) -> None:
    world = silent.world
    world.increase_time(9 * DAY - 3600)
    world.checkpoint()  # within nine days: taken
    late = world.submission()
    world.increase_time(9 * DAY + 60)
    assert world.refused_checkpoint(late) == "CertificateExpired"
    assert call(world, RELAYER, "openEscape") == 1
    assert world.refused_checkpoint(late) == "CertificateExpired"
    world.increase_time(2 * DAY)
    assert world.refused_checkpoint(late) == "VaultClosed"


def test_deposits_close_after_a_week_of_silence(silent: Silent) -> None:
    world = silent.world
    world.fund(world.usdx, 10)
    approve = world.encode("TestToken", "approve", to_checksum(world.vault), 10)
    assert world.send(TRADER, world.usdx, approve)["status"] == 1
    world.increase_time(7 * DAY + 60)
    payload = world.encode("Settlement", "deposit", to_checksum(world.usdx), 10)
    assert world.refusal(payload, key=TRADER).reason == "DepositsClosed"
    world.checkpoint()
    assert silent.send(payload, TRADER) == 1


def test_everybody_gets_free_and_held_once(silent: Silent) -> None:
    world = silent.world
    silent.close()
    assert silent.send(silent.escape(TRADER.address)) == 1
    assert world.balance(world.usdx, TRADER.address) == 700
    assert world.refusal(silent.escape(TRADER.address)).reason == "EscapedAlready"
    assert silent.send(silent.escape(STRANGER.address, 2)) == 1
    assert world.balance(world.usdx, STRANGER.address) == 300
    assert world.view("Settlement", world.vault, "isEscaped", 1 << 16 | 2)
    assert silent.send(silent.refund(1, 55)) == 1
    status = world.client.token_status(world.usdx)
    assert (status.released, status.liabilities, status.balance) == (1_055, 0, 0)


def test_empty_entry_is_refused(silent: Silent) -> None:
    silent.close()
    assert silent.world.refusal(silent.escape(TRADER.address, 1)).reason == "NothingOwed"


def test_entry_beyond_what_the_vault_owes_is_refused(silent: Silent) -> None:
    silent.close()
    assert silent.world.refusal(silent.escape(STRANGER.address, 0)).reason == "InsufficientVault"


def test_only_the_owner_names_another_receiver(silent: Silent) -> None:
    world = silent.world
    silent.close()
    elsewhere = silent.escape(TRADER.address, to=b"\x42" * 20)
    assert world.refusal(elsewhere).reason == "OnlyOwner"
    assert world.refusal(silent.escape(TRADER.address, to=bytes(20))).reason == "ZeroAddress"
    assert silent.send(elsewhere, TRADER) == 1
    assert world.balance(world.usdx, b"\x42" * 20) == 700
    redirected = silent.refund(1, 55, to=b"\x42" * 20)
    assert world.refusal(redirected).reason == "OnlyOwner"
    assert silent.send(redirected, TRADER) == 1
    assert world.balance(world.usdx, b"\x42" * 20) == 755


def test_only_the_last_root_pays(silent: Silent) -> None:
    world = silent.world
    older = silent.state()
    world.ledger.accounts[TRADER.address][0] = (0, USDX, 500, 0)
    words = world.checkpoint()
    newest = Silent(world, words)
    newest.close()
    old = newest.escape(TRADER.address, words=older)
    assert world.refusal(old).reason == "UnknownState"
    assert world.refusal(newest.refund(1, 55, words=older)).reason == "UnknownState"
    assert newest.send(newest.escape(TRADER.address)) == 1
    assert world.balance(world.usdx, TRADER.address) == 500


def test_altered_proofs_do_not_escape(silent: Silent) -> None:
    world = silent.world
    silent.close()
    account, entry = world.ledger.balance_proof(TRADER.address, 0)
    stranger, other = world.ledger.balance_proof(STRANGER.address, 2)
    number, owner, rest, siblings = account
    position, sub, asset, free, held, path = entry
    accounts = (
        (1, owner, rest, siblings),
        (number, to_checksum(RELAYER.address), rest, siblings),
        (number, owner, b"\1" * 32, siblings),
        (number, owner, rest, siblings[::-1]),
        stranger,
    )
    entries = (
        (1, sub, asset, free, held, path),
        (position, 1, asset, free, held, path),
        (position, sub, WETH, free, held, path),
        (position, sub, asset, free + 1, held, path),
        (position, sub, asset, free, held + 1, path),
        (position, sub, asset, free, held, path[::-1]),
        other,
    )
    for spoilt in accounts:
        payload = silent.escape(TRADER.address, account=spoilt)
        assert world.refusal(payload).reason == "BadProof"
    for spoilt in entries:
        payload = silent.escape(TRADER.address, entry=spoilt)
        assert world.refusal(payload).reason == "BadProof"


def test_asset_is_what_the_last_fee_list_says(silent: Silent) -> None:
    world = silent.world
    silent.close()
    swapped = silent.fees()
    swapped[0], swapped[2] = swapped[2], swapped[0]
    payload = silent.escape(TRADER.address, fees=swapped)
    assert world.refusal(payload).reason == "WrongFees"


@pytest.mark.parametrize("change", ["chain", "vault", "missing"])
def test_assets_of_other_vaults_do_not_escape_here(world: World, change: str) -> None:
    asset = len(world.fees) if change == "missing" else USDX
    world.deposit(world.usdx, 1_000)
    world.ledger.accounts = {TRADER.address: [(0, asset, 600, 100)]}
    totals = list(world.fee_totals())
    if change == "chain":
        totals[0] = replace(totals[0], chain_id=1)
    if change == "vault":
        totals[0] = replace(totals[0], vault=b"\x88" * 20)
    world.fee_totals = lambda: tuple(totals)  # type: ignore[method-assign]
    silent = Silent(world, world.checkpoint())
    silent.close()
    assert world.refusal(silent.escape(TRADER.address)).reason == "ForeignAsset"


def test_credited_and_unknown_deposits_are_not_refunded(silent: Silent) -> None:
    world = silent.world
    silent.close()
    assert world.refusal(silent.refund(0, 1_000)).reason == "DepositCredited"
    assert world.refusal(silent.refund(1, 56)).reason == "UnknownDeposit"
    assert world.refusal(silent.refund(2, 55)).reason == "UnknownDeposit"
    more = [(CHAIN_ID, to_checksum(world.vault), 0)]
    assert world.refusal(silent.refund(0, 1_000, cursors=more)).reason == "BadProof"
    assert silent.send(silent.refund(1, 55)) == 1
    assert world.refusal(silent.refund(1, 55)).reason == "UnknownDeposit"
    assert world.balance(world.usdx, TRADER.address) == 55


def test_vault_that_the_ledger_does_not_know_refunds_everything(world: World) -> None:
    world.deposit(world.usdx, 1_000)
    world.ledger.cursors = lambda: [(CHAIN_ID, b"\x88" * 20, 5), (1, world.vault, 5)]  # type: ignore[method-assign]
    silent = Silent(world, world.checkpoint())
    silent.close()
    assert silent.send(silent.refund(0, 1_000)) == 1


def test_what_was_credited_is_found_wherever_it_stands(world: World) -> None:
    world.deposit(world.usdx, 1_000)
    others = [(CHAIN_ID, b"\x88" * 20, 0), (1, world.vault, 0)]
    world.ledger.cursors = lambda: [(CHAIN_ID, world.vault, 1), *others]  # type: ignore[method-assign]
    silent = Silent(world, world.checkpoint())
    silent.close()
    assert world.refusal(silent.refund(0, 1_000)).reason == "DepositCredited"


def test_without_any_checkpoint_all_deposits_are_refunded(world: World) -> None:
    world.deposit(world.usdx, 1_000)
    silent = Silent(world, world.ledger.words(0))
    assert world.refusal(silent.refund(0, 1_000, cursors=[])).reason == "VaultOpen"
    silent.close()
    account, entry = (0, NOBODY, ZERO, [ZERO] * 32), (0, 0, 0, 1, 0, [ZERO] * 16)
    nothing = world.encode(
        "Settlement", "escape", silent.state(), account, entry, silent.fees(), NOBODY
    )
    assert world.refusal(nothing).reason == "UnknownState"
    assert silent.send(silent.refund(0, 1_000, cursors=[])) == 1
    assert world.balance(world.usdx, TRADER.address) == 1_000


def test_withdrawals_of_the_last_root_are_claimed_after_closing(silent: Silent) -> None:
    world = silent.world
    world.ledger.accounts[TRADER.address][0] = (0, USDX, 400, 100)
    index = world.ledger.withdraw(world.usdx, 200, TRADER.address)
    silent = Silent(world, world.checkpoint())
    lost = world.ledger.withdraw(world.usdx, 50, TRADER.address)  # no root ever knew it
    silent.close()
    claim = world.ledger.claim(index, silent.words, 1)
    assert world.client.withdraw(claim) is Submission.DONE
    assert world.refused_withdrawal(world.ledger.claim(lost, silent.words, 2)) == "BadProof"
    assert silent.send(silent.escape(TRADER.address)) == 1
    assert silent.send(silent.escape(STRANGER.address, 2)) == 1
    assert silent.send(silent.refund(1, 55)) == 1
    assert world.client.token_status(world.usdx).liabilities == 0
    assert world.balance(world.usdx, TRADER.address) == 700 + 55
