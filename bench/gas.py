"""Measure what each call to the contracts costs in gas, as a Markdown table.

    python -m bench.gas [--evm embedded|anvil] [--json]

Rule: every figure is the gas used by a mined transaction at the Paris level; committees have equal
weights and all members sign, which is the dearest case.

Spec: docs/spec/settlement.md §13
Deviations: none
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from web3 import Web3
from web3.providers import HTTPProvider

from consensus.vote import Kind, compute_vote_digest
from contracts.artifact import load_artifact
from contracts.chain.anvil import start_anvil
from contracts.evm_web3 import verify_chain
from contracts.rpc import HttpRpc
from contracts.settlement_calls import encode_boundary, encode_checkpoint, encode_withdraw
from primitives.address import to_checksum
from primitives.keccak import keccak256
from primitives.merkle import DenseTree
from tests.contracts.harness import (
    ACCOUNTS,
    CHAIN_ID,
    RELAYER,
    STRANGER,
    TRADER,
    Evm,
    World,
    embedded_evm,
)

COMMITTEES = (4, 22, 64, 128)
STATE_WORDS = ("accounts", "withdrawals", "deposits", "fills", "effects", "rest")
CONTRACTS = ("OmniCoin", "ValidatorRegistry", "Settlement", "FeeDistributor")


@contextmanager
def anvil_evm() -> Iterator[Callable[[], Evm]]:
    """Yield a maker of chains that is one anvil."""
    chain = start_anvil(chain_id=CHAIN_ID, block_ms=None, funded=[key.address for key in ACCOUNTS])
    rpc = HttpRpc(chain.url)
    web3 = verify_chain(Web3(HTTPProvider(chain.url)), CHAIN_ID)
    try:
        yield lambda: Evm(rpc=rpc, web3=web3)
    finally:
        rpc.close()
        chain.stop()


@contextmanager
def embedded() -> Iterator[Callable[[], Evm]]:
    """Yield a maker of fresh py-evm chains."""
    yield embedded_evm


def checkpoint_gas(world: World, *, descendants: int, with_fees: bool) -> int:
    """Gas of a checkpoint that is not the vault's first."""
    world.checkpoint()
    if with_fees:
        for token in world.fees:
            world.fees[token] += 1_000_003
    submission = world.submission(descendants=descendants)
    return used(world, encode_checkpoint(submission))


def used(world: World, payload: bytes) -> int:
    """Gas of a successful call to the vault."""
    receipt = world.send(RELAYER, world.vault, payload, gas=30_000_000)
    assert receipt["status"] == 1
    return int(receipt["gasUsed"])


def measure(make: Callable[[], Evm]) -> dict[str, int]:
    """Return gas by the name of the call."""
    table: dict[str, int] = {}
    for count in COMMITTEES:
        world = World(make(), validators=count)
        quiet = checkpoint_gas(world, descendants=0, with_fees=False)
        table[f"checkpoint, {count} signatures"] = quiet
    world = World(make())
    for token in world.tokens.values():
        world.deposit(token, 10**12)
    table["checkpoint, 4 signatures, 3 descendants"] = checkpoint_gas(
        world, descendants=3, with_fees=False
    )
    first = checkpoint_gas(world, descendants=0, with_fees=True)
    table["checkpoint, 4 signatures, fees in 4 tokens (first)"] = first
    table["checkpoint, 4 signatures, fees in 4 tokens (later)"] = checkpoint_gas(
        world, descendants=0, with_fees=True
    )
    table.update(_deposits(world))
    table.update(_withdrawals(world))
    for count in (1_000, 1_000_000):
        table.update(_proofs(World(make()), count))
    for count in (4, 128):
        table.update(_boundaries(World(make(), validators=count)))
    table.update(_slash(World(make())))
    return table


def _proofs(world: World, count: int) -> dict[str, int]:
    """Gas of a withdrawal and of an escape among many; the trees have a fixed depth."""
    world.deposit(world.usdx, 10**6)
    owner = TRADER.address
    world.ledger.accounts = {owner: [(0, 0, 600, 100)]}
    account, entry = world.ledger.balance_proof(owner, 0)
    leaf = world.ledger.accounts_tree().leaf(0)
    others = [keccak256(index.to_bytes(8, "big")) for index in range(count - 1)]
    tree = DenseTree(leaves=[*others, leaf])
    world.ledger.accounts_tree = lambda: tree  # type: ignore[method-assign]
    world.ledger.tree.extend(others)
    index = world.ledger.tree.size
    world.ledger.withdrawals += [(0, b"", 0, b"")] * index
    assert world.ledger.withdraw(world.usdx, 7, owner) == index
    words = world.checkpoint()
    claim = encode_withdraw(world.ledger.claim(index, words))
    table = {f"withdraw, {count:,} withdrawals": used(world, claim)}
    world.increase_time(8 * 24 * 3600)
    table["open the escape"] = used(world, world.encode("Settlement", "openEscape"))
    world.increase_time(3 * 24 * 3600)
    number, holder, rest, _ = account
    proven = (number + count - 1, holder, rest, tree.proof(count - 1))
    fees = [
        (fee.chain_id, to_checksum(fee.vault), to_checksum(fee.token), fee.total, fee.owed)
        for fee in world.fee_totals()
    ]
    state = (words.height, *(getattr(words, name) for name in STATE_WORDS))
    payload = world.encode("Settlement", "escape", state, proven, entry, fees, holder)
    table[f"escape, {count:,} accounts"] = used(world, payload)
    return table


def _boundaries(world: World) -> dict[str, int]:
    """Gas of an epoch border, with and without a validator that is leaving."""
    count = len(world.keys)
    table = {}
    for epoch, name in enumerate(("", ", one is leaving"), start=1):
        members = world.members()
        header = world.header(epoch=epoch, next_committee_hash=world.committee.hash)
        payload = encode_boundary(world.submission(header), members)
        table[f"boundary, {count} members{name}"] = used(world, payload)
        leaver = world.keys[0]
        world.wallet.send_native(leaver.address, 10**18)
        leave = world.encode("ValidatorRegistry", "requestExit")
        world.send(leaver, world.deployment.registry, leave)
    return table


def _slash(world: World) -> dict[str, int]:
    """Gas of a conviction."""
    votes = []
    for block in (keccak256(b"a"), keccak256(b"b")):
        digest = compute_vote_digest(world.domain, Kind.FINALIZE, 1, 9, block, ())
        votes += [(int(Kind.FINALIZE), 1, 9, block, bytes(32)), world.keys[0].sign(digest)]
    payload = world.encode("ValidatorRegistry", "reportEquivocation", *votes)
    receipt = world.send(RELAYER, world.deployment.registry, payload)
    assert receipt["status"] == 1
    return {"slash": int(receipt["gasUsed"])}


def _deposits(world: World) -> dict[str, int]:
    """Gas of deposits; the token account exists already."""
    world.fund(world.usdx, 100)
    before = world.client.head()[0]
    world.wallet.deposit(world.vault, world.usdx, 100)
    receipts = [
        world.evm.rpc.call("eth_getTransactionReceipt", "0x" + deposit.transaction_hash.hex())
        for deposit in world.client.deposits_in(before + 1, world.client.head()[0])
    ]
    return {"deposit": int(receipts[0]["gasUsed"], 16)}


def _withdrawals(world: World) -> dict[str, int]:
    """Gas of withdrawals to a new and to a known holder of the token."""
    new = world.ledger.withdraw(world.usdx, 7, STRANGER.address)
    known = world.ledger.withdraw(world.usdx, 7, TRADER.address)
    world.fund(world.usdx, 1)
    words = world.checkpoint()
    return {
        "withdraw, receiver new to the token": used(
            world, encode_withdraw(world.ledger.claim(new, words))
        ),
        "withdraw, receiver holds the token": used(
            world, encode_withdraw(world.ledger.claim(known, words))
        ),
    }


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.gas")
    parser.add_argument("--evm", choices=("embedded", "anvil"), default="embedded")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with anvil_evm() if options.evm == "anvil" else embedded() as make:
        table = measure(make)
    sizes = {name: len(load_artifact(name).deployed_bytecode) for name in CONTRACTS}
    if options.json:
        print(json.dumps({"gas": table, "code_bytes": sizes}))
        return 0
    print("| call | gas |\n|---|---:|")
    for name, gas in table.items():
        print(f"| {name} | {gas:,} |")
    print("\n| contract | code, bytes of 24,576 |\n|---|---:|")
    for name, size in sizes.items():
        print(f"| {name} | {size:,} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
