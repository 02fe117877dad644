"""Check that one command brings up a network that does the whole job.

Rule: four validators, an EVM chain and traders as a user would start them; every figure is read
from the nodes' APIs, from the chain, or worked out again from the blocks on disk.
Spec: docs/reference/devnet.md; docs/spec/settlement.md. Deviations: none.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

import msgspec
import pytest
import trio

from chat.envelope import sign
from chat.payload import RoomMessage
from client.errors import AnchorOutdated, ProofRefused
from client.keys import Credentials
from client.light import verify_proven_balance
from client.node_client import open_node
from client.rest import RestClient
from client.trader import Trader, open_trader
from client.views import Atoms, WithdrawalProof
from contracts.errors import ContractRefused, RpcRefused
from contracts.rpc import HttpRpc
from contracts.settlement_calls import encode_withdraw, revert_reason
from contracts.settlement_client import SettlementClient
from contracts.settlement_types import StateWords, Submission, WithdrawalClaim
from contracts.transactor import Transactor
from devnet.funding import FUND_WHOLE, open_wallet
from devnet.plan import USDX, WETH
from exchange.actions import decode_bundle, verify
from exchange.ledger import compute_shares
from node.blocks.records import decode_stored_block
from node.cli.proofs import read_anchor
from node.replica.ledger import Ledger
from node.replica.scorekeeper import make_scorekeeper
from p2p.config import NetworkConfig
from p2p.network import Network
from primitives.address import to_checksum
from primitives.cid import Cid
from primitives.eip712 import network_domain
from primitives.secp256k1 import PrivateKey
from storage.bitswap import Bitswap
from storage.bitswap_host import HostStreams, parse_peer
from storage.chain_reader import ChainReader
from tests.devnet.insisting import ask_again, buy_until_filled
from tests.devnet.local_devnet import ANSWER_S, MARGIN, PATIENCE_S, LocalDevnet

pytestmark = pytest.mark.processes

FINAL_S, TRADE_S, SETTLED_S = 10, 20, 40  # from the prompt, as promised
CHECKPOINT_S = 15
VALIDATOR_KEYS = {
    "name", "api", "pid", "ready", "paused", "height", "final", "executed", "state_root", "peers",
    "block_cid", "finality_ms", "trades", "actions", "verified_signatures",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A devnet and how long it took, in seconds from the prompt."""

    devnet: LocalDevnet
    ready_s: float
    final_s: float
    trade_s: float
    settled_s: float
    factor: float  # by which the machine held the processes up


@pytest.fixture(scope="module")
def started(new_devnet: Callable[[], LocalDevnet]) -> Started:
    devnet = new_devnet()
    watch = devnet.fair_time()
    begin = watch.begin
    process = devnet.start_command("up", "--detach")
    seen: dict[str, float] = {}
    while len(seen) < 4 and time.monotonic() - begin < PATIENCE_S:
        time.sleep(0.1)
        now = time.monotonic() - begin
        if "ready" not in seen and process.poll() is not None:
            output, errors = process.communicate()
            assert process.returncode == 0, errors
            assert "ready in" in output
            seen["ready"] = now
        if not devnet.folder.exists():
            continue
        status = devnet.look()
        facts = {
            "final": any((v.final or 0) > 0 for v in status.validators),
            "trade": any(m.trades for m in status.markets),
            "settled": status.settlement.checkpoints > 0,
        }
        for name, is_fact in facts.items():
            if is_fact:
                seen.setdefault(name, now)
    process.kill()
    never = float("inf")
    return Started(
        devnet=devnet,
        ready_s=seen.get("ready", never),
        final_s=seen.get("final", never),
        trade_s=seen.get("trade", never),
        settled_s=seen.get("settled", never),
        factor=watch.factor(),
    )


@pytest.fixture(scope="module")
def devnet(started: Started) -> LocalDevnet:
    return started.devnet


def test_first_block_trade_and_checkpoint_come_in_time(
    started: Started, record_property: Callable[[str, object], None]
) -> None:
    for name in ("ready_s", "final_s", "trade_s", "settled_s"):
        record_property(name, round(getattr(started, name), 1))
    print(started)
    assert started.final_s < MARGIN * FINAL_S * started.factor
    assert started.trade_s < MARGIN * TRADE_S * started.factor
    assert started.settled_s < MARGIN * SETTLED_S * started.factor


def test_up_returned_when_all_validators_were_ready(started: Started) -> None:
    assert started.ready_s < MARGIN * FINAL_S * started.factor
    assert started.devnet.names == ("v0", "v1", "v2", "v3")


def test_status_prints_the_documented_object(devnet: LocalDevnet) -> None:
    status = devnet.status()
    assert set(status) == {"validators", "chain", "markets", "settlement", "chat"}
    assert [v["name"] for v in status["validators"]] == list(devnet.names)
    for validator in status["validators"]:
        assert set(validator) == VALIDATOR_KEYS
        assert validator["ready"] is True
        assert validator["peers"] == 3
        assert validator["executed"] <= validator["final"] <= validator["height"]
        assert len(bytes.fromhex(validator["state_root"][2:])) == 32
        devnet.until(
            lambda name=validator["name"]: devnet.fetch(name, "/readyz")[0] == 200, "it is ready"
        )
    assert len({v["pid"] for v in status["validators"]}) == 4
    assert status["chain"] == {"id": devnet.record.chain_id, "rpc": devnet.record.rpc}
    assert [m["id"] for m in status["markets"]] == [0, 1, 2, 3]
    for market in status["markets"]:
        names = {"id", "name", "orders", "trades", "best_bid", "best_ask", "bid", "ask"}
        assert set(market) == names
    settlement = status["settlement"]
    assert set(settlement) == {"checkpoints", "height", "state_root", "fees"}
    assert set(settlement["fees"]) == {"USDX", "XOM", "WETH", "WBTC"}
    for fees in settlement["fees"].values():
        assert set(fees) == {"decimals", "total", "validators", "company", "development"}
        shares = [int(fees[name]) for name in ("validators", "company", "development")]
        assert int(fees["total"]) == sum(shares)
    assert set(status["chat"]) == {"messages"}


def test_state_roots_are_equal_at_equal_heights(devnet: LocalDevnet) -> None:
    seen: dict[int, dict[str, str]] = {}

    def compared() -> int:
        for v in devnet.look().validators:
            if v.executed is not None and v.state_root is not None:
                seen.setdefault(v.executed, {})[v.name] = v.state_root
        return sum(len(roots) == 4 for roots in seen.values()) >= 5

    devnet.until(compared, "five heights seen on all four nodes")
    assert all(len(set(roots.values())) == 1 for roots in seen.values())
    low, high = min(seen), min(devnet.finals())
    chains = [devnet.hashes(name, 1, high) for name in devnet.names]
    assert all(chain == chains[0] for chain in chains)
    assert len(chains[0]) == high
    stated = 0
    for height in range(low, high + 1):
        header = devnet.read("v2", f"/v1/blocks/{height}")
        roots = seen.get(header["summary"]["executed_height"], {})
        assert set(roots.values()) <= {header["state_root"]}
        stated += bool(roots)
    assert stated


def test_stakes_in_the_registry_are_attested_to_the_ledger(devnet: LocalDevnet) -> None:
    seat = devnet.read("v0", "/v1/validators")["validators"][1]

    def staked() -> bool:
        scores = [devnet.read(v, f"/v1/validators/{seat['address']}/score") for v in devnet.names]
        return all(int(one["network_key"], 16) for one in scores)

    devnet.until(staked, "the registry's changes on the ledger")
    score = devnet.read("v2", f"/v1/validators/{seat['address']}/score")
    assert int(score["stake"]) == devnet.plan.deployment_plan.stake
    assert score["owner"] == seat["payout"]
    assert score["seat"] == 1
    assert score["votes"] > 0


def test_the_ledger_replayed_from_genesis_matches_what_was_settled(devnet: LocalDevnet) -> None:
    """Fees, shares and roots on chain against an execution of all blocks by this test."""
    devnet.until(
        lambda: any(int(fee.total) for fee in devnet.look().settlement.fees.values()),
        "a checkpoint with fees",
    )
    with open_settlement(devnet) as (settlement, _):
        head, _ = settlement.head()
        accepted = settlement.checkpoints_in(0, head)
        splits = settlement.fee_splits(0, head)
    assert accepted
    ledger, fees_at, roots_at = replay(devnet, accepted[-1].executed_height)
    tokens = [asset.token_bytes for asset in devnet.plan.network.exchange.assets]
    paid = {token: [0, 0, 0, 0] for token in tokens}
    for checkpoint in accepted:
        height = checkpoint.executed_height
        assert checkpoint.state_root == roots_at[height]
        for split in splits:
            if split.executed_height != height:
                continue
            assert split.total == split.validators + split.company + split.development
            shares = (split.total, split.validators, split.company, split.development)
            paid[split.token] = [a + b for a, b in zip(paid[split.token], shares, strict=True)]
        for asset, token in enumerate(tokens):
            total, validators, company, development = paid[token]
            assert total == fees_at[height][asset]
            assert company == total * 20 // 100
            assert development == total * 10 // 100
            assert (validators, company, development) == compute_shares(total)
    assert {s.executed_height for s in splits} <= {c.executed_height for c in accepted}
    assert any(paid[token][0] for token in tokens), "no fees were charged"
    with open_settlement(devnet) as (settlement, _):
        vaults = [settlement.token_status(token) for token in tokens]
    for asset, vault in enumerate(vaults):
        owed = sum(
            balance.free + balance.held
            for account in ledger.state.accounts
            for balance in account.entries
            if balance.asset == asset
        )
        assert vault.balance >= vault.liabilities
        assert vault.balance >= owed


def test_a_block_is_fetched_by_its_cid_from_another_node(devnet: LocalDevnet) -> None:
    text = devnet.look().validators[0].block_cid
    assert text
    cid = Cid.parse(text)

    def fetched() -> bytes | None:
        status, body = devnet.fetch("v2", f"/ipfs/{text}?format=raw")
        return body if status == 200 else None

    data = devnet.until(fetched, "v2 serves the block of v0's status")
    assert Cid.of(cid.codec, data) == cid


async def test_a_block_is_fetched_by_its_cid_over_bitswap(devnet: LocalDevnet) -> None:
    cid = Cid.parse(devnet.look().validators[0].block_cid or "")
    seat = devnet.plan.validators[3]
    devnet.until(lambda: devnet.fetch("v3", f"/ipfs/{cid}?format=raw")[0] == 200, "v3 holds it")
    config = NetworkConfig(
        network_id=devnet.plan.network_id, seed=PrivateKey.generate().secret, validators=()
    )
    async with Network(config) as network, trio.open_nursery() as nursery:
        bitswap = Bitswap(HostStreams(network.host), NoBlocks())
        await nursery.start(bitswap.run)
        await network.connect(seat.peer_id, (f"/ip4/127.0.0.1/tcp/{seat.p2p_port}",))
        data = await bitswap.fetch(cid, [parse_peer(seat.peer_id)], timeout_s=ANSWER_S)
        nursery.cancel_scope.cancel()
    assert Cid.of(cid.codec, data) == cid


async def test_a_chat_message_outlives_the_node_that_took_it(devnet: LocalDevnet) -> None:
    author = PrivateKey.generate()
    now_ms = time.time_ns() // 1_000_000
    message = RoomMessage(
        domain=network_domain(devnet.plan.network_id),
        author=author.address,
        time_ms=now_ms,
        delegation=None,
        lamport=now_ms,
        room="lobby",
        text="v0 will not live to see this read",
    )
    envelope = sign(message, author)
    pair = (envelope.payload, envelope.signature)
    async with RestClient(devnet.url("v0")) as rest:
        assert (await rest.chat_post("lobby", pair)).stored
    for name in ("v1", "v2", "v3"):
        devnet.until(
            lambda name=name: devnet.read(name, "/v1/status")["chat_messages"], f"{name} heard it"
        )
    devnet.kill("v0")
    try:
        async with RestClient(devnet.url("v3")) as rest:
            page = await rest.chat_messages("lobby")
        found = [m for m in page.messages if m.author == author.address]
        assert [m.text for m in found] == [message.text]
        assert (found[0].payload, found[0].signature) == pair
        reached = max(devnet.finals(("v1", "v2", "v3")))
        status = devnet.status(("v1", "v2", "v3"))
        dead = status["validators"][0]
        assert dead["ready"] is False
        assert dead["final"] is None
        assert status["chat"]["messages"] >= 1
        devnet.wait_final(reached + 2, ("v1", "v2", "v3"))
    finally:
        devnet.start("v0")
    devnet.wait_final(max(devnet.finals()))


async def test_a_user_deposits_trades_withdraws_and_holds_the_tokens(devnet: LocalDevnet) -> None:
    record, plan, key = devnet.record, devnet.plan, PrivateKey.generate()
    devnet.command("fund", to_checksum(key.address))
    wallet = open_wallet(record, key)
    usdx, weth = (plan.deployment.tokens[asset].address for asset in (USDX, WETH))
    minted = FUND_WHOLE * 10**6
    assert wallet.token_balance(usdx) == minted
    deposited = 250_000 * 10**6
    await trio.to_thread.run_sync(wallet.deposit, plan.deployment.vault, usdx, deposited)
    await trio.to_thread.run_sync(wallet.deposit, plan.deployment.vault, weth, 10**18)
    withdrawn = 123_456_789
    async with (
        open_node(devnet.url("v1")) as node,
        open_trader(node, Credentials.of_wallet(key)) as trader,
    ):
        await trader.wait_until(lambda t: len(t.balances) == 2, timeout_s=PATIENCE_S)
        assert trader.balances[USDX].free == deposited
        spent = await trade(trader)
        await trader.wait_until(lambda t: t.balances[USDX].held == 0, timeout_s=PATIENCE_S)
        left = trader.balances[USDX].free
        assert left <= deposited - spent
        await trader.withdraw(USDX, withdrawn, key.address, timeout_s=PATIENCE_S)
        await trader.wait_until(
            lambda t: t.balances[USDX].free == left - withdrawn, timeout_s=PATIENCE_S
        )
    assert wallet.token_balance(usdx) == minted - deposited
    claim = await claim_of(devnet, key.address)
    assert claim.amount == withdrawn
    check_claims(devnet, claim, key)
    assert wallet.token_balance(usdx) == minted - deposited + withdrawn
    assert await prove_balance(devnet, key.address, USDX) == left - withdrawn


async def prove_balance(devnet: LocalDevnet, owner: bytes, asset: int) -> int:
    """Return a balance that follows from the contract's committee, whatever the node says.

    After the border of an epoch the contract knows the committee only from the next checkpoint on.
    """
    wanted = {"owner": owner, "sub": 0, "asset": asset}
    async with RestClient(devnet.url("v3")) as rest:
        assert await rest.balance_proof(b"\x07" * 20, asset) is None
        while True:
            anchor = read_anchor(devnet.plan.network, devnet.record.rpc, devnet.record.chain_id)
            devnet.wait_final(anchor.height, ("v3",))  # it may be behind the others
            found = await rest.balance_proof(owner, asset)
            assert found is not None
            with suppress(AnchorOutdated):
                height, free, held = verify_proven_balance(anchor, found, **wanted)
                break
            await trio.sleep(0.5)
    assert height > 0
    assert held == 0
    lie = msgspec.structs.replace(found, free=Atoms(free + 1))
    with pytest.raises(ProofRefused):
        verify_proven_balance(anchor, lie, **wanted)
    return free


async def trade(trader: Trader) -> int:
    """Rest a post-only order, cancel it, and buy sealed; return the quote atoms paid."""
    with trio.fail_after(PATIENCE_S):  # makers take their quotes away when they renew them
        while True:
            market = (await ask_again(trader.client.rest.markets))[1]
            if market.best_ask is not None and market.best_bid is not None:
                break
            await trio.sleep(0.1)
    order = await trader.place("WETH-USDX", 0, market.best_bid * 9 // 10, 25)
    await trader.wait_until(lambda t: order in t.orders, timeout_s=PATIENCE_S)
    await trader.cancel("WETH-USDX", order)
    await trader.wait_until(lambda t: order not in t.orders, timeout_s=PATIENCE_S)
    taken = await buy_until_filled(trader, "WETH-USDX", market.best_ask * 11 // 10, 100)
    return taken.notional * market.tick + taken.fee


async def claim_of(devnet: LocalDevnet, owner: bytes) -> WithdrawalClaim:
    """Wait until a checkpoint on chain covers the owner's withdrawal; return the claim."""
    async with RestClient(devnet.url("v2")) as rest:
        with trio.fail_after(PATIENCE_S):
            index = 0
            while True:
                proof = await ask_again(partial(rest.withdrawal_proof, index))
                if proof is None:
                    await trio.sleep(0.25)
                elif proof.to == owner:
                    return make_claim(proof)
                else:
                    index += 1


def make_claim(proof: WithdrawalProof) -> WithdrawalClaim:
    height, *words = proof.roots
    return WithdrawalClaim(
        words=StateWords(
            height=int.from_bytes(height, "big"),
            accounts=words[0],
            withdrawals=words[1],
            deposits=words[2],
            fills=words[3],
            effects=words[4],
            rest=words[5],
        ),
        index=proof.index,
        token=proof.token,
        amount=proof.amount,
        to=proof.to,
        siblings=proof.proof,
    )


def check_claims(devnet: LocalDevnet, claim: WithdrawalClaim, key: PrivateKey) -> None:
    """Claim once; a second time, a higher amount and another owner are refused by the vault."""
    with open_settlement(devnet, key) as (settlement, rpc):
        changes = {"amount": claim.amount + 1, "to": PrivateKey.generate().address}
        for name, value in changes.items():
            forged = dataclasses.replace(claim, **{name: value})
            assert refusal(devnet, rpc, forged) == "BadProof"
            with pytest.raises(ContractRefused):
                settlement.withdraw(forged)
        assert not settlement.is_paid(claim.index)
        assert settlement.withdraw(claim) is Submission.DONE
        assert settlement.is_paid(claim.index)
        assert refusal(devnet, rpc, claim) == "AlreadyPaid"
        assert settlement.withdraw(claim) is Submission.ALREADY_DONE


def refusal(devnet: LocalDevnet, rpc: HttpRpc, claim: WithdrawalClaim) -> str:
    """Return why the vault itself refuses a claim."""
    vault = to_checksum(devnet.plan.deployment.vault)
    with pytest.raises(RpcRefused) as caught:
        rpc.call("eth_call", {"to": vault, "data": "0x" + encode_withdraw(claim).hex()}, "latest")
    reason = revert_reason(caught.value)
    assert reason is not None
    return reason.reason


def test_checkpoints_come_at_least_every_fifteen_seconds(devnet: LocalDevnet) -> None:
    def checkpoints() -> int:
        return devnet.look().settlement.checkpoints

    first = checkpoints()
    devnet.until(
        lambda: checkpoints() >= first + 2, "two checkpoints", promised_s=2 * MARGIN * CHECKPOINT_S
    )


def test_a_second_devnet_runs_beside_the_first(
    devnet: LocalDevnet, new_devnet: Callable[[], LocalDevnet]
) -> None:
    other = new_devnet()
    other.up("--validators", "1", "--traders", "0", "--seed", "7")
    before, after = devnet.finals(), other.finals()
    assert other.plan.network_id != devnet.plan.network_id
    assert other.record.port_base != devnet.record.port_base
    other.wait_final(after[0] + 2)
    devnet.wait_final(max(before) + 2)
    other.command("up", "--validators", "1", "--traders", "0", "--seed", "7", code=1)
    other.command("reset")
    assert not other.folder.root.exists()
    devnet.until(
        lambda: all(v.ready for v in devnet.look().validators), "the first one is as it was"
    )
    other.command("status", code=5)


def test_down_and_up_goes_on_where_it_stopped(devnet: LocalDevnet) -> None:
    low = min(devnet.finals())
    before = devnet.look()
    chain = devnet.hashes("v0", 1, low)
    devnet.command("down")
    assert all(not devnet.folder.processes.is_alive(name) for name in devnet.names)
    for name in devnet.names:
        log = (devnet.folder.root / "logs" / f"{name}.log").read_text()
        assert log.rstrip().endswith("stopped"), f"{name} was cut short"
    devnet.up()
    assert min(devnet.finals()) >= low
    assert all(devnet.hashes(name, 1, low) == chain for name in devnet.names)
    devnet.wait_final(max(devnet.finals()) + 2)

    def has_gone_on() -> bool:
        now = devnet.look()
        return (
            now.settlement.checkpoints > before.settlement.checkpoints
            and now.chat["messages"] >= before.chat["messages"]
            and sum(m.trades for m in now.markets) > sum(m.trades for m in before.markets)
        )

    devnet.until(has_gone_on, "trades and checkpoints go on")


# What the tests look with


class NoBlocks:
    """A block source that holds nothing (`storage.block_source.BlockSource`)."""

    async def get(self, cid: Cid) -> bytes | None:
        return None

    async def size(self, cid: Cid) -> int | None:
        return None


@contextmanager
def open_settlement(
    devnet: LocalDevnet, key: PrivateKey | None = None
) -> Iterator[tuple[SettlementClient, HttpRpc]]:
    record, rpc = devnet.record, HttpRpc(devnet.record.rpc)
    client = SettlementClient(
        rpc,
        chain_id=record.chain_id,
        vault=devnet.plan.deployment.vault,
        network_id=devnet.plan.network_id,
        transactor=Transactor(rpc, key, chain_id=record.chain_id) if key else None,
    )
    with closing(rpc):
        yield client, rpc


def replay(
    devnet: LocalDevnet, height: int
) -> tuple[Ledger, dict[int, tuple[int, ...]], dict[int, bytes]]:
    """Execute all final blocks of v0's store on a fresh ledger; return fee totals and roots."""
    network = devnet.plan.network
    seats = tuple((s.address_bytes, s.weight, s.payout_bytes) for s in network.committee)
    ledger = Ledger(network.exchange, seats, make_scorekeeper(network))
    domain = network_domain(network.network_id)
    fees: dict[int, tuple[int, ...]] = {}
    roots: dict[int, bytes] = {}
    reader = ChainReader.open(devnet.folder.data("v0").chain / "chain.sqlite")
    try:
        for number in range(1, height + 1):
            stored = reader.block(number)
            assert stored is not None
            block = decode_stored_block(stored.encoded)
            actions = []
            for digest in block.body.bundles:
                bundle = reader.bundle(digest)
                assert bundle is not None
                assert bundle.data is not None
                actions += [verify(signed, domain) for signed in decode_bundle(bundle.data)]
            outcome = ledger.execute(block, tuple(actions))
            fees[number], roots[number] = outcome.fee_totals, outcome.state_root
            if number > block.header.executed_height > 0:
                assert roots[block.header.executed_height] == block.header.state_root
    finally:
        reader.close()
    return ledger, fees, roots
