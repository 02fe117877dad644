"""One network settles on two EVM chains that know nothing of each other.

Rule: the same addresses are vaults and tokens on both chains, so that only the chain id can tell
them apart; one chain is down for most of the time.
Spec: docs/spec/settlement.md; docs/explanation/trust.md. Deviations: none.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from client.gasless import deposit_by_relay
from client.keys import Credentials
from client.node_client import open_node
from client.permit_terms import read_permit_terms
from client.rest import RestClient
from client.trader import Trader, open_trader
from contracts.errors import ContractRefused
from contracts.rpc import HttpRpc
from contracts.settlement_client import SettlementClient
from contracts.settlement_types import StateWords, Submission, WithdrawalClaim
from contracts.transactor import Transactor
from devnet.funding import open_wallet
from devnet.plan import TOKENS, USDX
from node.keys.keystore import save_key
from primitives.address import to_checksum
from primitives.secp256k1 import PrivateKey
from tests.devnet import deciding
from tests.devnet.commands import run_program
from tests.devnet.insisting import ask_again, buy_until_filled
from tests.devnet.local_devnet import PATIENCE_S, LocalDevnet

pytestmark = pytest.mark.processes
USDX_2 = len(TOKENS) + USDX
MARKET = "USDX.2-USDX"
WHOLE = 10**6
BUY, SELL = 0, 1


@pytest.fixture(scope="module")
def devnet(new_devnet: Callable[[], LocalDevnet]) -> LocalDevnet:
    devnet = new_devnet()
    devnet.up("--chains", "2", "--validators", "2", "--traders", "0", "--epoch", "120")
    return devnet


@contextmanager
def open_vault(devnet: LocalDevnet, chain: int, key: PrivateKey) -> Iterator[SettlementClient]:
    record = devnet.record
    chain_id = record.chain_id + chain
    with closing(HttpRpc(record.rpc_of(chain))) as rpc:
        yield SettlementClient(
            rpc,
            chain_id=chain_id,
            vault=devnet.plan.deployments[chain].vault,
            network_id=devnet.plan.network_id,
            transactor=Transactor(rpc, key, chain_id=chain_id, poll_seconds=0.1),
        )


def checkpoints(devnet: LocalDevnet, chain: int) -> int:
    return int(devnet.read("v0", "/v1/settlement")["vaults"][chain]["checkpoints"])


def make_home(devnet: LocalDevnet, place: Path, key: PrivateKey) -> Path:
    """A data directory with the network file and a key, and no node."""
    home = place / "home"
    (home / "keys").mkdir(mode=0o700, parents=True)
    shutil.copy(devnet.folder.data("v0").network_file, home / "network.json")
    save_key(home / "keys", key, "pass", role="trader", scrypt_n=1 << 10)
    (home / "password").touch(0o600)
    (home / "password").write_text("pass")
    return home


def run_wallet(home: Path, url: str, *arguments: str) -> Any:
    """Run one command; return its JSON, or what it says of a failure."""
    needs_key = arguments[0] in ("deposit", "withdraw", "claim")
    password = ("--password-file", str(home / "password")) if needs_key else ()
    return run_cli(home, url, "wallet", *arguments, *password)


def run_node(devnet: LocalDevnet, name: str, *arguments: str) -> Any:
    """Run one command as the operator of a node; return its JSON."""
    return run_cli(devnet.folder.data(name).root, devnet.url(name), *arguments)


def type_cli(home: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    place = ("-y", "-d", str(home), "--url", url)
    return run_program([sys.executable, "-m", "node.cli", *place, *arguments, "--json"])


def run_cli(home: Path, url: str, *arguments: str) -> Any:
    """Run one command; return its JSON, or what it says of a failure."""
    done = type_cli(home, url, *arguments)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


async def deposit(devnet: LocalDevnet, key: PrivateKey, chain: int, atoms: int) -> None:
    deployment = devnet.plan.deployments[chain]
    wallet = open_wallet(devnet.record, key, chain)
    await trio.to_thread.run_sync(
        wallet.deposit, deployment.vault, deployment.tokens[USDX].address, atoms
    )


async def wait_credit(trader: Trader, asset: int, atoms: int) -> None:
    await trader.wait_until(
        lambda t: asset in t.balances and t.balances[asset].free == atoms, timeout_s=PATIENCE_S
    )


async def claim_of(devnet: LocalDevnet, owner: bytes) -> WithdrawalClaim | None:
    """The owner's newest withdrawal as its vault's newest root proves it."""
    rows = devnet.read("v1", f"/v1/accounts/0x{owner.hex()}/withdrawals")["withdrawals"]
    async with RestClient(devnet.url("v1")) as rest:
        proof = await ask_again(partial(rest.withdrawal_proof, rows[0]["index"]))
    if proof is None:
        return None
    height, *words = proof.roots
    names = ("accounts", "withdrawals", "deposits", "fills", "effects", "rest")
    return WithdrawalClaim(
        words=StateWords(
            height=int.from_bytes(height, "big"), **dict(zip(names, words, strict=True))
        ),
        index=proof.index,
        token=proof.token,
        amount=proof.amount,
        to=proof.to,
        siblings=proof.proof,
    )


async def wait_claim(devnet: LocalDevnet, owner: bytes) -> WithdrawalClaim:
    with trio.fail_after(PATIENCE_S):
        while (claim := await claim_of(devnet, owner)) is None:
            await trio.sleep(0.3)
    return claim


async def wait_settled(devnet: LocalDevnet, chain: int, above: int) -> None:
    """Wait until one node has seen more checkpoints; another one may have seen them earlier."""
    with trio.fail_after(PATIENCE_S):
        while checkpoints(devnet, chain) <= above:
            await trio.sleep(0.1)


async def test_a_chain_that_is_away_holds_up_nobody_elses_funds(devnet: LocalDevnet) -> None:
    alice, bob = PrivateKey.generate(), PrivateKey.generate()
    first, second = devnet.plan.deployments
    assert first.vault == second.vault
    assert first.tokens == second.tokens
    for key in (alice, bob):
        devnet.command("fund", to_checksum(key.address))
    await deposit(devnet, alice, 0, 100 * WHOLE)
    await deposit(devnet, bob, 1, 200 * WHOLE)
    async with (
        open_node(devnet.url("v0")) as one,
        open_node(devnet.url("v1")) as two,
        open_trader(one, Credentials.of_wallet(alice)) as buyer,
        open_trader(two, Credentials.of_wallet(bob)) as seller,
    ):
        await wait_credit(buyer, USDX, 100 * WHOLE)
        await wait_credit(seller, USDX_2, 200 * WHOLE)

        devnet.kill("evm1")
        settled = checkpoints(devnet, 0)
        await deposit(devnet, alice, 0, 50 * WHOLE)
        await wait_credit(buyer, USDX, 150 * WHOLE)
        await seller.place(MARKET, SELL, 1_000, 30, timeout_s=PATIENCE_S)
        await buy_until_filled(buyer, MARKET, 1_000, 30)
        await wait_credit(buyer, USDX_2, 30 * WHOLE)
        await seller.wait_until(
            lambda t: USDX in t.balances and t.balances[USDX].free > 0, timeout_s=PATIENCE_S
        )
        earned = seller.balances[USDX].free
        bought = 30 * WHOLE
        assert 0 < earned < 30 * WHOLE
        await seller.withdraw(USDX, earned, bob.address, timeout_s=PATIENCE_S)
        await buyer.withdraw(USDX_2, bought, alice.address, timeout_s=PATIENCE_S)
        paid = await wait_claim(devnet, bob.address)  # settled while the other chain is dead
        await wait_settled(devnet, 0, settled)
        assert await claim_of(devnet, alice.address) is None
        with open_vault(devnet, 0, bob) as vault:
            assert vault.withdraw(paid) is Submission.DONE
        devnet.start("evm1")
        owed = await wait_claim(devnet, alice.address)

    with open_vault(devnet, 0, alice) as vault, pytest.raises(ContractRefused):
        vault.withdraw(owed)  # the same vault address and token, but another chain
    with open_vault(devnet, 1, alice) as vault:
        assert vault.withdraw(owed) is Submission.DONE
        with pytest.raises(ContractRefused):
            vault.withdraw(paid)
    for chain, deployment in enumerate(devnet.plan.deployments):
        with open_vault(devnet, chain, alice) as vault:
            status = vault.token_status(deployment.tokens[USDX].address)
        assert status.balance >= status.liabilities > 0
        assert status.withdrawn == (earned if chain == 0 else bought)


def is_healthy(devnet: LocalDevnet, name: str) -> bool:
    """Tell whether a node's relay says that it reaches the second chain and can pay there."""
    terms = devnet.read(name, "/v1/relay")
    second = devnet.record.chain_id + 1
    return any(c["healthy"] for c in terms["chains"] if c["chain_id"] == second)


def test_a_trader_without_gas_deposits_and_withdraws(devnet: LocalDevnet, tmp_path: Path) -> None:
    key = PrivateKey.generate()
    usdx = devnet.plan.deployments[1].tokens[USDX].address
    mint = open_wallet(devnet.record, devnet.plan.deployer, 1)
    mint.mint(usdx, key.address, 500 * WHOLE)
    home = make_home(devnet, tmp_path, key)
    relays = ("--relay", "http://127.0.0.1:9", "--relay", devnet.url("v1"))  # the first is dead
    rpc = ("--rpc", devnet.record.rpc_of(1))

    def wallet(*arguments: str) -> Any:
        return run_wallet(home, devnet.url("v0"), *arguments)

    # The chain has been away in the test before; a relay says itself when it sees it again.
    devnet.until(lambda: is_healthy(devnet, "v1"), "the relay sees its chain")
    done = wallet("deposit", "USDX.2", "400", "--fee", "2", *relays, *rpc)
    assert isinstance(done, dict), done
    assert (done["state"], done["relay"]) == ("done", devnet.url("v1"))
    devnet.until(lambda: devnet.ask("v0", f"/v1/accounts/0x{key.address.hex()}"), "a credit")
    free = wallet("balance")["balances"][0]["free"]
    assert int(free) == 398 * WHOLE
    owner = open_wallet(devnet.record, key, 1)
    assert owner.native_balance() == 0
    assert owner.token_balance(usdx) == 100 * WHOLE

    assert "a contract" in wallet("withdraw", "USDX.2", "5", "--to", to_checksum(usdx))
    index = str(wallet("withdraw", "USDX.2", "50")["index"])
    devnet.until(
        lambda: devnet.ask("v0", f"/v1/settlement/withdrawals/{index}/proof"),
        "a checkpoint with the withdrawal",
    )
    assert "wants" in wallet("claim", index, "--fee", "0.000001", *relays, *rpc)
    assert wallet("claim", index, "--fee", "1", *relays, *rpc)["relay"] == devnet.url("v1")
    assert owner.token_balance(usdx) == 149 * WHOLE
    again = wallet(
        "claim", index, "--fee", "1", *relays, *rpc
    )  # somebody else's proof, or our second
    assert again["state"] == "done"
    assert owner.token_balance(usdx) == 149 * WHOLE

    trio.run(deposit_by_sdk, devnet, key)
    assert owner.token_balance(usdx) == 139 * WHOLE
    devnet.until(
        lambda: int(wallet("balance")["balances"][0]["free"]) == (398 - 50 + 9) * WHOLE,
        "the deposit that the SDK made is credited",
    )


async def deposit_by_sdk(devnet: LocalDevnet, key: PrivateKey) -> None:
    """Deposit ten on the second chain, one of them for the relay; the first relay is dead."""
    async with RestClient("http://127.0.0.1:9") as nobody, RestClient(devnet.url("v1")) as relay:
        asset = next(a for a in await relay.assets() if a.symbol == "USDX.2")
        permit = await read_permit_terms(devnet.record.rpc_of(1), asset.token, key.address)
        done = await deposit_by_relay(
            [nobody, relay],
            key,
            network_id=devnet.plan.network_id,
            asset=asset,
            atoms=10 * WHOLE,
            fee=1 * WHOLE,
            permit=permit,
            rpc_url=devnet.record.rpc_of(1),
        )
    assert done.url == devnet.url("v1")


def test_the_committee_pauses_one_vault_and_not_the_other(
    devnet: LocalDevnet, tmp_path: Path
) -> None:
    chain = str(devnet.record.chain_id + 1)
    made = run_node(devnet, "v0", "decision", "propose", "pause", "--chain", chain)
    name = made["id"][:14]
    assert made["weight"] < made["quorum"]
    devnet.until(
        lambda: devnet.read("v1", "/v1/decisions")["decisions"], "v1 hears of the decision"
    )
    key = PrivateKey.generate()
    open_wallet(devnet.record, devnet.plan.deployer, 1).send_native(key.address, 10**18)
    home = make_home(devnet, tmp_path, key)
    submit = ("decision", "submit", name, "--rpc", devnet.record.rpc_of(1))
    password = ("--password-file", str(home / "password"))
    early = run_cli(home, devnet.url("v1"), *submit, *password)
    assert any(words in early for words in deciding.NOT_YET), early
    v1 = devnet.folder.data("v1").root
    deciding.approve(devnet, lambda: type_cli(v1, devnet.url("v1"), "decision", "approve", name))
    done = deciding.bring(devnet, lambda: type_cli(home, devnet.url("v1"), *submit, *password))
    assert done["state"] == "done"
    for number, refused in ((0, False), (1, True)):
        deployment = devnet.plan.deployments[number]
        wallet = open_wallet(devnet.record, devnet.plan.deployer, number)
        token = deployment.tokens[USDX].address
        wallet.mint(token, devnet.plan.deployer.address, WHOLE)
        with pytest.raises(ContractRefused) if refused else nullcontext():
            wallet.deposit(deployment.vault, token, WHOLE)
