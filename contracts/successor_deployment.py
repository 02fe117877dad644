"""Deploy the vault that is to take over from another one; let funds and registry go to it.

Rule: everything but the list of tokens is read from the old vault, so that the new one belongs to
the same network, committee, registry, treasuries and reward token; only the committee can make it
the successor, and only a checkpoint says what it has to get.
Spec: docs/spec/settlement.md §15. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from web3 import Web3

from contracts.artifact import load_artifact
from contracts.deployment import CALL_GAS, DEPLOY_GAS, TOKEN_LISTING_GAS
from contracts.deposit_orders import NATIVE
from contracts.evm_web3 import translated_errors
from contracts.limits import DEPOSIT_ATOMS_MAX, HAND_OVER_GAS, SUCCESSORS_MAX
from contracts.vault_leaving import FOLLOWERS
from contracts.web3_sender import Web3Sender
from primitives.address import parse_address, to_checksum

COMPANY: Final = 0
DEVELOPMENT: Final = 1
NOBODY: Final = "0x" + "00" * 20


def deploy_successor(
    web3: Web3, vault: bytes, tokens: Sequence[bytes], sender: Web3Sender
) -> bytes:
    """Deploy a vault that takes `tokens` and return its address; the sender pays.

    Raises TransientError, ContractRefused, GasAccountEmpty. A second call deploys another one,
    unless the first was cut short and the sender has an outbox.
    """
    with translated_errors():
        old = _contract(web3, "Settlement", vault).functions
        distributor = _contract(
            web3, "FeeDistributor", parse_address(old.distributor().call())
        ).functions
        config = (
            old.networkId().call(),
            old.epoch().call(),
            old.committeeHash().call(),
            old.registry().call(),
            distributor.treasury(COMPANY).call(),
            distributor.treasury(DEVELOPMENT).call(),
            old.rewardToken().call(),
        )
        artifact = load_artifact("Settlement")
        factory = web3.eth.contract(abi=list(artifact.abi), bytecode=artifact.bytecode)
        listed = [to_checksum(token) for token in tokens]
        creation = factory.constructor(config, listed).data_in_transaction
        gas = DEPLOY_GAS + TOKEN_LISTING_GAS * len(listed)
    receipt = sender.send(None, creation, gas=gas)
    return parse_address(receipt["contractAddress"])


def follow_successor(web3: Web3, vault: bytes, sender: Web3Sender) -> list[str]:
    """Let the registry and the reward token follow a vault's successor; return which ones did.

    What follows it already, or another vault, is left alone. Raises TransientError, and
    ContractRefused before the successor's time.
    """
    done = []
    with translated_errors():
        old = _contract(web3, "Settlement", vault).functions
        for name, contract, getter, follow in FOLLOWERS:
            address = old[name]().call()
            if address == NOBODY:
                continue
            other = _contract(web3, contract, parse_address(address))
            if other.functions[getter]().call() != to_checksum(vault):
                continue
            other.functions[follow]().call()  # raises ContractRefused for free
            payload = other.encode_abi(follow)
            sender.send(parse_address(address), payload, gas=CALL_GAS)
            done.append(contract)
    return done


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """Funds that went from one vault to the next."""

    vault: bytes
    token: bytes
    atoms: int


def hand_over_funds(web3: Web3, vault: bytes, sender: Web3Sender) -> list[HandedOver]:
    """Have every vault from one on give the next what that is owed, where it can be given.

    It needs no node, and works with closed vaults and whatever they announce by now. Raises
    TransientError, and ContractRefused for a vault that knows no root of after the move.
    """
    done = []
    with translated_errors():
        for _ in range(SUCCESSORS_MAX):
            settlement = _contract(web3, "Settlement", vault)
            following = settlement.functions.successor().call()
            for token in settlement.functions.listedTokens().call():
                moved_to = settlement.functions.tokenAccount(token).call()[2]
                following = following if moved_to == NOBODY else moved_to
                while atoms := _count_owed(web3, settlement, token):
                    height = _find_common_height(web3, settlement, moved_to)
                    settlement.functions.handOver(token, height).call()  # refused for free
                    payload = settlement.encode_abi("handOver", args=[token, height])
                    sender.send(vault, payload, gas=HAND_OVER_GAS)
                    done.append(HandedOver(vault=vault, token=parse_address(token), atoms=atoms))
            if following == NOBODY:
                return done
            vault = parse_address(following)
    return done


def _find_common_height(web3: Web3, settlement: Any, following: str) -> int:
    """A height whose root both vaults have: where one of them stands, if the other has been there;
    else where the older one stands, which is refused.
    """
    other = _contract(web3, "Settlement", parse_address(following))
    heights = [int(one.functions.checkpoint().call()[0]) for one in (settlement, other)]
    for height in heights:
        roots = {bytes(one.functions.stateRootAt(height).call()) for one in (settlement, other)}
        if len(roots) == 1:
            return height
    return heights[0]


def _count_owed(web3: Web3, settlement: Any, token: str) -> int:
    """Atoms that a vault owes the next one, holds, and can give at once."""
    account = settlement.functions.tokenAccount(token).call()
    moved_to, owed, handed_over = account[2], int(account[9]), int(account[10])
    if moved_to == NOBODY or owed == handed_over:
        return 0
    if parse_address(token) == NATIVE:
        held = web3.eth.get_balance(settlement.address)
    else:
        coin = _contract(web3, "TestToken", parse_address(token))
        held = coin.functions.balanceOf(settlement.address).call()
    return min(owed - handed_over, int(held), DEPOSIT_ATOMS_MAX)


def _contract(web3: Web3, name: str, address: bytes) -> Any:
    return web3.eth.contract(address=to_checksum(address), abi=list(load_artifact(name).abi))
