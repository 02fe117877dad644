"""A network moves to another vault: the how-to page, on real processes, to the atom.

Rule: the commands as operators type them; only the two weeks of notice are shortened, by the
chain's clock.
Spec: docs/how-to/move-to-a-new-vault.md; docs/spec/settlement.md §15. Deviations: none.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from contracts.rpc import HttpRpc
from contracts.settlement_client import SettlementClient
from contracts.vault_leaving import VaultLeaving
from devnet.funding import NATIVE_WEI, open_wallet
from devnet.plan import USDX
from node.keys.keystore import save_key
from primitives.address import parse_address
from primitives.secp256k1 import PrivateKey
from tests.devnet import deciding
from tests.devnet.commands import run_program
from tests.devnet.local_devnet import LocalDevnet

pytestmark = pytest.mark.processes
WHOLE = 10**6
MOVE_AFTER_S = (12, 60, 240)  # from now; a vote that comes later is refused
NOTICE_STEPS = (6 * 86_400, 6 * 86_400, 2 * 86_400 + 60)
"""A vault without a checkpoint for nine days would close."""


class Move:
    """One network on its way to another vault."""

    def __init__(self, devnet: LocalDevnet, place: Path) -> None:
        self.devnet = devnet
        self.key = PrivateKey.generate()
        self.token = devnet.plan.deployment.tokens[USDX].address
        self.old = devnet.plan.deployment.vault
        self.new = b""
        self.rpc = ("--rpc", devnet.record.rpc)
        self.home = place / "home"
        (self.home / "keys").mkdir(mode=0o700, parents=True)
        shutil.copy(devnet.folder.data("v0").network_file, self.home / "network.json")
        save_key(self.home / "keys", self.key, "pass", role="trader", scrypt_n=1 << 10)
        self.password = ("--password-file", str(self.home / "password"))
        (self.home / "password").touch(0o600)
        (self.home / "password").write_text("pass")
        deployer = open_wallet(devnet.record, devnet.plan.deployer)
        deployer.send_native(self.key.address, NATIVE_WEI)
        deployer.mint(self.token, self.key.address, 1_000 * WHOLE)

    def type(self, folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        words = ("-y", "-d", str(folder), "--url", self.devnet.url(name), *arguments, "--json")
        return run_program([sys.executable, "-m", "node.cli", *words])

    def data(self, name: str) -> Path:
        return self.devnet.folder.data(name).root

    def run(self, folder: Path, name: str, *arguments: str) -> Any:
        """Run one command; return its JSON."""
        done = self.type(folder, name, *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def operator(self, name: str, *arguments: str) -> Any:
        return self.run(self.data(name), name, *arguments)

    def person(self, *arguments: str, rpc: bool = True) -> Any:
        endpoint = self.rpc if rpc else ()
        return self.run(self.home, "v0", *arguments, *endpoint, *self.password)

    def decide(self, *wish: str) -> None:
        """Propose, approve by two others, submit."""
        made = self.operator("v0", "decision", "propose", *wish)
        name = made["id"][:18]
        for other in ("v1", "v2"):
            words = (self.data(other), other, "decision", "approve", name)
            deciding.approve(self.devnet, partial(self.type, *words))
        words = (self.home, "v0", "decision", "submit", name, *self.rpc, *self.password)
        assert deciding.bring(self.devnet, partial(self.type, *words))["state"] == "done"

    def until(self, fact: Callable[[], Any], what: str) -> Any:
        return self.devnet.until(fact, what)

    def vaults(self, name: str = "v0") -> dict[str, dict[str, Any]]:
        found = self.devnet.ask(name, "/v1/settlement") or {"vaults": ()}
        return {one["vault"].lower(): one for one in found["vaults"]}

    def free(self) -> int:
        found = self.devnet.ask("v0", f"/v1/accounts/0x{self.key.address.hex()}")
        rows = found["balances"] if found else ()
        return next((int(one["free"]) for one in rows if one["symbol"] == "USDX"), 0)

    def purse(self) -> int:
        return open_wallet(self.devnet.record, self.key).token_balance(self.token)

    @contextmanager
    def open(self, vault: bytes) -> Iterator[SettlementClient]:
        with closing(HttpRpc(self.devnet.record.rpc)) as rpc:
            yield SettlementClient(
                rpc,
                chain_id=self.devnet.record.chain_id,
                vault=vault,
                network_id=self.devnet.plan.network_id,
            )

    def accepted(self, vault: bytes) -> int:
        with self.open(vault) as client:
            return client.status().checkpoints

    def pass_notice(self) -> None:
        """Let two weeks pass on the chain, with checkpoints in both vaults all the while."""
        for seconds in NOTICE_STEPS:
            before = {vault: self.accepted(vault) for vault in (self.old, self.new)}
            self.until(
                lambda before=before: all(self.accepted(v) > n for v, n in before.items()),
                "a checkpoint in both vaults",
            )
            with closing(HttpRpc(self.devnet.record.rpc)) as rpc:
                rpc.call("evm_increaseTime", hex(seconds))
                rpc.call("evm_mine")

    def vote(self, successor: str) -> None:
        """Let three vote for one time; a later one when it came before all had typed."""
        words = ("vault", "move", successor)
        for after_s in MOVE_AFTER_S:
            first = self.type(self.data("v0"), "v0", *words, "--after-s", str(after_s))
            if first.returncode:
                continue
            at_ms = ("--at-ms", str(json.loads(first.stdout)["at_ms"]))
            others = [self.type(self.data(name), name, *words, *at_ms) for name in ("v1", "v2")]
            if not any(done.returncode for done in others):
                return
        raise AssertionError("no time was late enough for three to vote")

    def claim(self, index: int) -> None:
        path = f"/v1/settlement/withdrawals/{index}/proof"
        self.until(lambda: self.devnet.ask("v0", path), "a checkpoint with the withdrawal")
        self.person("wallet", "claim", str(index))


def test_a_network_moves_to_another_vault_to_the_atom(
    new_devnet: Callable[[], LocalDevnet], tmp_path: Path
) -> None:
    devnet = new_devnet()
    devnet.up("--validators", "4", "--traders", "2")
    move = Move(devnet, tmp_path)
    old = "0x" + move.old.hex()
    move.person("wallet", "deposit", "USDX", "400")
    move.until(lambda: move.free() == 400 * WHOLE, "the deposit is credited")

    made = move.person("vault", "deploy")
    address, move.new = made["vault"].lower(), parse_address(made["vault"])
    move.decide("announce", made["vault"])
    move.pass_notice()
    in_flight = move.person("wallet", "withdraw", "USDX", "50", rpc=False)["index"]

    devnet.kill("v3")  # it is away while the assets move
    move.vote(made["vault"])
    move.until(lambda: move.vaults()[old]["moved_to"].lower() == address, "the assets move")
    index = move.person("wallet", "withdraw", "USDX", "100", rpc=False)["index"]
    devnet.start("v3")

    move.until(lambda: _is_funded(move), "the funds follow by themselves")
    assert move.person("vault", "hand-over")["handed_over"] == [], "nothing is left to give"
    move.claim(in_flight)
    assert move.purse() == 650 * WHOLE
    move.claim(index)
    assert move.purse() == 750 * WHOLE
    with move.open(move.old) as client:
        left = client.token_status(move.token)
    assert (left.liabilities, left.balance) == (0, 0), "what is owed was handed over, no more"
    move.until(lambda: not move.person("vault", "follow")["followed"], "all follow")

    move.person("wallet", "deposit", "USDX", "30")
    move.until(lambda: move.free() == 280 * WHOLE, "a deposit in the new vault is credited")
    with move.open(move.new) as client:
        here = client.token_status(move.token)
    assert here.balance == here.liabilities
    assert here.withdrawn == 100 * WHOLE
    move.until(lambda: _sees_move(move, "v3", old, address), "who was away has caught up")


def _is_funded(move: Move) -> bool:
    left = move.devnet.read("v0", "/v1/settlement")["left"]
    with move.open(move.old) as old:
        leaving = VaultLeaving(old)
        given = [leaving.count_owed(parse_address(one["token"])) == 0 for one in left]
        return all(given) and old.token_status(move.token).released == int(left[0]["owed"])


def _sees_move(move: Move, name: str, old: str, new: str) -> bool:
    found = move.vaults(name)
    return new in found and found[old]["moved_to"].lower() == new and found[new]["deposits"] >= 1
