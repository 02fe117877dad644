"""Measure what private tokens cost in gas, as a Markdown table.

    python -m bench.gas_private

Rule: every figure is the gas used by a mined transaction on the devnet's chain, whose emulated
precompile charges COTI's published table of 64-bit operations.

Spec: docs/spec/confidential.md §5
Deviations: COTI calls its table a first estimate; the real chain may charge otherwise.
"""

from __future__ import annotations

import sys

from contracts.confidential_cipher import ONBOARDING, OnboardingKey
from contracts.private_inputs import APPROVE, DEPOSIT, UNWRAP
from contracts.settlement_calls import encode_withdraw
from primitives.address import to_checksum
from tests.contracts.confidential_world import ConfidentialWorld
from tests.contracts.harness import STRANGER, TRADER

TRANSFER = "transfer(address,(uint256,bytes))"
GAS = 10_000_000


def measure() -> dict[str, int]:
    """Return gas by the name of the call."""
    world = ConfidentialWorld()
    coin, door = world.parts.coin, world.parts.door
    key = world.aes_key(TRADER)
    wallet = world.confidential(TRADER)
    other = to_checksum(STRANGER.address)

    def used(to: bytes, payload: bytes) -> int:
        receipt = world.send(TRADER, to, payload, gas=GAS)
        assert receipt["status"] == 1
        return int(receipt["gasUsed"])

    def encrypted(contract: str, to: bytes, function: str, *before: str, after: str = "") -> int:
        terms = wallet.encrypt(to, function, key, 1_000)
        arguments = (*before, terms, *([after] if after else []))
        return used(to, world.encode(contract, function, *arguments))

    table: dict[str, int] = {}
    rsa = OnboardingKey()
    onboard = world.encode("Onboarding", "onboardAccount", rsa.public, rsa.sign(TRADER))
    table["onboard"] = used(ONBOARDING, onboard)
    world.wrap(100_000)
    world.wallet.mint(world.usdx, TRADER.address, 1_000)
    approve = world.encode("TestToken", "approve", to_checksum(coin), 1_000)
    world.send(TRADER, world.usdx, approve)
    table["wrap"] = used(coin, world.encode("ConfidentialCoin", "wrap", 1_000))
    table["private transfer"] = encrypted("ConfidentialCoin", coin, TRANSFER, other)
    for _ in range(2):
        table["allow"] = encrypted("ConfidentialCoin", coin, APPROVE, to_checksum(door))
        table["deposit"] = encrypted("ConfidentialVault", door, DEPOSIT, after=other)
    indices = [world.ledger.withdraw(door, 100, owner.address) for owner in (STRANGER, TRADER)]
    words = world.checkpoint()
    claims = [encode_withdraw(world.ledger.claim(index, words)) for index in indices]
    table["claim of a withdrawal"] = max(used(world.vault, claim) for claim in claims)
    table["unwrap"] = encrypted("ConfidentialCoin", coin, UNWRAP)
    return table


def main() -> int:
    """Print the table."""
    print("| call | gas |\n|---|---|")
    for name, gas in measure().items():
        print(f"| {name} | {gas:,} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
