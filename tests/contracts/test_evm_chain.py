"""The devnet chain: JSON-RPC as wallets expect it, durable, and safe from bad requests."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3
from web3.providers import HTTPProvider

from contracts.artifact import load_artifact
from contracts.chain.__main__ import parse_arguments
from contracts.chain.accounts import BALANCE_WEI, account_key
from contracts.chain.evm import EvmChain
from contracts.chain.methods import RpcMethods, RpcProblem
from contracts.chain.server import answer_body
from contracts.chain.store import ChainStore
from contracts.deployment import deploy
from contracts.evm_web3 import connect
from contracts.rpc import HttpRpc
from contracts.transaction import Fees, Transaction, sign_transaction
from contracts.wallet import Wallet
from primitives.address import to_checksum
from primitives.errors import WrongNetwork
from primitives.secp256k1 import PrivateKey
from tests.contracts.harness import CHAIN_ID, World, embedded_evm

ALICE, BOB = account_key(1, 0), account_key(1, 1)
START_S = 1_700_000_000


class Clock:
    def __init__(self) -> None:
        self.now = START_S

    def __call__(self) -> int:
        return self.now


def make_chain(path: Path | None = None, clock: Clock | None = None) -> EvmChain:
    return EvmChain(
        chain_id=CHAIN_ID,
        store=ChainStore(path),
        balances=[(ALICE.address, BALANCE_WEI)],
        now_s=clock or Clock(),
    )


def transfer(
    nonce: int,
    *,
    fee: int = 10**10,
    key: PrivateKey = ALICE,
    value: int = 1,
    gas: int = 21_000,
    chain_id: int = CHAIN_ID,
) -> str:
    transaction = Transaction(
        chain_id=chain_id,
        nonce=nonce,
        fees=Fees(tip=min(fee, 10**9), maximum=fee),
        gas=gas,
        to=BOB.address,
        value=value,
        data=b"",
    )
    return "0x" + sign_transaction(transaction, key).raw.hex()


@pytest.fixture
def methods() -> RpcMethods:
    return RpcMethods(make_chain(), [ALICE.address], automine=False)


def bob_balance(methods: RpcMethods) -> int:
    return int(methods.answer("eth_getBalance", ["0x" + BOB.address.hex(), "latest"]), 16)


def test_transfer_is_mined_with_the_next_block(methods: RpcMethods) -> None:
    sent = methods.answer("eth_sendRawTransaction", [transfer(0)])
    waiting = methods.answer("eth_getTransactionByHash", [sent])
    assert waiting["blockNumber"] is None
    assert methods.answer("eth_getTransactionReceipt", [sent]) is None
    methods.mine()
    receipt = methods.answer("eth_getTransactionReceipt", [sent])
    assert (receipt["status"], receipt["gasUsed"]) == ("0x1", hex(21_000))
    block = methods.answer("eth_getBlockByNumber", ["latest", True])
    assert [one["hash"] for one in block["transactions"]] == [sent]
    assert methods.answer("eth_getBlockByHash", [block["hash"], False])["transactions"] == [sent]
    assert bob_balance(methods) == 1


def test_blocks_are_mined_without_transactions_too(methods: RpcMethods) -> None:
    for _ in range(3):
        methods.mine()
    assert methods.answer("eth_blockNumber", []) == "0x3"
    third = methods.answer("eth_getBlockByNumber", ["0x3", False])
    second = methods.answer("eth_getBlockByNumber", ["0x2", False])
    assert third["parentHash"] == second["hash"]
    assert int(third["timestamp"], 16) > int(second["timestamp"], 16)


def test_transactions_of_one_sender_run_in_nonce_order(methods: RpcMethods) -> None:
    for nonce in (2, 1, 0):
        methods.answer("eth_sendRawTransaction", [transfer(nonce)])
    pending = ["0x" + ALICE.address.hex(), "pending"]
    assert methods.answer("eth_getTransactionCount", pending) == "0x3"
    methods.mine()
    assert bob_balance(methods) == 3


def test_gap_in_nonces_waits(methods: RpcMethods) -> None:
    methods.answer("eth_sendRawTransaction", [transfer(1)])
    methods.mine()
    assert bob_balance(methods) == 0
    methods.answer("eth_sendRawTransaction", [transfer(0)])
    methods.mine()
    assert bob_balance(methods) == 2


def test_replacement_needs_a_tenth_more(methods: RpcMethods) -> None:
    methods.answer("eth_sendRawTransaction", [transfer(0, fee=10**10, value=1)])
    with pytest.raises(RpcProblem, match="underpriced"):
        methods.answer("eth_sendRawTransaction", [transfer(0, fee=10**10 + 1, value=2)])
    methods.answer("eth_sendRawTransaction", [transfer(0, fee=11 * 10**9, value=3)])
    methods.mine()
    assert bob_balance(methods) == 3


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (transfer(0, chain_id=1), "chain id"),
        (transfer(0, value=BALANCE_WEI * 2), "insufficient funds"),
        (transfer(0, key=BOB), "insufficient funds"),
        (transfer(0, gas=20_000), "intrinsic gas"),
        (transfer(0, gas=10**9), "block gas limit"),
        (transfer(10_000), "too far ahead"),
        ("0x", "malformed"),
        ("0x02", "malformed"),
        ("0x02c0", "malformed"),
        ("0xf8", "malformed"),
        ("0x05" + "00" * 40, "malformed"),
        (transfer(0)[:-2], "malformed"),
        ("0x" + "ff" * 3000, "malformed"),
    ],
)
def test_bad_transactions_are_refused_with_a_reason(
    methods: RpcMethods, raw: str, message: str
) -> None:
    with pytest.raises(RpcProblem, match=message) as caught:
        methods.answer("eth_sendRawTransaction", [raw])
    assert caught.value.code == -32000
    methods.mine()


def test_used_and_known_transactions_are_refused(methods: RpcMethods) -> None:
    methods.answer("eth_sendRawTransaction", [transfer(0)])
    with pytest.raises(RpcProblem, match="already known"):
        methods.answer("eth_sendRawTransaction", [transfer(0)])
    methods.mine()
    with pytest.raises(RpcProblem, match="nonce too low"):
        methods.answer("eth_sendRawTransaction", [transfer(0)])


def test_transaction_that_became_unaffordable_is_dropped(methods: RpcMethods) -> None:
    nearly_all = BALANCE_WEI - 10**18
    methods.answer("eth_sendRawTransaction", [transfer(0, value=nearly_all)])
    methods.answer("eth_sendRawTransaction", [transfer(1, value=nearly_all)])
    methods.mine()
    methods.mine()
    assert bob_balance(methods) == nearly_all
    methods.answer("eth_sendRawTransaction", [transfer(1, value=1)])
    methods.mine()
    assert bob_balance(methods) == nearly_all + 1


def test_cheap_transaction_waits_for_a_lower_base_fee(methods: RpcMethods) -> None:
    methods.answer("eth_sendRawTransaction", [transfer(0, fee=10**8)])
    methods.mine()
    assert bob_balance(methods) == 0
    for _ in range(20):
        methods.mine()
    assert bob_balance(methods) == 1


@pytest.mark.parametrize(
    ("method", "parameters", "code"),
    [
        ("eth_nothing", [], -32601),
        ("eth_getBalance", {}, -32602),
        ("eth_getBalance", [], -32602),
        ("eth_getBalance", ["0x12", "latest"], -32602),
        ("eth_getBalance", [7, "latest"], -32602),
        ("eth_getBalance", ["0x" + "11" * 20, "0xffffff"], -32000),
        ("eth_getBalance", ["0x" + "11" * 20, "newest"], -32602),
        ("eth_getBalance", ["0x" + "11" * 20, {"blockHash": "0x" + "11" * 32}], -32000),
        ("eth_getStorageAt", ["0x" + "11" * 20, "0x" + "f" * 65, "latest"], -32602),
        ("eth_call", [[], "latest"], -32602),
        ("eth_call", [{"to": "0x1"}, "latest"], -32602),
        ("eth_call", [{"value": "-1"}, "latest"], -32602),
        ("eth_call", [{"to": "0x" + "11" * 20, "value": "0x" + "f" * 64}], -32000),
        ("eth_getLogs", ["x"], -32602),
        ("eth_getLogs", [{"fromBlock": "0x0", "toBlock": "0x0", "topics": [1]}], -32602),
        ("eth_getLogs", [{"topics": ["0x"] * 5}], -32602),
        ("eth_getLogs", [{"blockHash": "0x" + "11" * 32}], -32000),
        ("eth_getTransactionReceipt", ["0x"], -32602),
        ("eth_feeHistory", ["x", "latest"], -32602),
        ("evm_increaseTime", [-5], -32602),
        ("evm_increaseTime", [True], -32602),
    ],
)
def test_bad_requests_get_json_rpc_errors(
    methods: RpcMethods, method: str, parameters: Any, code: int
) -> None:
    with pytest.raises(RpcProblem) as caught:
        methods.answer(method, parameters)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b"7", -32600),
        (b'{"method": 5}', -32600),
        (b"[]", -32005),
        (b"[" + b"1," * 500 + b"1]", -32005),
    ],
)
def test_bad_bodies_get_json_rpc_errors(methods: RpcMethods, body: bytes, code: int) -> None:
    assert json.loads(answer_body(methods, body))["error"]["code"] == code


def test_batches_are_answered_in_order(methods: RpcMethods) -> None:
    calls = [{"id": i, "method": "eth_chainId", "params": []} for i in range(3)]
    answers = json.loads(answer_body(methods, json.dumps([*calls, 5]).encode()))
    assert [answer["id"] for answer in answers] == [0, 1, 2, None]
    assert answers[0]["result"] == hex(CHAIN_ID)
    assert answers[3]["error"]["code"] == -32600


def test_revert_carries_its_data_and_reason() -> None:
    world = World(embedded_evm())
    call = {
        "to": "0x" + world.vault.hex(),
        "data": "0x" + world.encode("Settlement", "deposit", to_checksum(ALICE.address), 1).hex(),
    }
    with pytest.raises(Exception, match="execution reverted") as caught:
        world.evm.rpc.call("eth_call", call, "latest")
    assert caught.value.code == 3
    assert len(caught.value.details) == 36


def test_estimates_suffice_and_are_close() -> None:
    world = World(embedded_evm())
    world.fund(world.usdx, 100)
    payload = world.encode("TestToken", "transfer", to_checksum(ALICE.address), 60)
    call = {
        "from": "0x" + BOB.address.hex(),
        "to": "0x" + world.usdx.hex(),
        "data": "0x" + payload.hex(),
    }
    estimate = int(world.evm.rpc.call("eth_estimateGas", call), 16)
    receipt = world.send(BOB, world.usdx, payload, gas=estimate)
    assert receipt["status"] == 1
    assert receipt["gasUsed"] <= estimate <= receipt["gasUsed"] * 5 // 4


def test_logs_are_filtered_by_block_emitter_and_topics() -> None:
    world = World(embedded_evm())
    world.deposit(world.usdx, 5)
    world.deposit(world.tokens["WETH"], 6)
    topic = "0x" + Web3.keccak(text="Transfer(address,address,uint256)").hex()

    def count(**query: Any) -> int:
        return len(world.evm.rpc.call("eth_getLogs", {"fromBlock": "0x0", **query}))

    everything = count()
    usdx, weth = "0x" + world.usdx.hex(), "0x" + world.tokens["WETH"].hex()
    vault_topic = "0x" + "00" * 12 + world.vault.hex()
    assert count(address=usdx, topics=[topic]) == 2  # mint and deposit
    assert count(address=[usdx, weth], topics=[topic]) == 4
    assert count(topics=[topic, None, vault_topic]) == 2
    assert count(topics=[[topic, vault_topic], [], [vault_topic]]) == 2
    assert count(address=usdx, topics=[topic, None, None, topic]) == 0
    assert count(toBlock="0x0") == 0
    assert everything > 6


def test_state_of_old_blocks_is_answered(methods: RpcMethods) -> None:
    methods.answer("eth_sendRawTransaction", [transfer(0)])
    methods.mine()
    bob = "0x" + BOB.address.hex()
    assert methods.answer("eth_getBalance", [bob, "0x0"]) == "0x0"
    assert methods.answer("eth_getBalance", [bob, {"blockNumber": "0x1"}]) == "0x1"
    assert methods.answer("eth_getBalance", [bob, "earliest"]) == "0x0"


def test_clock_can_be_advanced(methods: RpcMethods) -> None:
    methods.mine()
    methods.answer("evm_increaseTime", [1000])
    methods.answer("evm_mine", [])
    one, two = (methods.answer("eth_getBlockByNumber", [n, False]) for n in ("0x1", "0x2"))
    assert int(two["timestamp"], 16) == int(one["timestamp"], 16) + 1000


def test_chain_continues_from_its_file(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "chain.sqlite"
    first = make_chain(path, clock)
    methods = RpcMethods(first, [], automine=False)
    sent = methods.answer("eth_sendRawTransaction", [transfer(0)])
    for _ in range(3):
        methods.mine()
    head = methods.answer("eth_getBlockByNumber", ["latest", False])
    first.close()
    second = RpcMethods(make_chain(path, clock), [], automine=False)
    assert second.answer("eth_getBlockByNumber", ["latest", False]) == head
    assert second.answer("eth_getTransactionReceipt", [sent])["status"] == "0x1"
    second.answer("eth_sendRawTransaction", [transfer(1)])
    second.mine()
    assert bob_balance(second) == 2


def test_block_that_cannot_be_stored_leaves_the_chain_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = make_chain(tmp_path / "chain.sqlite")
    methods = RpcMethods(chain, [], automine=False)
    methods.answer("eth_sendRawTransaction", [transfer(0)])
    with monkeypatch.context() as patch:
        patch.setattr(
            chain._store, "write_block", lambda *_, **__: (_ for _ in ()).throw(OSError("full"))
        )
        with pytest.raises(OSError, match="full"):
            methods.mine()
    assert methods.answer("eth_blockNumber", []) == "0x0"
    methods.mine()
    assert bob_balance(methods) == 1


# --- the process -------------------------------------------------------------------------------


class ChainProcess:
    """`python -m contracts.chain` on a directory."""

    def __init__(self, directory: Path, *options: str) -> None:
        command = [sys.executable, "-m", "contracts.chain", "--data-dir", str(directory), *options]
        self.process = subprocess.Popen(
            [*command, "--block-ms", "50"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.ready = json.loads(line) if line else {}

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        code = self.process.wait(120)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


def test_process_serves_web3_survives_a_kill_and_ends_cleanly(tmp_path: Path) -> None:
    chain = ChainProcess(tmp_path, "--seed", "9", "--fund", to_checksum(BOB.address))
    deployer = account_key(9, 0)
    try:
        web3 = connect(chain.ready["rpc"], CHAIN_ID)
        with pytest.raises(WrongNetwork):
            connect(chain.ready["rpc"], 1)
        assert web3.eth.get_balance(to_checksum(BOB.address)) == BALANCE_WEI
        plan = World(embedded_evm()).plan
        deployment = deploy(web3, plan, deployer, chain_id=CHAIN_ID)
        wallet = Wallet(web3, deployer, chain_id=CHAIN_ID, mine_at_once=True)
        wallet.mint(deployment.tokens[0].address, deployer.address, 500)
        height = web3.eth.block_number
    finally:
        assert chain.end(signal.SIGKILL) == -signal.SIGKILL
    again = ChainProcess(tmp_path, "--seed", "9")
    try:
        assert again.ready["height"] >= height
        web3 = connect(again.ready["rpc"], CHAIN_ID)
        assert deploy(web3, plan, deployer, chain_id=CHAIN_ID) == deployment
        wallet = Wallet(web3, deployer, chain_id=CHAIN_ID)
        assert wallet.token_balance(deployment.tokens[0].address) == 500
        second = subprocess.run(
            [sys.executable, "-m", "contracts.chain", "--data-dir", str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert second.returncode == 4
        assert "in use" in second.stderr
    finally:
        assert again.end(signal.SIGTERM) == 0


def test_server_refuses_foreign_pages_and_huge_bodies(tmp_path: Path) -> None:
    chain = ChainProcess(tmp_path)
    try:
        host = chain.ready["rpc"].removeprefix("http://")
        body = b'{"id":1,"method":"eth_chainId","params":[]}'

        def post(headers: dict[str, str], content: bytes = body) -> tuple[int, bytes, str | None]:
            line = http.client.HTTPConnection(host, timeout=60)
            line.request("POST", "/", content, headers)
            answer = line.getresponse()
            result = answer.status, answer.read(), answer.getheader("Access-Control-Allow-Origin")
            line.close()
            return result

        assert post({})[0] == 200
        assert post({"Origin": "http://localhost:3000"})[2] == "http://localhost:3000"
        assert post({"Origin": "https://evil.example"})[0] == 403
        assert post({"Host": "evil.example"})[0] == 403
        assert post({"Content-Length": "99999999999"}, b"")[0] == 413
        assert post({"Content-Length": "-1"}, b"")[0] == 413
        rpc = HttpRpc(chain.ready["rpc"])
        assert rpc.call("eth_chainId") == hex(CHAIN_ID)
        rpc.close()
        web3 = Web3(HTTPProvider(chain.ready["rpc"]))
        block = web3.eth.get_block("latest", full_transactions=True)
        assert block["gasLimit"] == 120_000_000
        assert web3.eth.fee_history(4, "latest", [50])["oldestBlock"] >= 0
        assert web3.client_version.startswith("omnibazaar")
        assert web3.net.version == str(CHAIN_ID)
        assert web3.eth.syncing is False
        assert len(web3.eth.accounts) == 10
    finally:
        assert chain.end(signal.SIGINT) == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--block-ms", "1"],
        ["--accounts", "-1"],
        ["--chain-id", "0"],
        ["--seed", "x"],
        ["--fund", "0x12"],
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(["--data-dir", str(tmp_path), *options])
    assert caught.value.code == 2


def test_artifact_code_is_what_the_chain_holds() -> None:
    world = World(embedded_evm())
    code = world.evm.web3.eth.get_code(to_checksum(world.usdx))
    assert len(code) == len(load_artifact("TestToken").deployed_bytecode)


@pytest.mark.parametrize("keep", [True, False])
def test_a_reorganisation_makes_other_blocks_and_survives_a_restart(
    tmp_path: Path, keep: bool
) -> None:
    chain = make_chain(tmp_path / "evm.sqlite")
    methods = RpcMethods(chain, [], automine=False)
    methods.answer("evm_mine", [])
    first = methods.answer("eth_getBlockByNumber", ["latest", False])
    sent = [methods.answer("eth_sendRawTransaction", [transfer(nonce)]) for nonce in range(2)]
    methods.answer("evm_mine", [])
    methods.answer("evm_mine", [])
    old = methods.answer("eth_getBlockByNumber", ["0x2", False])
    assert methods.answer("eth_getTransactionReceipt", [sent[0]])["blockHash"] == old["hash"]
    assert methods.answer("evm_reorg", ["0x2", keep]) == "0x4"
    chain.close()
    methods = RpcMethods(make_chain(tmp_path / "evm.sqlite"), [], automine=False)
    new = methods.answer("eth_getBlockByNumber", ["0x2", False])
    assert new["parentHash"] == first["hash"]
    assert new["hash"] != old["hash"]
    assert methods.answer("eth_getBlockByHash", [old["hash"], False]) is None
    receipt = methods.answer("eth_getTransactionReceipt", [sent[0]])
    assert (receipt is not None) == keep
    count = methods.answer("eth_getTransactionCount", [to_checksum(ALICE.address), "latest"])
    assert count == ("0x2" if keep else "0x0")
    assert methods.answer("evm_mine", []) == "0x0"
    assert methods.answer("eth_blockNumber", []) == "0x5"


def test_genesis_is_never_undone() -> None:
    methods = RpcMethods(make_chain(), [], automine=False)
    genesis = methods.answer("eth_getBlockByNumber", ["0x0", False])["hash"]
    methods.answer("evm_mine", [])
    methods.answer("evm_reorg", ["0x64", True])
    assert methods.answer("eth_getBlockByNumber", ["0x0", False])["hash"] == genesis
    for bad in (["0x0"], ["0x1", 1], [-1]):
        with pytest.raises(RpcProblem):
            methods.answer("evm_reorg", bad)
