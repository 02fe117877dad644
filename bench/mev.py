"""Measure what a sandwicher and a sniper earn under four rules of ordering, and who pays.

python -m bench.mev [--book deep|thin] [--runs N] [--blocks N] [--json]

Rule: the attacker plays every plan of a grid and keeps the best one per venue, so the figures are
what the best of these plans earns; intervals are 95 % over independent runs (normal approximation).
Spec: docs/explanation/mev.md. Deviations: none.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from bench.mev_model import ACCOUNTS, BP, DEEP, PRICE, THIN, Plan, Result, Run
from bench.mev_venue import VENUES, Venue

PLANS: Final = [
    Plan(levels, steps, covers)
    for levels in (1, 2, 3, 5)
    for steps in (1, 3, 8, 20, 50)
    for covers in (False, True)
]
LOOKS: Final = 4  # runs by which a plan is chosen; others then measure it


@dataclass(frozen=True)
class Estimate:
    """A mean and half of its 95 % interval."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{self.mean:+.2f} ± {self.half:.2f}"


@dataclass(frozen=True)
class Row:
    """One venue; basis points of the price per lot that victims wanted, unless a name says else."""

    venue: str
    plan: Plan
    sandwich_bp: Estimate  # what the best sandwich earns
    offer_bp: Estimate  # what its second half earns alone, without front-running anybody
    victim_extra_bp: (
        Estimate  # what the sandwich costs its victims, against the same run without it
    )
    victim_bp: Estimate  # what trading costs victims that nobody attacks
    filled_percent: Estimate
    maker_bp: Estimate  # what makers earn on a lot when nobody attacks
    snipe_bp: Estimate  # lots times basis points per jump, makers as fast as the sniper
    snipe_slow_bp: Estimate  # the same with makers one block slower


def measure(venue: str, runs: int, blocks: int, levels: int) -> Row:
    """Measure one venue."""

    def play(seed: int, plan: Plan | None = None, **options: Any) -> Result:
        dice = random.Random(f"mev {seed}")
        market = Venue(venue, seed, PRICE, ACCOUNTS)
        return Run(market, dice, plan, levels=levels, **options).run(blocks)

    plan = max(PLANS, key=lambda one: sum(_gain(play(seed, one)) for seed in range(LOOKS)))
    seeds = range(LOOKS, LOOKS + runs)
    attacked = [play(seed, plan) for seed in seeds]
    offered = [play(seed, replace(plan, sweeps=False)) for seed in seeds]
    alone = [play(seed) for seed in seeds]
    fast = [play(seed, snipes=True) for seed in seeds]
    slow = [play(seed, snipes=True, maker_lag=1) for seed in seeds]
    return Row(
        venue=venue,
        plan=plan,
        sandwich_bp=estimate(_gain(r) for r in attacked),
        offer_bp=estimate(_gain(r) for r in offered),
        victim_extra_bp=estimate(
            _cost(with_it) - _cost(without)
            for with_it, without in zip(attacked, alone, strict=True)
        ),
        victim_bp=estimate(_cost(r) for r in alone),
        filled_percent=estimate(100 * r.victim_filled / r.victim_lots for r in alone),
        maker_bp=estimate(r.maker / max(1, r.maker_lots) / BP for r in alone),
        snipe_bp=estimate(r.attacker / max(1, r.jumps) / BP for r in fast),
        snipe_slow_bp=estimate(r.attacker / max(1, r.jumps) / BP for r in slow),
    )


def estimate(values: Iterable[float]) -> Estimate:
    """Return mean and half interval."""
    found = list(values)
    spread = statistics.stdev(found) if len(found) > 1 else 0.0
    return Estimate(statistics.fmean(found), 1.96 * spread / len(found) ** 0.5)


def _gain(result: Result) -> float:
    """Attacker's gain per lot that victims wanted, basis points of the price."""
    return result.attacker / max(1, result.victim_lots) / BP


def _cost(result: Result) -> float:
    return result.victim_cost / max(1, result.victim_filled) / BP


COLUMNS: Final[list[tuple[str, Callable[[Row], str]]]] = [
    ("venue", lambda r: r.venue),
    (
        "best plan: levels, steps",
        lambda r: f"{r.plan.levels}, {r.plan.steps}{', covering' if r.plan.covers else ''}",
    ),
    ("sandwicher earns", lambda r: str(r.sandwich_bp)),
    ("its offer alone earns", lambda r: str(r.offer_bp)),
    ("victims lose by it", lambda r: str(r.victim_extra_bp)),
    ("trading costs, no attack", lambda r: str(r.victim_bp)),
    ("filled", lambda r: f"{r.filled_percent.mean:.1f} %"),
    ("makers earn a lot", lambda r: str(r.maker_bp)),
    ("sniper a jump", lambda r: str(r.snipe_bp)),
    ("with slow makers", lambda r: str(r.snipe_slow_bp)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--blocks", type=int, default=600)
    parser.add_argument("--book", choices=["deep", "thin"], default="deep")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    levels = THIN if options.book == "thin" else DEEP
    rows = [measure(venue, options.runs, options.blocks, levels) for venue in VENUES]
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print("| " + " | ".join(name for name, _ in COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    for row in rows:
        print("| " + " | ".join(show(row) for _, show in COLUMNS) + " |")


if __name__ == "__main__":
    main()
