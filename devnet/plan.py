"""Work out everything about a devnet that follows from its seed and size.

Rule: the same seed gives the same keys, contracts and network file; all keys are public and worth
nothing.
Spec: docs/reference/devnet.md (Plan). Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from contracts.chain.accounts import account_key
from contracts.confidential_plan import Confidential, predict_confidential
from contracts.deployment_plan import (
    Deployment,
    DeploymentPlan,
    GenesisValidator,
    TokenPlan,
    predict,
)
from devnet.ports import PortBlock
from exchange.genesis import (
    AllowanceTerms,
    AssetConfig,
    ExchangeGenesis,
    FeeTier,
    MarketConfig,
    VolumeRate,
    VolumeTerms,
)
from node.network_file import (
    Bootstrap,
    Chain,
    NetworkFile,
    Scoring,
    Seat,
    Timers,
    make_network,
)
from p2p.identity import decode_peer_id, peer_id_from_seed
from primitives.address import to_checksum
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

CHAIN_ID = 31337
EVM_BLOCK_MS = 1_000
COTI = "coti"
OWN_CHAINS = ("embedded", COTI, "anvil")
"""What `--evm` says for chains that the devnet runs itself."""
DEPLOYER = 0  # index of the prefunded account that deploys and mints
FIRST_PERSON = 1  # index of the first prefunded account shown to people
PEOPLE = ("alice", "bob", "carol")
FIRST_TRADER = 8  # index of the first demo trader's account
ACCOUNTS = 96
VALIDATOR_GAS_WEI = 10**21
XOM_SUPPLY = 10**9 * 10**18
SERVICES = 7  # trading, chat, storage

TIMERS = Timers(
    gap_ms=100, leader_ms=1_000, view_ms=1_500, retry_ms=1_000, standstill_ms=2_000, fetch_ms=200
)
CHECKPOINT_INTERVAL = 24  # heights; an idle devnet makes two blocks a second
SCORING_BLOCKS = 600  # heights of a scoring period: a minute or two of a busy devnet

NEWCOMER_POINTS = 80  # enough for a seat at the next border; real newcomers earn it as observers
LEAD_BLOCKS = 64  # heights before an epoch's end at which its scores close

VAULT_NOTICE_MS = 1_000  # nobody has to leave a devnet
OPEN_WINDOW_MS = 5_000  # five times what an opening takes on a machine at its limit

TOKENS = (
    TokenPlan(symbol="USDX", name="Devnet dollar", decimals=6),
    TokenPlan(symbol="XOM", name="OmniCoin", decimals=18),
    TokenPlan(symbol="WETH", name="Devnet ether", decimals=18),
    TokenPlan(symbol="WBTC", name="Devnet bitcoin", decimals=8),
)
USDX, XOM, WETH, WBTC = range(4)
PRIVATE_SYMBOL, PRIVATE_NAME = "PUSDX", "Private devnet dollar"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorPlan:
    """One validator's keys and ports."""

    name: str
    key: PrivateKey
    payout: PrivateKey
    seed: bytes  # of the p2p identity
    peer_id: str
    api_port: int
    p2p_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DevnetPlan:
    """A devnet before anything of it runs."""

    seed: int
    network_id: bytes
    validators: tuple[ValidatorPlan, ...]
    deployment_plan: DeploymentPlan  # the same on every chain
    deployments: tuple[Deployment, ...]  # by chain
    private: Confidential | None  # a private token on a chain with the emulated precompile
    network: NetworkFile
    deployer: PrivateKey

    @property
    def people(self) -> dict[str, PrivateKey]:
        """The accounts shown to people, by name."""
        return {n: account_key(self.seed, FIRST_PERSON + i) for i, n in enumerate(PEOPLE)}

    @property
    def deployment(self) -> Deployment:
        """The contracts on the first chain, whose registry the network follows."""
        return self.deployments[0]


def derive_key(seed: int, purpose: str, index: int) -> PrivateKey:
    """Return the key of one purpose (`validator`, `payout`, `trader`, …)."""
    return PrivateKey(derive_bytes(seed, purpose, index))


def derive_bytes(seed: int, purpose: str, index: int) -> bytes:
    """Return 32 bytes that follow from the seed."""
    text = f"omnibazaar devnet {seed} {purpose} {index}"
    return keccak256(text.encode())


def make_plan(
    *,
    validators: int,
    seed: int,
    ports: PortBlock,
    genesis_time_ms: int,
    chain_id: int,
    epoch: int = 0,
    chains: int = 1,
    confirmations: int = 1,
    private: bool = False,
) -> DevnetPlan:
    """Plan a devnet whose EVM chains are still untouched; their ids are consecutive."""
    seats = tuple(plan_validator(seed, index, ports) for index in range(validators))
    network_id = keccak256(f"omnibazaar devnet {seed} {genesis_time_ms}".encode())
    deployer = account_key(seed, DEPLOYER)
    deployment_plan = _plan_deployment(seed, network_id, seats)
    coin = None
    if private:
        coin = predict_confidential(deployer.address, deployment_plan.transactions)
        deployment_plan = replace(deployment_plan, listed=(coin.door,))
    deployments = tuple(
        predict(deployment_plan, chain_id=chain_id + chain, deployer=deployer.address)
        for chain in range(chains)
    )
    return DevnetPlan(
        seed=seed,
        network_id=network_id,
        validators=seats,
        deployment_plan=deployment_plan,
        deployments=deployments,
        private=coin,
        network=_make_network(
            network_id, seats, deployments, coin, genesis_time_ms, epoch, confirmations
        ),
        deployer=deployer,
    )


def plan_validator(seed: int, index: int, ports: PortBlock) -> ValidatorPlan:
    """Plan the validator of an index: its keys, its identity, its ports."""
    identity = derive_bytes(seed, "identity", index)
    return ValidatorPlan(
        name=f"v{index}",
        key=derive_key(seed, "validator", index),
        payout=derive_key(seed, "payout", index),
        seed=identity,
        peer_id=peer_id_from_seed(identity),
        api_port=ports.api(index),
        p2p_port=ports.p2p(index),
    )


def _plan_deployment(
    seed: int, network_id: bytes, seats: tuple[ValidatorPlan, ...]
) -> DeploymentPlan:
    return DeploymentPlan(
        network_id=network_id,
        validators=tuple(
            GenesisValidator(
                owner=seat.payout.address,
                hot_key=seat.key.address,
                weight=1,
                network_key=decode_peer_id(seat.peer_id)[-32:],
                services=SERVICES,
            )
            for seat in seats
        ),
        tokens=TOKENS,
        company=derive_key(seed, "company", 0).address,
        development=derive_key(seed, "development", 0).address,
        insurance=derive_key(seed, "insurance", 0).address,
        xom_supply=XOM_SUPPLY,
        gas_grants=tuple((seat.key.address, VALIDATOR_GAS_WEI) for seat in seats),
    )


def _make_network(
    network_id: bytes,
    seats: tuple[ValidatorPlan, ...],
    deployments: tuple[Deployment, ...],
    coin: Confidential | None,
    genesis_time_ms: int,
    epoch: int,
    confirmations: int,
) -> NetworkFile:
    return make_network(
        name="devnet",
        network_id=network_id,
        genesis_time_ms=genesis_time_ms,
        committee=tuple(
            Seat(
                name=seat.name,
                address=to_checksum(seat.key.address),
                payout=to_checksum(seat.payout.address),
            )
            for seat in seats
        ),
        timers=TIMERS,
        chains=tuple(
            Chain(
                chain_id=deployment.chain_id,
                vault=to_checksum(deployment.vault),
                registry=to_checksum(deployment.registry),
                distributor=to_checksum(deployment.distributor),
                confirmations=confirmations,
                window_blocks=2,
                block_ms=EVM_BLOCK_MS,
            )
            for deployment in deployments
        ),
        exchange=_make_exchange(deployments, coin),
        scoring=_make_scoring(epoch),
        bootstrap=tuple(
            Bootstrap(
                address=to_checksum(seat.key.address),
                peer_id=seat.peer_id,
                multiaddrs=(f"/ip4/127.0.0.1/tcp/{seat.p2p_port}",),
            )
            for seat in seats
        ),
    )


def _make_scoring(epoch: int) -> Scoring:
    """Return scores that close once an epoch, well before its border."""
    blocks = epoch or SCORING_BLOCKS
    return Scoring(
        period_blocks=blocks,
        lead_blocks=min(LEAD_BLOCKS, blocks - 1),
        newcomer_points=NEWCOMER_POINTS,
        rotates=epoch > 0,
    )


def name_asset(symbol: str, chain: int) -> str:
    """Return the name of a token of one of the chains: USDX, USDX.2, …"""
    return symbol if not chain else f"{symbol}.{chain + 1}"


def _make_exchange(
    deployments: tuple[Deployment, ...], coin: Confidential | None
) -> ExchangeGenesis:
    assets = tuple(
        AssetConfig(
            name=name_asset(token.symbol, chain),
            decimals=token.decimals,
            chain_id=deployment.chain_id,
            vault=to_checksum(deployment.vault),
            token=to_checksum(token.address),
        )
        for chain, deployment in enumerate(deployments)
        for token in deployment.tokens
    )
    markets = (*MARKETS, *(_make_bridge(chain) for chain in range(1, len(deployments))))
    if coin is not None:
        assets = (*assets, _private_asset(deployments[0], coin))
        markets = (*markets, _make_pair(PRIVATE_SYMBOL, len(assets) - 1))
    return ExchangeGenesis(
        assets=assets,
        markets=markets,
        checkpoint_interval=CHECKPOINT_INTERVAL,
        open_window_ms=OPEN_WINDOW_MS,
        volume=VOLUME,
        allowance=ALLOWANCE,
        vault_notice_ms=VAULT_NOTICE_MS,
    )


# Two thousand operations a second and account in the mean, and as much again for each million
# dollars traded in thirty days.
ALLOWANCE = AllowanceTerms(operations_per_hour=7_200_000, growth_units=10**12)
# A counting unit is a millionth of a dollar; an XOM counts as a tenth of a dollar. Tiers begin at
# 100,000, 1 million and 10 million dollars in thirty days.
VOLUME = VolumeTerms(
    rates=(
        VolumeRate(asset=USDX, numerator=1, denominator=1),
        VolumeRate(asset=XOM, numerator=1, denominator=10**13),
    ),
    tiers=(
        FeeTier(volume=10**11, maker_share_bps=9_000, taker_share_bps=9_500),
        FeeTier(volume=10**12, maker_share_bps=7_500, taker_share_bps=8_500),
        FeeTier(volume=10**13, maker_share_bps=5_000, taker_share_bps=7_500),
    ),
)


MARKETS = (
    # One XOM lot is 1 XOM; a tick of 1 atom per lot is 0.000001 USDX per XOM.
    MarketConfig(
        name="XOM-USDX", base=XOM, quote=USDX, tick=1, lot=10**18, reference_price=100_000
    ),
    # One WETH lot is 0.0001 WETH; a tick of 1 atom per lot is 0.01 USDX per WETH.
    MarketConfig(
        name="WETH-USDX", base=WETH, quote=USDX, tick=1, lot=10**14, reference_price=200_000
    ),
    # One WBTC lot is 0.00001 WBTC; a tick of 1 atom per lot is 0.1 USDX per WBTC.
    MarketConfig(
        name="WBTC-USDX", base=WBTC, quote=USDX, tick=1, lot=10**3, reference_price=600_000
    ),
    # One WETH lot is 0.0001 WETH; a tick of 10^14 atoms per lot is 1 XOM per WETH; ranked by
    # chance within the batch instead of one price. It has a price band, and a breaker that halts
    # it for a quarter of a minute.
    MarketConfig(
        name="WETH-XOM",
        base=WETH,
        quote=XOM,
        tick=10**14,
        lot=10**14,
        matching="shuffle",
        reference_price=20_000,
        band_bps=1_000,
        breaker_bps=500,
        price_window_ms=60_000,
        halt_ms=15_000,
    ),
)


def _private_asset(deployment: Deployment, coin: Confidential) -> AssetConfig:
    """Return the asset of the private USDX: for the vault its token is the door."""
    return AssetConfig(
        name=PRIVATE_SYMBOL,
        decimals=TOKENS[USDX].decimals,
        chain_id=deployment.chain_id,
        vault=to_checksum(deployment.vault),
        token=to_checksum(coin.door),
    )


def _make_bridge(chain: int) -> MarketConfig:
    """Return a market between the dollars of two chains."""
    return _make_pair(name_asset("USDX", chain), chain * len(TOKENS) + USDX)


def _make_pair(symbol: str, asset: int) -> MarketConfig:
    """Return a market between two kinds of dollar: one is never the other, but can buy it.

    One lot is 1 dollar; a tick of 1,000 atoms per lot is 0.001.
    """
    return MarketConfig(
        name=f"{symbol}-USDX",
        base=asset,
        quote=USDX,
        tick=1_000,
        lot=10**6,
        reference_price=1_000,
    )
