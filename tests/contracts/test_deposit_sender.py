"""A deposit that is repeated after a crash is finished, not made twice; permits are the token's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts.deposit_sender import DepositSender
from contracts.errors import ContractRefused
from contracts.outbox import FileOutbox
from contracts.settlement_types import Submission
from contracts.transactor import Transactor
from primitives.vault_orders import DepositOrder, compute_deposit_digest, sign_permit
from tests.contracts.harness import CHAIN_ID, NETWORK_ID, RELAYER, TRADER, World

NEVER = 2**40 - 1


class PowerCut(BaseException):
    """The process is gone."""


class CuttingRpc:
    """Dies after it has sent so many transactions."""

    def __init__(self, rpc: Any, sends: int) -> None:
        self.rpc, self.sends = rpc, sends

    def call(self, method: str, *parameters: Any) -> Any:
        answer = self.rpc.call(method, *parameters)
        if method == "eth_sendRawTransaction":
            self.sends -= 1
            if not self.sends:
                raise PowerCut
        return answer


def sender(world: World, rpc: Any, path: Path) -> DepositSender:
    transactor = Transactor(
        rpc, TRADER, chain_id=CHAIN_ID, outbox=FileOutbox(path), poll_seconds=0.02
    )
    return DepositSender(rpc, world.client, transactor, vault=world.vault)


@pytest.mark.parametrize("sends", [1, 2])
def test_a_deposit_repeated_after_a_crash_is_made_once(
    world: World, tmp_path: Path, sends: int
) -> None:
    world.fund(world.usdx, 1_000)
    with pytest.raises(PowerCut):
        sender(world, CuttingRpc(world.evm.rpc, sends), tmp_path / "o").deposit(
            world.usdx, 600, TRADER.address
        )
    number = sender(world, world.evm.rpc, tmp_path / "o").deposit(world.usdx, 600, TRADER.address)
    found = world.client.deposits_in(0, world.client.head()[0])
    assert [(one.id, one.amount) for one in found] == [(number, 600)]
    assert world.balance(world.usdx, TRADER.address) == 400


def test_a_deposit_that_the_vault_refuses_costs_nothing(world: World, tmp_path: Path) -> None:
    world.fund(world.usdx, 10)
    with pytest.raises(ContractRefused):
        sender(world, world.evm.rpc, tmp_path / "o").deposit(world.usdx, 600, TRADER.address)
    assert world.client.status().deposits == 0


def test_a_relay_deposits_by_permit_what_the_trader_signed(world: World) -> None:
    world.fund(world.usdx, 1_000)
    domain, nonce = world.client.permit_terms(world.usdx, TRADER.address)
    permit = sign_permit(
        TRADER, domain=domain, vault=world.vault, value=900, nonce=nonce, deadline_s=NEVER
    )
    order = DepositOrder(
        depositor=TRADER.address,
        token=world.usdx,
        amount=900,
        fee=40,
        beneficiary=TRADER.address,
        nonce=5,
        deadline_s=NEVER,
    )
    digest = compute_deposit_digest(
        order, network_id=NETWORK_ID, chain_id=CHAIN_ID, vault=world.vault
    )
    signature = TRADER.sign(digest)
    assert world.client.deposit_by_order(order, signature, permit) is Submission.DONE
    assert world.client.deposit_by_order(order, signature, permit) is Submission.ALREADY_DONE
    assert world.balance(world.usdx, RELAYER.address) == 40
    assert world.balance(world.usdx, TRADER.address) == 100
    (deposit,) = world.client.deposits_in(0, world.client.head()[0])
    assert (deposit.amount, deposit.beneficiary) == (860, TRADER.address)
    with pytest.raises(ContractRefused):
        world.client.permit_terms(world.vault, TRADER.address)
