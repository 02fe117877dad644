"""Ask every validator of a devnet how it is, through its own API.

Rule: what is shown was answered by the validator itself; one that does not answer is shown with
nulls.
Spec: docs/reference/devnet.md (Status). Deviations: none.
"""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from devnet.folders import Folder, Record
from devnet.limits import STATUS_BYTES_MAX, STATUS_S_MAX
from devnet.ports import PortBlock
from node.cli.units import price_step, show

Answers = dict[str, Any]


class ValidatorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One validator; null is what it did not tell."""

    name: str
    api: str
    pid: int | None
    ready: bool
    paused: bool
    height: int | None
    final: int | None
    executed: int | None
    state_root: str | None
    peers: int | None
    block_cid: str | None = None
    finality_ms: int | None = None
    trades: int | None = None
    actions: int | None = None
    verified_signatures: int | None = None


class MarketStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One market, as the most advanced validator sees it."""

    id: int
    name: str
    orders: int
    trades: int
    best_bid: int | None  # ticks
    best_ask: int | None
    bid: str | None  # the same in quote units per base unit
    ask: str | None


class FeeShares(msgspec.Struct, frozen=True, kw_only=True):
    """Cumulative fees settled on chain, decimal strings of atoms."""

    decimals: int | None  # null if no market trades it any more
    total: str
    validators: str
    company: str
    development: str


class SettlementStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the vault has accepted."""

    checkpoints: int
    height: int
    state_root: str | None
    fees: dict[str, FeeShares]


class DevnetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `devnet status --json` prints."""

    validators: tuple[ValidatorStatus, ...]
    chain: dict[str, Any]
    markets: tuple[MarketStatus, ...]
    settlement: SettlementStatus
    chat: dict[str, int]


def read_status(folder: Folder, record: Record) -> DevnetStatus:
    """Ask all validators at the same time."""
    ports = PortBlock(base=record.port_base)
    indices = range(record.validators)
    with ThreadPoolExecutor(max_workers=record.validators) as pool:
        answers = list(pool.map(lambda index: _ask(ports.api(index), "/v1/status"), indices))
    validators = tuple(
        _validator(folder, f"v{index}", ports.api(index), answers[index]) for index in indices
    )
    best = max(indices, key=lambda index: (answers[index] or {}).get("executed", -1), default=0)
    is_up = answers[best] is not None
    markets = _ask(ports.api(best), "/v1/markets") if is_up else None
    settlement = _ask(ports.api(best), "/v1/settlement") if is_up else None
    return DevnetStatus(
        validators=validators,
        chain={"id": record.chain_id, "rpc": record.rpc},
        markets=tuple(_market(m) for m in (markets or {}).get("markets", ())),
        settlement=_settlement(settlement or {}, _decimals(markets or {})),
        chat={"messages": (answers[best] or {}).get("chat_messages", 0)},
    )


def _validator(folder: Folder, name: str, port: int, answer: Answers | None) -> ValidatorStatus:
    values = answer or {}
    return ValidatorStatus(
        name=name,
        api=f"http://127.0.0.1:{port}",
        pid=folder.processes.pid(name),
        ready=bool(values.get("ready", False)),
        paused=folder.processes.is_paused(name),
        height=values.get("height"),
        final=values.get("final"),
        executed=values.get("executed"),
        state_root=values.get("state_root"),
        peers=values.get("peers"),
        block_cid=values.get("block_cid"),
        finality_ms=values.get("finality_ms"),
        trades=values.get("trades"),
        actions=values.get("actions"),
        verified_signatures=values.get("verified_signatures"),
    )


def _market(values: Answers) -> MarketStatus:
    step = price_step(
        tick=values["tick"],
        lot=int(values["lot"]),
        base_decimals=values["base"]["decimals"],
        quote_decimals=values["quote"]["decimals"],
    )
    bid, ask = values["best_bid"], values["best_ask"]
    return MarketStatus(
        id=values["id"],
        name=values["name"],
        orders=values["orders"],
        trades=values["trades"],
        best_bid=bid,
        best_ask=ask,
        bid=None if bid is None else show(bid * step),
        ask=None if ask is None else show(ask * step),
    )


def _decimals(markets: Answers) -> dict[int, int]:
    """Return the decimals of every asset that some market trades, by its number."""
    sides = (m[side] for m in markets.get("markets", ()) for side in ("base", "quote"))
    return {side["id"]: side["decimals"] for side in sides}


def _settlement(values: Answers, decimals: dict[int, int]) -> SettlementStatus:
    return SettlementStatus(
        checkpoints=values.get("checkpoints", 0),
        height=values.get("height", 0),
        state_root=values.get("state_root"),
        fees={
            fee["symbol"]: FeeShares(
                decimals=decimals.get(fee["asset"]),
                total=fee["total"],
                validators=fee["validators"],
                company=fee["company"],
                development=fee["development"],
            )
            for fee in values.get("fees", ())
        },
    )


def _ask(port: int, path: str) -> Answers | None:
    """GET a small JSON document from this machine; None when it does not come."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=STATUS_S_MAX)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(STATUS_BYTES_MAX)
        if response.status != 200:
            return None
        answer: Answers = json.loads(body)
        return answer
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
