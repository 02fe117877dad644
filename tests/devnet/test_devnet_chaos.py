"""Under load the EVM chain dies, hangs, crawls and takes blocks back; nobody loses an atom.

Rule: users deposit, withdraw and claim all the time with the clients that a person has; faults come
from a seed; at the end every deposit is credited once and every withdrawal paid once. The chain is
the devnet's own, a process whose blocks survive its kill, or with OMNIBAZAAR_CHAOS_EVM=anvil
Foundry's, which loses its last second then, and whose re-organisations forget what was mined.
Spec: docs/spec/settlement.md §10; docs/reference/devnet.md (Faults). Deviations: none.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio

from client.keys import Credentials
from client.node_client import open_node
from client.rest import RestClient
from client.trader import Trader, open_trader
from contracts.deposit_sender import DepositSender
from contracts.outbox import open_outbox
from contracts.rpc import HttpRpc
from contracts.settlement_client import SettlementClient
from contracts.transactor import Transactor
from devnet.funding import open_wallet
from devnet.plan import USDX
from node.settlement.relay_desk import make_claim
from primitives.errors import TransientError
from primitives.secp256k1 import PrivateKey
from tests.devnet.insisting import ask_again
from tests.devnet.local_devnet import PATIENCE_S, LocalDevnet

pytestmark = pytest.mark.processes
SOAK = int(os.environ.get("OMNIBAZAAR_SOAK", "1"))
EVM = os.environ.get("OMNIBAZAAR_CHAOS_EVM", "embedded")
CHAOS_S = min(600, 90 * SOAK)
USERS = 3
CONFIRMATIONS = 4
DEEPEST = CONFIRMATIONS - 1  # blocks that a re-organisation takes back
MINTED = 10**12
SETTLE_S = 480
T = TypeVar("T")


@dataclass
class User:
    """A person with a wallet, and what it must have in the end."""

    key: PrivateKey
    devnet: LocalDevnet
    place: Path
    deposited: int = 0
    withdrawn: int = 0
    deposits: int = 0
    claimed: list[int] = field(default_factory=list)

    def client(self, rpc: HttpRpc) -> tuple[SettlementClient, Transactor]:
        """Clients of a fresh process: they know only what the outbox has kept."""
        chain_id = self.devnet.record.chain_id
        transactor = Transactor(
            rpc,
            self.key,
            chain_id=chain_id,
            confirmations=CONFIRMATIONS,
            outbox=open_outbox(self.place, chain_id, self.key.address),
            resubmit_seconds=8,
            poll_seconds=0.3,
        )
        client = SettlementClient(
            rpc,
            chain_id=chain_id,
            vault=self.devnet.plan.deployment.vault,
            network_id=self.devnet.plan.network_id,
            transactor=transactor,
        )
        return client, transactor

    def deposit(self, atoms: int) -> None:
        """Deposit, whatever happens; blocks."""
        deployment = self.devnet.plan.deployment

        def once() -> None:
            rpc = HttpRpc(self.devnet.record.rpc)
            client, transactor = self.client(rpc)
            sender = DepositSender(rpc, client, transactor, vault=deployment.vault)
            try:
                sender.deposit(deployment.tokens[USDX].address, atoms, self.key.address)
            finally:
                rpc.close()

        insist(once)
        self.deposited += atoms
        self.deposits += 1

    def claim(self, proof: Any) -> None:
        """Claim, whatever happens; blocks."""

        def once() -> None:
            rpc = HttpRpc(self.devnet.record.rpc)
            try:
                self.client(rpc)[0].withdraw(make_claim(proof))
            finally:
                rpc.close()

        insist(once)


def insist(attempt: Callable[[], T]) -> T:
    """Repeat what failed for a time, as a person does who reads `try again`."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        try:
            return attempt()
        except TransientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


async def live(user: User, trader: Trader, rng: random.Random, until: float) -> None:
    """Deposit, withdraw and claim until it is time."""
    while time.monotonic() < until:
        await trio.to_thread.run_sync(user.deposit, rng.randrange(10**6, 10**7))
        balance = trader.balances.get(USDX)
        if balance is not None and balance.free > 2 * 10**6:
            atoms = rng.randrange(10**6, int(balance.free))
            await trader.withdraw(USDX, atoms, user.key.address, timeout_s=PATIENCE_S)
            user.withdrawn += atoms
        await claim_what_is_proven(user)
        await trio.sleep(rng.random())


async def claim_what_is_proven(user: User) -> bool:
    """Claim what a checkpoint covers; return whether everything is claimed."""
    path = f"/v1/accounts/0x{user.key.address.hex()}/withdrawals"
    rows = (await trio.to_thread.run_sync(user.devnet.ask, "v0", path)) or {"withdrawals": []}
    done = True
    async with RestClient(user.devnet.url("v0")) as rest:
        for row in rows["withdrawals"]:
            if row["index"] in user.claimed:
                continue
            proof = await ask_again(partial(rest.withdrawal_proof, row["index"]))
            if proof is None:
                done = False
                continue
            await trio.to_thread.run_sync(user.claim, proof)
            user.claimed.append(row["index"])
    return done


async def torment(devnet: LocalDevnet, rng: random.Random, until: float) -> list[str]:
    """Do one harm after the other to the EVM chain; it is well again when this returns."""
    done: list[str] = []
    while time.monotonic() < until:
        harm = rng.choice(("kill", "pause", "crawl", "reorganise", "reorganise", "forget"))
        await trio.to_thread.run_sync(HARMS[harm], devnet, rng)
        done.append(harm)
        await trio.sleep(rng.uniform(2, 6))
    return done


def _kill(devnet: LocalDevnet, rng: random.Random) -> None:
    devnet.kill("evm")
    time.sleep(rng.uniform(0, 6))
    devnet.start("evm")


def _pause(devnet: LocalDevnet, rng: random.Random) -> None:
    devnet.pause("evm")
    time.sleep(rng.uniform(1, 8))
    devnet.resume("evm")


def _crawl(devnet: LocalDevnet, rng: random.Random) -> None:
    for _ in range(10):
        devnet.pause("evm")
        time.sleep(0.4)
        devnet.resume("evm")
        time.sleep(0.1)


def _reorganise(devnet: LocalDevnet, rng: random.Random, keep: bool) -> None:
    rpc = HttpRpc(devnet.record.rpc)
    depth = rng.randrange(1, DEEPEST + 1)
    with suppress(TransientError):
        if EVM == "anvil":
            rpc.call("anvil_reorg", depth, [])
        else:
            rpc.call("evm_reorg", hex(depth), keep)
    rpc.close()


HARMS: dict[str, Callable[[LocalDevnet, random.Random], None]] = {
    "kill": _kill,
    "pause": _pause,
    "crawl": _crawl,
    "reorganise": partial(_reorganise, keep=True),
    "forget": partial(_reorganise, keep=False),  # what was mined is lost, not even waiting
}


async def test_every_deposit_is_credited_once_and_every_withdrawal_paid_once(
    new_devnet: Callable[[], LocalDevnet], tmp_path: Path, record_property: Callable[..., None]
) -> None:
    devnet = new_devnet()
    devnet.up(
        "--validators", "2", "--traders", "2", "--epoch", "120",
        "--confirmations", str(CONFIRMATIONS), "--evm", EVM,
    )  # fmt: skip
    users = [User(PrivateKey.generate(), devnet, tmp_path) for _ in range(USERS)]
    bank = open_wallet(devnet.record, devnet.plan.deployer)
    usdx = devnet.plan.deployment.tokens[USDX].address
    for user in users:
        bank.send_native(user.key.address, 10**20)
        bank.mint(usdx, user.key.address, MINTED)
        await trio.to_thread.run_sync(user.deposit, 10**7)
    rng = random.Random(7)
    harms: list[str] = []
    until = time.monotonic() + CHAOS_S
    async with open_node(devnet.url("v1")) as node:
        traders: list[Trader] = []
        async with trio.open_nursery() as nursery:
            traders.extend([await nursery.start(_open, node, user) for user in users])

            async def harm() -> None:
                harms.extend(await torment(devnet, rng, until))

            async with trio.open_nursery() as busy:
                busy.start_soon(harm)
                for number, (user, trader) in enumerate(zip(users, traders, strict=True)):
                    busy.start_soon(live, user, trader, random.Random(number), until)
            await settle(devnet, users, traders)
            nursery.cancel_scope.cancel()
    record_property("harms", len(harms))
    record_property("deposits", sum(user.deposits for user in users))
    print(harms, [(user.deposits, len(user.claimed)) for user in users])
    verify(devnet, users, traders)


async def _open(
    node: Any, user: User, *, task_status: trio.TaskStatus[Trader] = trio.TASK_STATUS_IGNORED
) -> None:
    async with open_trader(node, Credentials.of_wallet(user.key)) as trader:
        await trader.wait_until(lambda t: USDX in t.balances, timeout_s=PATIENCE_S)
        task_status.started(trader)
        await trio.sleep_forever()


async def settle(devnet: LocalDevnet, users: list[User], traders: list[Trader]) -> None:
    """Wait until the ledger has all deposits and the vault has paid all withdrawals."""
    with trio.fail_after(SETTLE_S):
        for user, trader in zip(users, traders, strict=True):
            left = user.deposited - user.withdrawn
            while int(trader.balances[USDX].free) != left:
                await trio.sleep(0.5)
            while not await claim_what_is_proven(user):
                await trio.sleep(0.5)


def verify(devnet: LocalDevnet, users: list[User], traders: list[Trader]) -> None:
    """Compare what every user has and what the vault has with what was done."""
    usdx = devnet.plan.deployment.tokens[USDX].address
    for user, trader in zip(users, traders, strict=True):
        assert user.deposits > 1
        held = open_wallet(devnet.record, user.key).token_balance(usdx)
        assert held == MINTED - user.deposited + user.withdrawn
        assert int(trader.balances[USDX].free) == user.deposited - user.withdrawn
    assert sum(len(user.claimed) for user in users) > 0
    rpc = HttpRpc(devnet.record.rpc)
    client, _ = users[0].client(rpc)
    for token in devnet.plan.deployment.tokens:
        status = client.token_status(token.address)
        assert status.balance >= status.liabilities >= 0
    rpc.close()
