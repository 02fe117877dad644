"""Deposits: ids, events, exact amounts, and what is refused."""

from __future__ import annotations

import pytest

from contracts.limits import DEPOSIT_MAX_ATOMS
from contracts.wallet import Wallet
from primitives.abi import encode_words
from primitives.address import to_checksum
from primitives.keccak import keccak256
from tests.contracts.harness import CHAIN_ID, STRANGER, TRADER, World


def test_deposit_gets_the_next_id_and_an_event(world: World) -> None:
    first, _ = world.client.head()
    assert world.deposit(world.usdx, 1_000_000) == 0
    assert world.deposit(world.tokens["WETH"], 5 * 10**18) == 1
    head, _ = world.client.head()
    one, two = world.client.deposits_in(first, head)
    assert (one.id, one.token, one.amount) == (0, world.usdx, 1_000_000)
    assert (two.id, two.token, two.amount) == (1, world.tokens["WETH"], 5 * 10**18)
    assert one.beneficiary == one.depositor == TRADER.address
    assert world.client.status().deposits == 2
    assert world.balance(world.usdx, world.vault) == 1_000_000
    assert world.client.token_status(world.usdx).liabilities == 1_000_000


def test_deposit_for_another_account_credits_that_account(world: World) -> None:
    world.fund(world.usdx, 77)
    world.wallet.deposit(world.vault, world.usdx, 77, beneficiary=STRANGER.address)
    (deposit,) = world.client.deposits_in(0, world.client.head()[0])
    assert (deposit.beneficiary, deposit.depositor) == (STRANGER.address, TRADER.address)


def test_plain_deposit_credits_the_caller(world: World) -> None:
    world.fund(world.usdx, 50)
    world.send(TRADER, world.usdx, world.encode("TestToken", "approve", _hex(world.vault), 50))
    payload = world.encode("Settlement", "deposit", _hex(world.usdx), 50)
    assert world.send(TRADER, world.vault, payload)["status"] == 1
    (deposit,) = world.client.deposits_in(0, world.client.head()[0])
    assert deposit.beneficiary == TRADER.address


def test_deposit_is_kept_as_a_hash_for_refunds(world: World) -> None:
    world.deposit(world.usdx, 9)
    expected = keccak256(encode_words(0, world.usdx, TRADER.address, TRADER.address, 9))
    assert world.view("Settlement", world.vault, "depositHash", 0) == expected


def test_every_listed_token_can_be_deposited(world: World) -> None:
    for position, token in enumerate(world.tokens.values()):
        assert world.deposit(token, 10**8) == position
    world.assert_solvent()


@pytest.mark.parametrize("amount", [0, DEPOSIT_MAX_ATOMS + 1])
def test_amounts_out_of_range_are_refused(world: World, amount: int) -> None:
    payload = world.encode("Settlement", "deposit", _hex(world.usdx), amount)
    assert world.refusal(payload, key=TRADER).reason == "BadAmount"


def test_unlisted_token_is_refused(world: World) -> None:
    payload = world.encode("Settlement", "deposit", _hex(STRANGER.address), 1)
    assert world.refusal(payload, key=TRADER).reason == "UnlistedToken"


def test_zero_beneficiary_is_refused(world: World) -> None:
    payload = world.encode("Settlement", "depositFor", _hex(world.usdx), 1, "0x" + "00" * 20)
    assert world.refusal(payload, key=TRADER).reason == "ZeroAddress"


def test_deposit_without_allowance_is_refused(world: World) -> None:
    world.fund(world.usdx, 10)
    payload = world.encode("Settlement", "deposit", _hex(world.usdx), 10)
    world.refusal(payload, key=TRADER)
    assert world.client.status().deposits == 0


def test_vault_lists_its_tokens_in_asset_order(world: World) -> None:
    listed = world.view("Settlement", world.vault, "listedTokens")
    assert listed == [_hex(token) for token in world.tokens.values()]


def test_a_gift_of_tokens_is_not_a_deposit(world: World) -> None:
    world.fund(world.usdx, 10)
    world.wallet.transfer(world.usdx, world.vault, 10)
    status = world.client.token_status(world.usdx)
    assert (status.balance, status.liabilities) == (10, 0)
    assert world.client.status().deposits == 0


def test_wallet_reports_balances(world: World) -> None:
    world.fund(world.usdx, 1234)
    wallet = Wallet(world.evm.web3, TRADER, chain_id=CHAIN_ID)
    assert wallet.token_balance(world.usdx) == 1234
    assert wallet.token_balance(world.usdx, world.vault) == 0
    assert wallet.native_balance() > 0
    wallet.send_native(STRANGER.address, 5)


def _hex(address: bytes) -> str:
    return to_checksum(address)
