"""The commands of a validator's owner, against the real contracts.

Rule: the real program, keystore and outbox; only the network file and the endpoint are the test's.
Spec: docs/reference/cli.md; docs/how-to/join-as-a-validator.md. Deviations: none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.artifact import error_names
from contracts.errors import ContractRefused
from contracts.registry_client import RegistryClient, compute_hot_key_digest
from contracts.registry_events import Change
from contracts.registry_reasons import REASONS, explain
from contracts.transactor import Transactor
from node.cli import claiming, staking
from node.cli.context import Context
from node.cli.root import call
from node.keys.keystore import save_key
from node.network_file import Chain
from primitives.address import to_checksum
from primitives.errors import OperatorError, TransientError
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey
from tests.contracts.harness import CHAIN_ID, NETWORK_ID, TRADER, World
from tests.contracts.test_validator_registry import hand_over, read

HOT, NEW_HOT = (PrivateKey(keccak256(name)) for name in (b"commands hot", b"commands new hot"))
XOM = 10**18
PAYOUT = "0x52908400098527886E0F7030069857D2E4169EE7"
FORTNIGHT = 14 * 24 * 3600


class Owner:
    """Somebody at a terminal with three keys."""

    def __init__(self, world: World, folder: Path, capsys: Any) -> None:
        self.world, self.folder, self._capsys = world, folder, capsys
        self.data = folder / "node"
        (self.data / "keys").mkdir(parents=True, mode=0o700)
        (self.data / "keys" / "node.key").write_text("17" * 32 + "\n")
        self.password = folder / "password"
        self.password.write_text("secret\n")
        self.password.chmod(0o600)
        for key, role in ((TRADER, "trader"), (HOT, "validator"), (NEW_HOT, "gas")):
            save_key(self.data / "keys", key, "secret", role=role, scrypt_n=1 << 12)

    def run(self, *words: str) -> tuple[int, Any, str]:
        """Run a command of `validator`; return its code, its JSON and what it says is wrong."""
        command = [
            "-d",
            str(self.data),
            "-y",
            "validator",
            *words,
            "--rpc",
            "http://chain",
            "--json",
        ]
        if words[0] != "status":
            command += ["--password-file", str(self.password)]
        code = call(command)
        said = self._capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err

    def done(self, *words: str) -> list[str]:
        """Run a command that must go well; return how its steps ended."""
        code, answer, problem = self.run(*words)
        assert code == 0, problem
        return [step["result"] for step in answer["steps"]]

    def registered(self) -> dict[str, Any]:
        code, answer, problem = self.run("status", "--owner", to_checksum(TRADER.address))
        assert code == 0, problem
        found: dict[str, Any] = answer["validator"]
        return found


@pytest.fixture
def owner(world: World, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Owner:
    chain = Chain(
        chain_id=CHAIN_ID,
        vault=to_checksum(world.vault),
        registry=to_checksum(world.deployment.registry),
        distributor=to_checksum(world.distributor),
    )
    network = SimpleNamespace(name="test", network_id=NETWORK_ID, chains=(chain,))
    monkeypatch.setattr(staking, "load_network", lambda file: network)
    monkeypatch.setattr(staking, "HttpRpc", lambda url: world.evm.rpc)
    world.fund(world.tokens["XOM"], 5_000 * XOM)
    return Owner(world, tmp_path, capsys)


def join(owner: Owner, *more: str) -> list[str]:
    return owner.done("join", "--hot-key", "validator", *more)


def test_join_stakes_and_names_hot_key_identity_services_and_payout(owner: Owner) -> None:
    assert join(owner, "--payout", PAYOUT, "--services", "trading,storage") == ["done"] * 3
    found = owner.registered()
    assert found["hot_key"] == to_checksum(HOT.address)
    assert found["payout"] == PAYOUT
    assert found["services"] == ["trading", "storage"]
    assert (found["stake"], found["active"], found["exiting"]) == (str(1_000 * XOM), True, False)
    assert len(bytes.fromhex(found["network_key"][2:])) == 32
    assert join(owner, "--payout", PAYOUT, "--services", "trading,storage") == []


@pytest.mark.parametrize("steps", [1, 2])
def test_an_interrupted_join_goes_on_where_the_contract_is(
    owner: Owner, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    real, sent = Transactor.send, []

    def stop_after(self: Transactor, *arguments: Any, **options: Any) -> Any:
        if len(sent) == steps:
            raise TransientError("the cable was pulled")
        sent.append(arguments)
        return real(self, *arguments, **options)

    monkeypatch.setattr(Transactor, "send", stop_after)
    code, _, problem = owner.run("join", "--hot-key", "validator", "--payout", PAYOUT)
    assert (code, "the cable" in problem) == (1, True)
    monkeypatch.setattr(Transactor, "send", real)
    results = join(owner, "--payout", PAYOUT)
    assert results == {1: ["already done", "done", "done"], 2: ["done"]}[steps]
    assert owner.registered()["payout"] == PAYOUT


def test_joining_again_with_more_adds_the_difference(owner: Owner) -> None:
    join(owner)
    assert join(owner, "--stake", "2500") == ["done", "done"]
    assert owner.registered()["stake"] == str(2_500 * XOM)
    assert owner.done("stake", "1.5") == ["done", "done"]
    assert owner.registered()["stake"] == str(25_015 * XOM // 10)


def test_rotation_payout_and_exit_reach_the_ledgers_events(owner: Owner) -> None:
    head = owner.world.client.head()[0]
    join(owner)
    assert owner.done("rotate-key", "--hot-key", "gas") == ["done"]
    assert owner.done("rotate-key", "--hot-key", "gas") == []
    assert owner.done("set-payout", PAYOUT) == ["done"]
    assert owner.done("set-payout", PAYOUT) == []
    assert owner.done("stake", "1") == ["done", "done"]
    assert owner.done("exit") == ["done"]
    assert owner.done("exit") == []
    changes = owner.world.client.validator_changes(head + 1, owner.world.client.head()[0])
    assert [change.change for change in changes] == [
        Change.REGISTERED,
        Change.HOT_KEY,
        Change.SERVICES,
        Change.STAKE_ADDED,
        Change.EXIT_REQUESTED,
    ]
    last = changes[-1]
    assert (last.hot_key, last.exiting) == (NEW_HOT.address, True)
    assert to_checksum(last.payout) == PAYOUT


def test_the_stake_is_claimed_after_unbonding_and_not_before(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    join(owner)
    owner.done("exit")
    assert owner.done("claim") == [], "a committee without it has to be accepted first"
    assert "keep the node running" in owner.run("status")[1]["next"]
    hand_over(owner.world)
    now_s = owner.world.make_client(None).now_s()
    at = owner.registered()["exit_at_s"]
    assert at == read(owner.world, "exitAt", to_checksum(TRADER.address))
    assert FORTNIGHT - 60 <= at - now_s <= FORTNIGHT
    assert "wait 1" in owner.run("status")[1]["next"]
    owner.world.increase_time(FORTNIGHT)
    assert "claim" in owner.run("status")[1]["next"]
    before = RegistryBalance(owner).atoms()
    assert owner.done("claim") == ["done"]
    assert RegistryBalance(owner).atoms() == before + 1_000 * XOM
    assert owner.run("status")[1]["validator"] is None
    assert owner.done("claim") == []


def test_what_was_earned_before_the_payout_changed_is_shown_too(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    join(owner)
    assert owner.done("set-payout", PAYOUT) == ["done"]
    mine = to_checksum(TRADER.address)
    free = {mine: "1500000", PAYOUT: "7"}

    def get(_url: str, path: str) -> Any:
        account = path.rpartition("/")[2]
        return {"balances": [{"asset": 4, "symbol": "USDX", "free": free[account]}]}

    monkeypatch.setattr(claiming.http, "get", get)
    monkeypatch.setattr(claiming, "_plan_withdrawals", lambda *_: None)
    monkeypatch.setattr(claiming, "list_assets", lambda _: [{"id": 4, "decimals": 6}])
    monkeypatch.setattr(Context, "find_url", lambda _: "http://node")
    code, answer, _ = owner.run("claim")
    assert code == 0
    assert answer["payout"] == PAYOUT
    assert {(row["account"], row["shown"]) for row in answer["balances"]} == {
        (mine, "1.5"),
        (PAYOUT, "0.000007"),
    }


class RegistryBalance:
    """What the owner holds outside the registry."""

    def __init__(self, owner: Owner) -> None:
        self._client = RegistryClient(
            owner.world.evm.rpc,
            chain_id=CHAIN_ID,
            registry=owner.world.deployment.registry,
            network_id=NETWORK_ID,
        )

    def atoms(self) -> int:
        return self._client.token_balance(TRADER.address)


REFUSALS: dict[str, tuple[Callable[[Owner], object], list[str], str]] = {
    "too little": (lambda o: None, ["join", "--hot-key", "validator", "--stake", "999"], "1,000"),
    "too poor": (lambda o: None, ["join", "--hot-key", "validator", "--stake", "9000"], "5000 XOM"),
    "own key": (lambda o: None, ["join", "--hot-key", "trader"], "same"),
    "nobody": (lambda o: None, ["set-payout", PAYOUT], "no validator"),
    "leaving": (lambda o: (join(o), o.done("exit")), ["stake", "5"], "leaving"),
    "tiny": (join, ["stake", "0.5"], "below 1 XOM"),
    "another hot key": (join, ["join", "--hot-key", "gas"], "rotate-key"),
    "key taken": (
        lambda o: (join(o), o.done("rotate-key", "--hot-key", "gas")),
        ["rotate-key", "--hot-key", "validator"],
        "never used twice",
    ),
    "zero payout": (join, ["set-payout", "0x" + "00" * 20], "zero"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_the_contract_would_refuse_is_a_sentence_and_costs_no_gas(
    owner: Owner, case: str
) -> None:
    prepare, words, sentence = REFUSALS[case]
    prepare(owner)
    web3, address = owner.world.evm.web3, to_checksum(TRADER.address)
    before = web3.eth.get_transaction_count(address)
    code, _, problem = owner.run(*words)
    assert code in (1, 3)
    assert sentence in problem
    assert "do " in problem
    assert web3.eth.get_transaction_count(address) == before


def test_every_reason_of_the_registry_has_a_sentence_and_a_fix() -> None:
    assert set(error_names("ValidatorRegistry").values()) <= set(REASONS)
    for reason in REASONS:
        error = explain(ContractRefused(reason))
        assert isinstance(error, OperatorError)
        assert error.fix
        assert reason in str(error)
    assert "Unheard" in str(explain(ContractRefused("Unheard", (7,))))


def test_the_digest_is_the_contracts(world: World) -> None:
    digest = compute_hot_key_digest(
        TRADER.address,
        network_id=NETWORK_ID,
        chain_id=CHAIN_ID,
        registry=world.deployment.registry,
    )
    assert digest == bytes(read(world, "hotKeyDigest", to_checksum(TRADER.address)))


@pytest.mark.parametrize(
    ("state", "word"),
    [
        ({"is_convicted": True, "jailed_until_ms": 0, "seat": None}, "rotate-key"),
        ({"is_convicted": False, "jailed_until_ms": 5, "seat": None}, "unjail"),
        ({"is_convicted": False, "jailed_until_ms": 0, "seat": None}, "earn the score"),
        ({"is_convicted": False, "jailed_until_ms": 0, "seat": 2}, "nothing"),
        (None, "omnibazaar run"),
    ],
)
def test_status_says_what_to_do_next(state: dict[str, Any] | None, word: str) -> None:
    bonded = SimpleNamespace(exiting=False, is_active=True, exit_at_s=0)
    assert word in claiming.advise(bonded, state, 0)


def test_unjail_refuses_before_the_term_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    score = {"jailed_until_ms": 0}
    monkeypatch.setattr(claiming.http, "get", lambda url, path: score)
    with pytest.raises(OperatorError, match="not jailed"):
        claiming.verify_jailed("http://node", PAYOUT, 10_000)
    score["jailed_until_ms"] = 12_500
    with pytest.raises(OperatorError, match="ends in 3 s"):
        claiming.verify_jailed("http://node", PAYOUT, 10_000)
    score["jailed_until_ms"] = 9_999
    claiming.verify_jailed("http://node", PAYOUT, 10_000)
