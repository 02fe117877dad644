"""Gasless withdrawals: whoever brings the proof gets what the receiver signed, and nothing else."""

from __future__ import annotations

import pytest
from web3.logs import DISCARD

from contracts.artifact import load_artifact
from contracts.claim_fees import encode_withdraw_for_fee
from contracts.settlement_types import WithdrawalClaim
from primitives.address import to_checksum
from primitives.secp256k1 import PrivateKey
from primitives.vault_orders import ClaimFee, compute_claim_fee_digest
from tests.contracts.harness import (
    CHAIN_ID,
    NETWORK_ID,
    RELAYER,
    STRANGER,
    TRADER,
    Evm,
    World,
    embedded_evm,
)

NEVER = 2**40
REENTER = 3
NOBODY = bytes(20)


def signed(
    world: World, claim: WithdrawalClaim, fee: ClaimFee, key: PrivateKey = STRANGER
) -> bytes:
    """Calldata of a claim whose fee a key has signed."""
    digest = compute_claim_fee_digest(
        fee, network_id=NETWORK_ID, chain_id=CHAIN_ID, vault=world.vault
    )
    return encode_withdraw_for_fee(claim, fee, key.sign(digest))


def promise(index: int, atoms: int, deadline_s: int = NEVER) -> ClaimFee:
    """A fee as it is signed."""
    return ClaimFee(index=index, atoms=atoms, deadline_s=deadline_s)


@pytest.fixture
def claims(world: World) -> tuple[WithdrawalClaim, WithdrawalClaim]:
    """Two withdrawals of 400 USDX for the stranger, in one checkpoint."""
    world.deposit(world.usdx, 1_000)
    for _ in range(2):
        world.ledger.withdraw(world.usdx, 400, STRANGER.address)
    words = world.checkpoint()
    return world.ledger.claim(0, words), world.ledger.claim(1, words)


Claims = tuple[WithdrawalClaim, WithdrawalClaim]


def test_relayer_gets_the_fee_and_the_receiver_the_rest(world: World, claims: Claims) -> None:
    payload = signed(world, claims[0], promise(0, 15))
    receipt = world.send(RELAYER, world.vault, payload)
    vault = world.evm.web3.eth.contract(abi=list(load_artifact("Settlement").abi))
    (event,) = vault.events.ClaimFeePaid().process_receipt(receipt, errors=DISCARD)
    paid = {"index": 0, "relayer": to_checksum(RELAYER.address), "fee": 15}
    assert dict(event["args"]) == paid
    assert world.balance(world.usdx, STRANGER.address) == 385
    assert world.balance(world.usdx, RELAYER.address) == 15
    assert world.client.token_status(world.usdx).withdrawn == 400
    assert world.refusal(payload).reason == "AlreadyPaid"
    assert world.refused_withdrawal(claims[0]) == "AlreadyPaid"
    world.assert_solvent()


@pytest.mark.parametrize("fee", [0, 400])
def test_fee_is_anything_up_to_the_whole_withdrawal(world: World, claims: Claims, fee: int) -> None:
    assert world.send(RELAYER, world.vault, signed(world, claims[0], promise(0, fee)))["status"]
    assert world.balance(world.usdx, STRANGER.address) == 400 - fee
    too_high = signed(world, claims[1], promise(1, 401))
    assert world.refusal(too_high).reason == "FeeTooHigh"


def test_fee_that_the_receiver_did_not_sign_is_refused(world: World, claims: Claims) -> None:
    digest = compute_claim_fee_digest(
        promise(0, 15), network_id=NETWORK_ID, chain_id=CHAIN_ID, vault=world.vault
    )
    signature = STRANGER.sign(digest)
    for claim, fee in (
        (claims[0], promise(0, 16)),
        (claims[0], promise(0, 15, NEVER + 1)),
        (claims[1], promise(1, 15)),
    ):
        payload = encode_withdraw_for_fee(claim, fee, signature)
        assert world.refusal(payload).reason == "FeeNotSigned"
    for key in (RELAYER, TRADER):
        assert world.refusal(signed(world, claims[0], promise(0, 15), key)).reason == "FeeNotSigned"


def test_signature_that_is_none_is_refused(world: World, claims: Claims) -> None:
    payload = encode_withdraw_for_fee(claims[0], promise(0, 15), bytes(65))
    assert world.refusal(payload).reason == "FeeNotSigned"


def test_promise_for_another_vault_or_chain_is_refused(world: World, claims: Claims) -> None:
    fee = promise(0, 15)
    for chain_id, vault in ((1, world.vault), (CHAIN_ID, RELAYER.address)):
        digest = compute_claim_fee_digest(
            fee, network_id=NETWORK_ID, chain_id=chain_id, vault=vault
        )
        payload = encode_withdraw_for_fee(claims[0], fee, STRANGER.sign(digest))
        assert world.refusal(payload).reason == "FeeNotSigned"


def test_expired_promise_leaves_the_withdrawal_to_be_claimed(world: World, claims: Claims) -> None:
    assert world.refusal(signed(world, claims[0], promise(0, 15, 1))).reason == "FeeExpired"
    world.client.withdraw(claims[0])
    assert world.balance(world.usdx, STRANGER.address) == 400


def test_promise_counts_to_the_last_second_of_its_deadline() -> None:
    """On a chain that mines at the second that it is told to."""
    world = World(embedded_evm())
    world.deposit(world.usdx, 400)
    world.ledger.withdraw(world.usdx, 400, STRANGER.address)
    claim = world.ledger.claim(0, world.checkpoint())
    web3 = world.evm.web3
    at = web3.eth.get_block("latest")["timestamp"] + 5_000
    world.increase_time(4_990)
    payload = signed(world, claim, promise(0, 15, at))
    call = {"to": to_checksum(world.vault), "from": to_checksum(RELAYER.address), "data": payload}
    web3.eth.call(call)
    while web3.eth.get_block("latest")["timestamp"] < at:
        web3.eth.call(call)
        world.evm.rpc.call("evm_mine")


def test_nobody_cannot_promise_a_fee(world: World) -> None:
    """A signature that is none recovers to the zero address, which a leaf may name."""
    world.deposit(world.usdx, 400)
    world.ledger.withdraw(world.usdx, 400, NOBODY)
    claim = world.ledger.claim(0, world.checkpoint())
    payload = encode_withdraw_for_fee(claim, promise(0, 400), bytes(65))
    assert world.refusal(payload).reason == "FeeNotSigned"


def test_reentering_during_a_claim_for_a_fee_gains_nothing(evm: Evm) -> None:
    world = World(evm, extra_tokens=("HostileToken",))
    evil = world.extra[0]
    world.deposit(evil, 100)
    world.deposit(world.usdx, 400)
    world.ledger.withdraw(evil, 100, STRANGER.address)
    world.ledger.withdraw(world.usdx, 400, STRANGER.address)
    words = world.checkpoint()
    inner = signed(world, world.ledger.claim(1, words), promise(1, 15))
    attack = world.encode("HostileToken", "setMode", REENTER, to_checksum(world.vault), inner)
    assert world.send(TRADER, evil, attack)["status"] == 1
    payload = signed(world, world.ledger.claim(0, words), promise(0, 15))
    assert world.send(RELAYER, world.vault, payload)["status"] == 1
    assert world.view("HostileToken", evil, "reentered") is False
    assert not world.client.is_paid(1)
    world.assert_solvent()
