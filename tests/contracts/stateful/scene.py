"""Deploy what the machine plays with: two vaults, their registry, nine tokens, rich users.

Rule: deployed once; every interleaving starts from the same state of the same ground.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from eth_abi import encode

from contracts.artifact import canonical_type, error_names, load_artifact, selectors
from contracts.settlement_calls import encode_members
from contracts.settlement_types import CommitteeMember
from contracts.transaction import created_address
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey
from tests.contracts.harness import CHAIN_ID, COMPANY, DEVELOPMENT, INSURANCE, NETWORK_ID
from tests.contracts.stateful.cells import Cells
from tests.contracts.stateful.coins import ENDLESS, NATIVE, Coins
from tests.contracts.stateful.ground import EmbeddedGround, Ground, Outcome

USERS = tuple(PrivateKey(keccak256(b"user" + bytes([i]))) for i in range(3))
"""Have approved the vaults and the registry."""
PERMITTING = PrivateKey(keccak256(b"permitting user"))
"""Has approved nothing."""
PEOPLE = (*(user.address for user in USERS), PERMITTING.address)
RELAYER = b"\x4e" * 20
THIEF = b"\x7f" * 20
DEPLOYER = b"\xdd" * 20
HOT_KEYS = tuple(PrivateKey(keccak256(b"hot key" + bytes([i]))) for i in range(16))
GENESIS_VALIDATORS = 6
OWNERS = tuple(keccak256(b"owner" + bytes([i]))[12:] for i in range(8))
"""Of the six validators of the genesis set, and two who may join."""
FIRST_COMMITTEE = tuple(
    CommitteeMember(address=HOT_KEYS[i].address, weight=weight)
    for i, weight in enumerate((3, 2, 2, 1))
)
STAKE = 1_000 * 10**18
WEALTH = 10**60
COINS = 10**40
XOM_WEALTH = 10**29
XOM_SUPPLY = 10**31
UNLISTED = "DUST"
"""Is listed by a decision, if at all."""
CONTRACTS = ("Settlement", "ValidatorRegistry", "FeeDistributor", "OmniCoin")


@dataclass(frozen=True)
class Scene:
    """Addresses of everything, on the ground that they are deployed on."""

    ground: Ground
    tokens: dict[str, bytes]
    registry: bytes
    vaults: tuple[bytes, bytes]
    """The network's, and the one that it may move to."""
    liar: bytes
    """A contract that claims to be a successor."""
    opened_at: dict[bytes, int]
    coin_started_at: int
    names: dict[bytes, str]
    """Errors of our contracts by selector."""
    image: dict[Any, int]
    """The model's cells after the deployment."""

    @property
    def xom(self) -> bytes:
        """The token of stakes and rewards."""
        return self.tokens["XOM"]

    def distributor(self, vault: bytes) -> bytes:
        """Where a vault sends the treasuries' shares."""
        return created_address(vault, 1)

    def reason(self, outcome: Outcome) -> str:
        """Name of the error that a message was refused with; `?` for one of a token."""
        return "" if outcome.done else self.names.get(outcome.output[:4], "?")

    def coins(self, cells: Cells) -> Coins:
        """The model of all tokens, on a model's cells."""
        purses = {self.distributor(vault): vault for vault in self.vaults}
        walls = {self.registry, self.liar, *self.vaults, *self.tokens.values()} - {NATIVE}
        return Coins(
            cells=cells,
            evil=self.tokens["EVIL"],
            taxed=self.tokens["FEE"],
            barring=self.tokens["BAR"],
            walls=walls,
            purses=purses,
        )


def calldata(contract: str, function: str, *arguments: Any) -> bytes:
    """Calldata of any function of ours."""
    entry = next(one for one in load_artifact(contract).abi if one.get("name") == function)
    kinds = [canonical_type(parameter) for parameter in entry["inputs"]]
    return selectors(contract)[function] + encode(kinds, arguments)


def build_embedded() -> Scene:
    """The scene on a chain in this process."""
    return build(EmbeddedGround(CHAIN_ID, PEOPLE, COINS))


def build(ground: Ground) -> Scene:
    """Deploy everything and make everybody rich."""
    tokens = _deploy_tokens(ground)
    registry = created_address(DEPLOYER, 9)
    first = created_address(DEPLOYER, 10)
    coin_started_at = ground.now
    tokens["XOM"] = _create(ground, "OmniCoin", DEPLOYER, XOM_SUPPLY, first)
    liar = _create(ground, "HostileVault")
    assert _create(ground, "ValidatorRegistry", *_registry_arguments(tokens["XOM"], first))
    opened_at = {first: ground.now}
    assert _create(ground, "Settlement", *_vault_arguments(registry, tokens)) == first
    opened_at[created_address(DEPLOYER, 11)] = ground.now
    second = _create(ground, "Settlement", *_vault_arguments(registry, tokens))
    names = {}
    for name in CONTRACTS:
        names |= error_names(name)
    cells = Cells()
    scene = Scene(
        ground=ground,
        tokens=tokens,
        registry=registry,
        vaults=(first, second),
        liar=liar,
        opened_at=opened_at,
        coin_started_at=coin_started_at,
        names=names,
        image={},
    )
    _enrich(scene, cells)
    scene.image.update(cells.image())
    ground.keep()
    return scene


def _create(ground: Ground, name: str, *arguments: Any) -> bytes:
    """Deploy one contract."""
    artifact = load_artifact(name)
    constructor = [entry for entry in artifact.abi if entry["type"] == "constructor"]
    inputs = constructor[0]["inputs"] if constructor else []
    kinds = [canonical_type(parameter) for parameter in inputs]
    return ground.create(DEPLOYER, artifact.bytecode + encode(kinds, arguments))


def _deploy_tokens(ground: Ground) -> dict[str, bytes]:
    """Every kind of token; XOM comes later, because it needs the vault's address."""
    tokens = {
        "USDX": _create(ground, "TestToken", "Dollar X", "USDX", 6),
        "VAST": _create(ground, "TestToken", "Thirty decimals", "VAST", 30),
        "DUST": _create(ground, "TestToken", "No decimals", "DUST", 0),
        "EVIL": _create(ground, "HostileToken"),
        "FEE": _create(ground, "FeeOnTransferToken"),
        "BAR": _create(ground, "BlacklistingToken"),
        "OLD": _create(ground, "NonReturningToken"),
    }
    return {**tokens, "COIN": NATIVE}


def _registry_arguments(xom: bytes, vault: bytes) -> tuple[Any, ...]:
    """Constructor arguments of the registry."""
    genesis = [
        (OWNERS[i], HOT_KEYS[i].address, 7, keccak256(OWNERS[i])) for i in range(GENESIS_VALIDATORS)
    ]
    return (xom, NETWORK_ID, INSURANCE, vault, genesis)


def _vault_arguments(registry: bytes, tokens: dict[str, bytes]) -> tuple[Any, ...]:
    """Constructor arguments of a vault."""
    committee_hash = keccak256(encode_members(FIRST_COMMITTEE))
    config = (NETWORK_ID, 1, committee_hash, registry, COMPANY, DEVELOPMENT, tokens["XOM"])
    return (config, [token for symbol, token in tokens.items() if symbol != UNLISTED])


def _enrich(scene: Scene, cells: Cells) -> None:
    """Give everybody everything, let the vaults take it, and pay the stakes."""
    for symbol, token in scene.tokens.items():
        for person in PEOPLE:
            _give(scene, cells, symbol, token, person)
        for user in USERS if token != NATIVE else ():
            _approve(scene, cells, symbol, token, user.address)
    for owner in OWNERS:
        _give(scene, cells, "XOM", scene.xom, owner)
        _allow(scene, cells, scene.xom, owner, scene.registry)
    for index, owner in enumerate(OWNERS[:GENESIS_VALIDATORS]):
        _must(scene, owner, scene.registry, "ValidatorRegistry", "addStake", owner, STAKE)
        cells.add(-STAKE, "balance", scene.xom, owner)
        cells.add(STAKE, "balance", scene.xom, scene.registry)
        cells.put(STAKE, "stake", owner)
        cells.put(index + 1, "hot key", owner)
        cells.put(7, "services", owner)
        cells.put(int.from_bytes(owner, "big"), "payout", owner)
        cells.put(int.from_bytes(keccak256(owner), "big"), "network key", owner)
    cells.put(STAKE * GENESIS_VALIDATORS, "total stake")


def _give(scene: Scene, cells: Cells, symbol: str, token: bytes, person: bytes) -> None:
    """Wealth in one token."""
    if symbol == "COIN":
        cells.put(scene.ground.coins(person), "balance", token, person)
        return
    amount = XOM_WEALTH if symbol == "XOM" else WEALTH
    if symbol == "XOM":
        _must(scene, DEPLOYER, token, "OmniCoin", "transfer", person, amount)
    else:
        _must(scene, DEPLOYER, token, "TestToken", "mint", person, amount)
    cells.put(amount, "balance", token, person)


def _approve(scene: Scene, cells: Cells, symbol: str, token: bytes, user: bytes) -> None:
    """Let both vaults take a user's tokens."""
    for vault in scene.vaults:
        _allow(scene, cells, token, user, vault)
    if symbol == "XOM":
        _allow(scene, cells, token, user, scene.registry)


def _allow(scene: Scene, cells: Cells, token: bytes, owner: bytes, spender: bytes) -> None:
    """One endless allowance."""
    _must(scene, owner, token, "TestToken", "approve", spender, ENDLESS)
    cells.put(ENDLESS, "allowance", token, owner, spender)


def _must(scene: Scene, sender: bytes, to: bytes, contract: str, name: str, *words: Any) -> None:
    """A message that has to succeed."""
    outcome = scene.ground.send(sender, to, calldata(contract, name, *words))
    assert outcome.done, (contract, name, outcome.output)
