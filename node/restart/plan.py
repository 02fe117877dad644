"""Derive the network that takes over from a proven last state and what the operators agreed on.

Rule: a pure function: whoever has the same state and the same plan gets the same file, and so the
same genesis hash. No credit of the old ledger enters the new one: the old vaults pay it.
Spec: docs/spec/restart.md (New network). Deviations: none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from exchange.genesis import AssetConfig, ExchangeGenesis, MarketConfig
from exchange.limits import PRICE_TICKS_MAX
from node.network_file import (
    FILE_BYTES_MAX,
    MEMBERS_MAX,
    Bootstrap,
    Chain,
    NetworkFile,
    Part,
    Predecessor,
    Scoring,
    Seat,
    Timers,
    Vault,
    compute_restarted_id,
    make_network,
)
from node.restart.check import LastState
from primitives.errors import ConfigError, WrongNetwork


class Plan(Part, frozen=True, kw_only=True):
    """What the operators of the new network agree on."""

    name: Annotated[str, Meta(pattern="^[a-z0-9-]{1,32}$")]
    genesis_time_ms: Annotated[int, Meta(ge=0, lt=1 << 48)]
    committee: Annotated[tuple[Seat, ...], Meta(min_length=1, max_length=MEMBERS_MAX)]
    chains: Annotated[tuple[Chain, ...], Meta(max_length=16)] = ()  # with the new contracts
    attempt: Annotated[int, Meta(ge=1, le=1_000)] = 1
    timers: Timers | None = None  # those of the old network if absent
    scoring: Scoring | None = None  # likewise
    bootstrap: Annotated[tuple[Bootstrap, ...], Meta(max_length=256)] = ()


def load_plan(file: Path) -> Plan:
    """Read a plan. Raises ConfigError."""
    try:
        with file.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX)
        return msgspec.json.decode(data, type=Plan)
    except OSError as error:
        problem = error.strerror or str(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = str(error)
    raise ConfigError(
        f"the plan {file} cannot be used: {problem}",
        code="RST003",
        fix="docs/how-to/restart-after-lost-keys.md shows one",
    )


def make_predecessor(state: LastState, attempt: int = 1) -> Predecessor:
    """Return what the new network commits to."""
    return Predecessor(
        network_id="0x" + state.file.network_id.hex(),
        genesis_hash="0x" + state.file.genesis_hash.hex(),
        height=state.height,
        time_ms=state.header.time_ms,
        block_hash="0x" + state.block_hash.hex(),
        state_root="0x" + state.state_root.hex(),
        vaults=tuple(
            Vault(chain_id=chain_id, vault="0x" + vault.hex())
            for chain_id, vault in state.ledger.state.vaults  # those moved to as well
        ),
        attempt=attempt,
    )


def compute_network_id(state: LastState, plan: Plan) -> bytes:
    """Return the new network's id, which its contracts are deployed with."""
    return compute_restarted_id(make_predecessor(state, plan.attempt), plan.committee)


def make_restarted(state: LastState, plan: Plan) -> NetworkFile:
    """Return the network that takes over. Raises ConfigError."""
    predecessor = make_predecessor(state, plan.attempt)
    return make_network(
        name=plan.name,
        network_id=compute_restarted_id(predecessor, plan.committee),
        genesis_time_ms=plan.genesis_time_ms,
        committee=plan.committee,
        timers=plan.timers or state.file.timers,
        chains=plan.chains,
        exchange=_make_exchange(state, plan),
        bootstrap=plan.bootstrap,
        scoring=plan.scoring or state.file.scoring,
        predecessor=predecessor,
    )


def verify_restarted(network: NetworkFile, state: LastState) -> None:
    """Raise WrongNetwork unless a network file follows from a last state. Raises ConfigError."""
    before = network.predecessor
    plan = Plan(
        name=network.name,
        genesis_time_ms=network.genesis_time_ms,
        committee=network.committee,
        chains=network.chains,
        attempt=1 if before is None else before.attempt,
        timers=network.timers,
        scoring=network.scoring,
        bootstrap=network.bootstrap,
    )
    expected = make_restarted(state, plan).genesis_hash
    if expected != network.genesis_hash:
        raise WrongNetwork(
            f"the network file has the genesis 0x{network.genesis_hash.hex()}, from the last state "
            f"of {state.file.name} at height {state.height} follows 0x{expected.hex()}",
            code="RST004",
            fix="ask who wrote it for the export that it was made from, and check that one",
        )


def _make_exchange(state: LastState, plan: Plan) -> ExchangeGenesis:
    """Return the same assets in the new vaults, and the same markets at their last prices."""
    last = state.ledger.state
    vaults = {chain.chain_id: chain.vault for chain in plan.chains}
    assets: list[AssetConfig] = []
    for asset in last.assets:  # with those listed since genesis
        if asset.chain_id not in vaults:
            raise ConfigError(
                f"the asset {asset.name} lies on chain {asset.chain_id}, for which the plan names "
                "no new vault",
                code="RST003",
                fix="omnibazaar restart deploy EXPORT PLAN deploys one for every chain",
            )
        assets.append(msgspec.structs.replace(asset.terms, vault=vaults[asset.chain_id]))
    markets: list[MarketConfig] = []
    for market in last.markets:
        price = min(market.last_price or market.terms.reference_price, PRICE_TICKS_MAX)
        markets.append(msgspec.structs.replace(market.terms, reference_price=price))
    old = state.file.exchange
    return msgspec.structs.replace(old, assets=tuple(assets), markets=tuple(markets))
