"""Everything a contract test needs: a chain, deployed contracts, a committee and a tiny ledger.

The same `World` runs on py-evm in this process and on anvil; its headers and certificates are made
by `consensus/`, its trees by `primitives/`: the contracts are tested against the real thing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from web3 import Web3
from web3.providers.base import BaseProvider

from consensus.committee import Committee, Member
from consensus.header import Header, encode_header, hash_header
from consensus.vote import Kind, compute_vote_digest
from contracts.artifact import load_artifact
from contracts.chain.accounts import BALANCE_WEI, account_key
from contracts.chain.evm import EvmChain
from contracts.chain.methods import RpcMethods, RpcProblem
from contracts.chain.store import ChainStore
from contracts.deployment import deploy
from contracts.deployment_plan import Deployment, DeploymentPlan, GenesisValidator, TokenPlan
from contracts.errors import ContractRefused, RpcRefused
from contracts.evm_web3 import account_of, fee_fields, verify_chain
from contracts.rpc import Rpc, refused
from contracts.rpc_values import data, parse_data, quantity
from contracts.settlement_calls import (
    encode_checkpoint,
    encode_fees,
    encode_state_words,
    encode_view,
    encode_withdraw,
    revert_reason,
)
from contracts.settlement_client import SettlementClient
from contracts.settlement_types import (
    CheckpointSubmission,
    CommitteeMember,
    FeeTotal,
    StateWords,
    WithdrawalClaim,
)
from contracts.transaction import created_address
from contracts.transactor import Transactor
from contracts.wallet import Wallet
from primitives.abi import encode_words
from primitives.address import to_checksum
from primitives.eip712 import network_domain
from primitives.keccak import keccak256
from primitives.merkle import AppendTree, DenseTree, leaf_hash
from primitives.secp256k1 import PrivateKey

CHAIN_ID = 31337
NETWORK_ID = keccak256(b"contract tests")
COMPANY = b"\xc0" * 20
DEVELOPMENT = b"\xde" * 20
INSURANCE = b"\x1e" * 20
DEPLOYER = account_key(1, 0)
TRADER = account_key(1, 1)
RELAYER = account_key(1, 2)
STRANGER = account_key(1, 3)
ACCOUNTS = (DEPLOYER, TRADER, RELAYER, STRANGER)
ZERO = bytes(32)
BALANCES_DEPTH = 16
NOBODY = "0x" + "00" * 20
TOKENS = (
    TokenPlan(symbol="USDX", name="Dollar X", decimals=6),
    TokenPlan(symbol="XOM", name="OmniCoin", decimals=18),
    TokenPlan(symbol="WETH", name="Wrapped Ether", decimals=18),
    TokenPlan(symbol="WBTC", name="Wrapped Bitcoin", decimals=8),
)


class MethodsRpc:
    """The daemon's `Rpc` protocol on a chain in this process."""

    def __init__(self, methods: RpcMethods) -> None:
        self._methods = methods

    def call(self, method: str, *parameters: Any) -> Any:
        try:
            return self._methods.answer(method, list(parameters))
        except RpcProblem as problem:
            raise refused(
                {"code": problem.code, "message": problem.message, "data": problem.details}
            ) from problem


class MethodsProvider(BaseProvider):  # type: ignore[misc]
    """web3's provider on a chain in this process."""

    def __init__(self, methods: RpcMethods) -> None:
        super().__init__()
        self._methods = methods

    def make_request(self, method: str, params: Any) -> Any:
        try:
            return {"jsonrpc": "2.0", "id": 1, "result": self._methods.answer(method, list(params))}
        except RpcProblem as problem:
            error = {"code": problem.code, "message": problem.message, "data": problem.details}
            return {"jsonrpc": "2.0", "id": 1, "error": error}


@dataclass
class Evm:
    """A chain to test on, by both kinds of client."""

    rpc: Rpc
    web3: Web3
    store: ChainStore | None = None  # of a chain in this process


def embedded_evm(image: bytes | None = None, *, mpc: bool = False) -> Evm:
    """A chain in this process that mines every transaction at once; fresh, or an image of one."""
    store = ChainStore(None)
    if image is not None:
        store._db.deserialize(image)
    chain = EvmChain(
        chain_id=CHAIN_ID,
        store=store,
        balances=[(key.address, BALANCE_WEI) for key in ACCOUNTS],
        now_s=lambda: int(time.time()),
        mpc=mpc,
    )
    methods = RpcMethods(chain, [], automine=True)
    web3 = verify_chain(Web3(MethodsProvider(methods)), CHAIN_ID)
    return Evm(rpc=MethodsRpc(methods), web3=web3, store=store)


@dataclass(frozen=True)
class Deployed:
    """What `World` deployed, and an image of the chain it was the first to be deployed on."""

    deployment: Deployment
    extra: list[bytes]
    vault: bytes
    image: Any  # bytes of an embedded chain, the id of a snapshot inside anvil


DEPLOYED: dict[Any, Deployed] = {}
"""Deployments on fresh embedded chains by what was asked for: most tests start from the same."""

ON_ANVIL: dict[Any, Deployed] = {}
"""The same for anvil, which goes back to the newest deployment only."""


def make_keys(count: int) -> tuple[PrivateKey, ...]:
    """Hot keys of a committee."""
    return tuple(PrivateKey(keccak256(b"validator" + bytes([i]))) for i in range(count))


@dataclass
class Ledger:
    """Just enough of a ledger to make state roots and withdrawal proofs."""

    vault: bytes
    tree: AppendTree = field(default_factory=AppendTree)
    accounts: dict[bytes, list[tuple[int, int, int, int]]] = field(default_factory=dict)
    credited: int = 0  # deposits
    withdrawals: list[tuple[int, bytes, int, bytes]] = field(default_factory=list)

    def withdraw(self, token: bytes, amount: int, to: bytes, **other: Any) -> int:
        """Append a withdrawal and return its index; `other` overrides chain_id or vault."""
        index = self.tree.size
        leaf = leaf_hash(
            encode_words(
                index,
                other.get("chain_id", CHAIN_ID),
                other.get("vault", self.vault),
                token,
                amount,
                to,
            )
        )
        self.tree.append(leaf)
        self.withdrawals.append((index, token, amount, to))
        return index

    def words(self, height: int) -> StateWords:
        """The state words at a height."""
        names = ("fills", "effects", "rest")
        rest = {name: keccak256(name.encode() + height.to_bytes(8, "big")) for name in names}
        return StateWords(
            height=height,
            accounts=self.accounts_tree().root,
            withdrawals=self.tree.root,
            deposits=keccak256(encode_words(*(word for one in self.cursors() for word in one))),
            **rest,
        )

    def accounts_tree(self) -> DenseTree:
        """The tree of all accounts, in order of their first credit."""
        leaves = []
        for owner, entries in self.accounts.items():
            root = DenseTree(BALANCES_DEPTH, self.entry_leaves(entries)).root
            leaves.append(leaf_hash(encode_words(owner, root, ZERO)))
        return DenseTree(leaves=leaves)

    @staticmethod
    def entry_leaves(entries: list[tuple[int, int, int, int]]) -> list[bytes]:
        """Leaves of (sub, asset, free, held)."""
        return [leaf_hash(encode_words(*entry)) for entry in entries]

    def cursors(self) -> list[tuple[int, bytes, int]]:
        """Deposits credited per vault; another vault comes first."""
        return [(1, b"\x77" * 20, 1_000), (CHAIN_ID, self.vault, self.credited)]

    def balance_proof(self, owner: bytes, position: int) -> tuple[Any, Any]:
        """The contract's AccountProof and EntryProof of one balance."""
        number = list(self.accounts).index(owner)
        entries = self.accounts[owner]
        tree = DenseTree(BALANCES_DEPTH, self.entry_leaves(entries))
        return (
            (number, to_checksum(owner), ZERO, self.accounts_tree().proof(number)),
            (position, *entries[position], tree.proof(position)),
        )

    def claim(self, index: int, words: StateWords, count: int | None = None) -> WithdrawalClaim:
        """The claim of a withdrawal against state words made when there were `count` of them."""
        _, token, amount, to = self.withdrawals[index]
        siblings = self.tree.proof_at(index, self.tree.size if count is None else count)
        return WithdrawalClaim(
            words=words, index=index, token=token, amount=amount, to=to, siblings=tuple(siblings)
        )


class World:
    """Deployed contracts, their committee, and a ledger whose checkpoints it can submit."""

    def __init__(
        self,
        evm: Evm,
        validators: int = 4,
        weights: tuple[int, ...] = (),
        extra_tokens: tuple[str, ...] = (),
    ) -> None:
        self.keys = make_keys(validators)
        self.domain = network_domain(NETWORK_ID)
        self.committee = Committee(
            tuple(
                Member(address=key.address, weight=weight)
                for key, weight in zip(self.keys, weights or (1,) * validators, strict=True)
            )
        )
        self.plan = DeploymentPlan(
            network_id=NETWORK_ID,
            validators=tuple(
                GenesisValidator(
                    owner=key.address,
                    hot_key=key.address,
                    weight=member.weight,
                    network_key=keccak256(key.address),
                    services=7,
                )
                for key, member in zip(self.keys, self.committee.members, strict=True)
            ),
            tokens=TOKENS,
            company=COMPANY,
            development=DEVELOPMENT,
            insurance=INSURANCE,
            xom_supply=10**28,
        )
        self._deploy_all(evm, extra_tokens)
        self.distributor = created_address(self.vault, 1)
        self.tokens = {token.symbol: token.address for token in self.deployment.tokens}
        self.usdx = self.tokens["USDX"]
        self.ledger = Ledger(self.vault)
        self.fees = dict.fromkeys([*self.tokens.values(), *self.extra], 0)
        self.left: tuple[FeeTotal, ...] = ()
        self.home: bytes | None = None  # where the assets are, if not in `vault`
        self.height = 0
        self.wallet = Wallet(self.evm.web3, TRADER, chain_id=CHAIN_ID)
        self.client = self.make_client(RELAYER)

    def make_client(self, key: PrivateKey | None, **options: Any) -> SettlementClient:
        """A daemon's client, able to send with `key`."""
        transactor = (
            None
            if key is None
            else Transactor(self.evm.rpc, key, chain_id=CHAIN_ID, poll_seconds=0.02, **options)
        )
        return SettlementClient(
            self.evm.rpc,
            chain_id=CHAIN_ID,
            vault=self.vault,
            network_id=NETWORK_ID,
            transactor=transactor,
            window_blocks=4,
        )

    # --- making checkpoints ------------------------------------------------------------------

    def fee_totals(self) -> tuple[FeeTotal, ...]:
        """The cumulative fees of all assets, and what they have left behind."""
        here = tuple(
            FeeTotal(chain_id=CHAIN_ID, vault=self.home or self.vault, token=token, total=total)
            for token, total in self.fees.items()
        )
        return here + self.left

    def move(self, vault: bytes, owed: Mapping[bytes, int]) -> None:
        """Let all assets move to another vault on the ledger, which is owed that much."""
        self.left += tuple(
            replace(row, owed=owed.get(row.token, 0)) for row in self.fee_totals() if not row.owed
        )
        self.fees = dict.fromkeys(self.fees, 0)
        self.home = vault

    def header(self, **overrides: Any) -> Header:
        """The header of a checkpoint of the ledger as it is; the height goes on by ten."""
        if "executed_height" not in overrides:
            self.height += 10
        executed = overrides.get("executed_height", self.height)
        words = self.ledger.words(executed)
        values: dict[str, Any] = {
            "epoch": 1,
            "view": executed + 3,
            "height": executed + 2,
            "parent_view": executed + 2,
            "parent_hash": keccak256(b"parent" + executed.to_bytes(8, "big")),
            "time_ms": 1_700_000_000_000 + executed,
            "bundles_root": keccak256(b"bundles"),
            "executed_height": executed,
            "state_root": keccak256(encode_state_words(words)),
            "fees_root": keccak256(encode_fees(self.fee_totals())),
            "attendance_root": keccak256(b"attendance"),
            "evidence_root": ZERO,
            "committee_hash": self.committee.hash,
            "next_committee_hash": ZERO,
            "checkpoint_digest": ZERO,
            "proposer": 1,
        }
        return Header(**{**values, **overrides})

    def children(self, header: Header, count: int) -> list[Header]:
        """A header followed by `count` descendants; those of a boundary are seals."""
        chain = [header]
        is_boundary = header.next_committee_hash != ZERO
        for _ in range(count):
            last = chain[-1]
            chain.append(
                replace(
                    last,
                    view=last.view + 1,
                    height=last.height + (not is_boundary),
                    parent_view=last.view,
                    parent_hash=hash_header(encode_header(last)),
                    time_ms=last.time_ms + 100,
                    bundles_root=ZERO if is_boundary else last.bundles_root,
                    checkpoint_digest=ZERO if is_boundary else last.checkpoint_digest,
                )
            )
        return chain

    def sign(
        self, header: Header, signers: tuple[int, ...], kind: Kind = Kind.FINALIZE
    ) -> tuple[int, bytes]:
        """Bitmap and signatures of a certificate for a header."""
        digest = compute_vote_digest(
            self.domain, kind, header.epoch, header.view, hash_header(encode_header(header)), ()
        )
        bitmap = sum(1 << index for index in signers)
        return bitmap, b"".join(self.keys[index].sign(digest) for index in sorted(signers))

    def submission(
        self,
        header: Header | None = None,
        *,
        descendants: int = 0,
        signers: tuple[int, ...] | None = None,
    ) -> CheckpointSubmission:
        """A valid submission of a header (by default the ledger's next), to be spoilt by tests."""
        header = self.header() if header is None else header
        headers = self.children(header, descendants)
        chosen = tuple(range(len(self.keys))) if signers is None else signers
        bitmap, signatures = self.sign(headers[-1], chosen)
        return CheckpointSubmission(
            headers=tuple(encode_header(one) for one in headers),
            executed_height=header.executed_height,
            signers=bitmap,
            signatures=signatures,
            members=self.members(),
            fees=self.fee_totals(),
        )

    def members(self) -> tuple[CommitteeMember, ...]:
        """The committee as the vault's calldata has it."""
        return tuple(
            CommitteeMember(address=member.address, weight=member.weight)
            for member in self.committee.members
        )

    def checkpoint(self, **overrides: Any) -> StateWords:
        """Submit the ledger's next checkpoint and return its state words."""
        header = self.header(**overrides)
        self.client.submit_checkpoint(self.submission(header))
        return self.ledger.words(header.executed_height)

    # --- acting ------------------------------------------------------------------------------

    def fund(self, token: bytes, amount: int) -> None:
        """Give the trader tokens."""
        if token == self.tokens["XOM"]:
            Wallet(self.evm.web3, DEPLOYER, chain_id=CHAIN_ID).transfer(
                token, TRADER.address, amount
            )
        else:
            self.wallet.mint(token, TRADER.address, amount)

    def deposit(self, token: bytes, amount: int) -> int:
        """Fund the trader and deposit everything."""
        self.fund(token, amount)
        return self.wallet.deposit(self.vault, token, amount)

    def send(
        self,
        key: PrivateKey,
        to: bytes,
        payload: bytes,
        *,
        gas: int = 5_000_000,
        value: int = 0,
    ) -> dict[str, Any]:
        """Send a transaction, successful or not, and return its receipt."""
        web3 = self.evm.web3
        fields = {
            "chainId": CHAIN_ID,
            "nonce": web3.eth.get_transaction_count(to_checksum(key.address)),
            "to": to_checksum(to),
            "data": data(payload),
            "value": value,
            "gas": gas,
            **fee_fields(web3),
        }
        signed = account_of(key).sign_transaction(fields)
        return dict(
            web3.eth.wait_for_transaction_receipt(
                web3.eth.send_raw_transaction(signed.raw_transaction), poll_latency=0.05
            )
        )

    def encode(self, contract: str, function: str, *arguments: Any) -> bytes:
        """Calldata by web3's encoder."""
        encoder = self.evm.web3.eth.contract(abi=list(load_artifact(contract).abi))
        return bytes.fromhex(encoder.encode_abi(function, args=list(arguments))[2:])

    def view(self, contract: str, to: bytes, function: str, *arguments: Any) -> Any:
        """Result of a view by web3's decoder."""
        reader = self.evm.web3.eth.contract(
            address=to_checksum(to), abi=list(load_artifact(contract).abi)
        )
        return reader.functions[function](*arguments).call()

    def refusal(
        self,
        payload: bytes,
        *,
        key: PrivateKey = RELAYER,
        to: bytes | None = None,
        contract: str = "Settlement",
        value: int = 0,
        gas: int = 5_000_000,
    ) -> ContractRefused:
        """The reason why a call is reverted; a transaction with it must fail as well."""
        target = self.vault if to is None else to
        message = {
            "from": data(key.address),
            "to": data(target),
            "data": data(payload),
            "value": quantity(value),
            "gas": quantity(gas),
        }
        try:
            self.evm.rpc.call("eth_call", message, "latest")
        except RpcRefused as problem:
            reason = revert_reason(problem, contract)
        else:
            raise AssertionError("the call was not refused")
        assert reason is not None, "refused, but not by a contract"
        assert self.send(key, target, payload, value=value, gas=gas)["status"] == 0
        return reason

    def refused_checkpoint(self, submission: CheckpointSubmission) -> str:
        """Name of the error with which a checkpoint is refused."""
        return self.refusal(encode_checkpoint(submission)).reason

    def refused_withdrawal(self, claim: WithdrawalClaim) -> str:
        """Name of the error with which a withdrawal is refused."""
        return self.refusal(encode_withdraw(claim)).reason

    def balance(self, token: bytes, owner: bytes) -> int:
        """Atoms of a token."""
        message = {"to": data(token), "data": data(encode_view("TestToken", "balanceOf", owner))}
        return int.from_bytes(parse_data(self.evm.rpc.call("eth_call", message, "latest")), "big")

    def increase_time(self, seconds: int) -> None:
        """Let the chain's clock go on."""
        self.evm.rpc.call("evm_increaseTime", quantity(seconds))
        self.evm.rpc.call("evm_mine")

    def assert_solvent(self) -> None:
        """The vault holds at least what it owes, in every token."""
        for token in self.fees:
            status = self.client.token_status(token)
            assert status.balance >= status.liabilities >= 0

    # --- deploying ---------------------------------------------------------------------------

    def _deploy_all(self, evm: Evm, extra_tokens: tuple[str, ...]) -> None:
        """Deploy the plan and more tokens, or continue from an image where that was done."""
        key = (CHAIN_ID, self.committee.hash, extra_tokens)
        is_fresh = evm.store is not None and evm.rpc.call("eth_blockNumber") == "0x0"
        if is_fresh and key in DEPLOYED:
            known = DEPLOYED[key]
            self.evm = embedded_evm(known.image)
            self.deployment, self.extra, self.vault = known.deployment, known.extra, known.vault
            return
        self.evm = evm
        if evm.store is None and key in ON_ANVIL:
            known = ON_ANVIL[key]
            assert evm.rpc.call("evm_revert", known.image)
            self._keep_on_anvil(key, known.deployment, known.extra, known.vault)
            self.deployment, self.extra, self.vault = known.deployment, known.extra, known.vault
            return
        self.extra = [self.deploy_contract(name) for name in extra_tokens]
        nonce = evm.web3.eth.get_transaction_count(to_checksum(DEPLOYER.address))
        self.deployment = deploy(evm.web3, self.plan, DEPLOYER, chain_id=CHAIN_ID, nonce=nonce)
        self.vault = self.deployment.vault
        if extra_tokens:
            self.vault = self._deploy_vault_with_extra()
        if is_fresh and evm.store is not None:
            image = evm.store._db.serialize()
            DEPLOYED[key] = Deployed(self.deployment, self.extra, self.vault, image)
        if evm.store is None:
            self._keep_on_anvil(key, self.deployment, self.extra, self.vault)

    def _keep_on_anvil(
        self, key: Any, deployment: Deployment, extra: list[bytes], vault: bytes
    ) -> None:
        """Remember this state of anvil; a snapshot can be gone back to once."""
        ON_ANVIL.clear()
        image = self.evm.rpc.call("evm_snapshot")
        ON_ANVIL[key] = Deployed(deployment, extra, vault, image)

    def deploy_contract(self, name: str, *arguments: Any) -> bytes:
        """Deploy one more contract."""
        web3 = self.evm.web3
        artifact = load_artifact(name)
        factory = web3.eth.contract(abi=list(artifact.abi), bytecode=artifact.bytecode)
        fields = {
            "chainId": CHAIN_ID,
            "nonce": web3.eth.get_transaction_count(to_checksum(DEPLOYER.address)),
            "data": factory.constructor(*arguments).data_in_transaction,
            "value": 0,
            "gas": 8_000_000,
            **fee_fields(web3),
        }
        signed = account_of(DEPLOYER).sign_transaction(fields)
        receipt = web3.eth.wait_for_transaction_receipt(
            web3.eth.send_raw_transaction(signed.raw_transaction), poll_latency=0.05
        )
        assert receipt["status"] == 1
        return bytes.fromhex(receipt["contractAddress"][2:])

    def _deploy_vault_with_extra(self) -> bytes:
        """A vault that also lists the hostile tokens."""
        listed = [token.address for token in self.deployment.tokens] + self.extra
        return self.deploy_contract(
            "Settlement",
            self.vault_config(),
            [to_checksum(token) for token in listed],
        )

    def vault_config(self, **overrides: Any) -> tuple[Any, ...]:
        """What a further vault is opened with; by default without registry and rewards."""
        values: dict[str, Any] = {
            "network_id": NETWORK_ID,
            "epoch": 1,
            "committee_hash": self.committee.hash,
            "registry": NOBODY,
            "company": to_checksum(COMPANY),
            "development": to_checksum(DEVELOPMENT),
            "reward_token": NOBODY,
        }
        return tuple({**values, **overrides}.values())
