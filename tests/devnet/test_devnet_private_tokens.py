"""Private tokens and block rewards on a network of real processes, by the commands people use.

Rule: the chain is the devnet's own, with COTI's precompile emulated; the rest is the product.
Spec: docs/how-to/private-tokens.md; docs/explanation/economics.md. Deviations: none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from contracts.rpc import HttpRpc
from devnet.funding import open_wallet
from devnet.plan import USDX, XOM_SUPPLY
from primitives.address import to_checksum
from primitives.secp256k1 import PrivateKey
from tests.devnet.commands import run_program
from tests.devnet.local_devnet import LocalDevnet
from tests.devnet.test_devnet_two_chains import make_home

pytestmark = pytest.mark.processes
WHOLE = 10**6
DAY_S = 86_400


@pytest.fixture(scope="module")
def devnet(new_devnet: Callable[[], LocalDevnet]) -> LocalDevnet:
    devnet = new_devnet()
    devnet.up("--evm", "coti", "--validators", "2", "--traders", "0")
    return devnet


class Shell:
    """A data directory with one key, and the wallet's commands."""

    def __init__(self, devnet: LocalDevnet, home: Path) -> None:
        self.home = home
        self._options = ("-y", "-d", str(home), "--url", devnet.url("v0"))
        self._rpc = ("--rpc", devnet.record.rpc)

    def run(self, *arguments: str, needs_rpc: bool = True) -> Any:
        """Return a command's JSON, or what it says of a failure."""
        more = ["--password-file", str(self.home / "password"), "--json"]
        more += self._rpc if needs_rpc else ()
        words = (*self._options, "wallet", *arguments, *more)
        done = run_program([sys.executable, "-m", "node.cli", *words])
        return json.loads(done.stdout) if done.returncode == 0 else done.stderr


def test_private_tokens_go_in_and_come_out(devnet: LocalDevnet, tmp_path: Path) -> None:
    key = PrivateKey.generate()
    devnet.command("fund", to_checksum(key.address))
    shell = Shell(devnet, make_home(devnet, tmp_path, key))
    assert "wallet onboard" in shell.run("private", "PUSDX")
    shell.run("wrap", "PUSDX", "1000")
    shell.run("onboard")
    (file,) = (shell.home / "cache" / "private").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    done = shell.run("deposit", "PUSDX", "400", "--confidential")
    assert done["amount"] == str(400 * WHOLE)
    assert shell.run("private", "PUSDX")["balance"] == str(600 * WHOLE)
    path = f"/v1/accounts/0x{key.address.hex()}"
    devnet.until(lambda: devnet.ask("v0", path), "a credit")
    (balance,) = devnet.read("v1", path)["balances"]
    assert (balance["symbol"], balance["free"]) == ("PUSDX", str(400 * WHOLE))

    index = str(shell.run("withdraw", "PUSDX", "150", needs_rpc=False)["index"])
    devnet.until(
        lambda: devnet.ask("v0", f"/v1/settlement/withdrawals/{index}/proof"),
        "a checkpoint with the withdrawal",
    )
    assert shell.run("claim", index)["state"] == "done"
    assert shell.run("private", "PUSDX")["balance"] == str(750 * WHOLE)
    shell.run("unwrap", "PUSDX", "750")
    usdx = devnet.plan.deployment.tokens[USDX].address
    owner = open_wallet(devnet.record, key)
    assert owner.token_balance(usdx) == (1_000_000 - 250) * WHOLE


def test_block_rewards_reach_the_payout_accounts(devnet: LocalDevnet) -> None:
    """A day passes on the EVM chain; the next checkpoint mints, the ledger shares."""
    rpc = HttpRpc(devnet.record.rpc)
    rpc.call("evm_increaseTime", hex(DAY_S))
    rpc.close()
    payouts = [to_checksum(seat.payout.address) for seat in devnet.plan.validators]
    daily = Decimal(XOM_SUPPLY * 2 // 100 // 365) / 10**18

    def has_xom(payout: str) -> bool:
        found = devnet.ask("v1", f"/v1/accounts/{payout}") or {"balances": ()}
        return any(one["symbol"] == "XOM" for one in found["balances"])

    devnet.until(lambda: all(map(has_xom, payouts)), "rewards for everybody")
    total = Decimal(0)
    for payout in payouts:
        command = ("--url", devnet.url("v1"), "wallet", "statement", "--account", payout, "--json")
        done = run_program([sys.executable, "-m", "node.cli", *command])
        totals = {(t["asset"], t["type"]): t["amount"] for t in json.loads(done.stdout)["totals"]}
        total += Decimal(totals["XOM", "reward"])
    assert daily <= total < daily * 2
