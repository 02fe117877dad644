"""Say what a deployment of the contracts will be, and where.

Rule: addresses are a function of the deployer's address and nonce, so a network file can be written
before anything is on chain. No chain is asked, and no library for one is loaded.

Spec: docs/spec/settlement.md §11
Deviations: none
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts.transaction import created_address

XOM_SYMBOL = "XOM"
XOM_DECIMALS = 18
STAKE_MIN_ATOMS = 1_000 * 10**XOM_DECIMALS


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPlan:
    """One asset of the vault; XOM is always OmniCoin, others are test tokens."""

    symbol: str
    name: str
    decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GenesisValidator:
    """A validator of the genesis set."""

    owner: bytes
    hot_key: bytes
    weight: int
    network_key: bytes  # Ed25519 public key of the libp2p identity, 32 bytes
    services: int  # 1 trading, 2 chat, 4 storage


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentPlan:
    """Everything that decides what gets deployed."""

    network_id: bytes
    validators: tuple[GenesisValidator, ...]  # in committee order
    tokens: tuple[TokenPlan, ...]  # in asset order
    company: bytes
    development: bytes
    insurance: bytes
    xom_supply: int  # atoms, all to the deployer, which pays the stakes
    stake: int = STAKE_MIN_ATOMS  # atoms per validator
    gas_grants: tuple[tuple[bytes, int], ...] = ()  # (address, wei) sent by the deployer
    listed: tuple[bytes, ...] = ()  # further tokens of the vault, deployed by somebody else
    coin: bytes = b""  # the OmniCoin that is staked, if it is there already

    @property
    def transactions(self) -> int:
        """Nonces that the deployment uses: tokens, registry, vault, approval, stakes, grants."""
        return len(self.tokens) + 3 + len(self.validators) + len(self.gas_grants)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedToken:
    """An asset with its address."""

    symbol: str
    name: str
    decimals: int
    address: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where the contracts of a network are."""

    chain_id: int
    xom: bytes
    registry: bytes
    vault: bytes
    distributor: bytes
    tokens: tuple[DeployedToken, ...]  # in asset order


def predict(plan: DeploymentPlan, *, chain_id: int, deployer: bytes, nonce: int = 0) -> Deployment:
    """Return the addresses that `deploy` will use when the deployer's next nonce is `nonce`."""
    addresses = [created_address(deployer, nonce + i) for i in range(len(plan.tokens))]
    tokens = tuple(
        DeployedToken(symbol=one.symbol, name=one.name, decimals=one.decimals, address=address)
        for one, address in zip(plan.tokens, addresses, strict=True)
    )
    registry = created_address(deployer, nonce + len(tokens))
    vault = created_address(deployer, nonce + len(tokens) + 1)
    return Deployment(
        chain_id=chain_id,
        xom=plan.coin or next(one.address for one in tokens if one.symbol == XOM_SYMBOL),
        registry=registry,
        vault=vault,
        distributor=created_address(vault, 1),
        tokens=tokens,
    )
