"""Make interleavings out of seeds, run them, and reduce one that fails to what it takes.

Rule: an interleaving is a list of (deed, seed of its dice); leaving one out does not change what
the others throw. A run is a function of its seed and the artifacts.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tests.contracts.stateful import (
    deeds_claims,
    deeds_committee,
    deeds_fees,
    deeds_ledger,
    deeds_registry,
    deeds_tokens,
    deeds_vault,
)
from tests.contracts.stateful.finish import finish
from tests.contracts.stateful.stage import Stage
from tests.contracts.stateful.world import CHECK_ALL_EVERY, World

Step = tuple[str, int]
Weights = dict[Callable[[World], None], int]

BASE: Weights = {
    deeds_vault.deposit: 14,
    deeds_vault.deposit_with_permit: 2,
    deeds_vault.deposit_by_order: 4,
    deeds_vault.fund: 1,
    deeds_ledger.credit: 10,
    deeds_ledger.withdraw: 10,
    deeds_ledger.withdraw_elsewhere: 1,
    deeds_fees.overdraw: 1,
    deeds_ledger.charge: 5,
    deeds_ledger.hold: 2,
    deeds_ledger.end_epoch: 3,
    deeds_vault.checkpoint: 9,
    deeds_vault.skip_checkpoint: 2,
    deeds_vault.replay_checkpoint: 4,
    deeds_vault.forge_checkpoint: 7,
    deeds_vault.boundary: 2,
    deeds_fees.settle: 1,
    deeds_fees.claim_fees: 3,
    deeds_fees.charge_a_failing_token: 3,
    deeds_fees.wait_for_reward: 1,
    deeds_fees.propose_treasury: 2,
    deeds_fees.accept_treasury: 1,
    deeds_claims.claim: 11,
    deeds_claims.forge_claim: 3,
    deeds_claims.claim_for_fee: 4,
    deeds_tokens.set_mode: 3,
    deeds_tokens.ambush: 4,
    deeds_tokens.set_tax: 2,
    deeds_tokens.tax_a_deposit: 3,
    deeds_tokens.cheat: 3,
    deeds_tokens.bar: 2,
    deeds_tokens.gift: 1,
    deeds_claims.open_escape: 1,
    deeds_claims.escape_one: 1,
    deeds_claims.refund_one: 1,
    deeds_committee.any_decision: 3,
}
FREEZE: Weights = {
    deeds_tokens.wait: 8,
    deeds_claims.open_escape: 4,
    deeds_claims.escape_one: 14,
    deeds_claims.refund_one: 10,
}
MOVE: Weights = {
    deeds_committee.any_decision: 6,
    deeds_committee.lie: 2,
    deeds_committee.announce: 4,
    deeds_committee.fortnight: 4,
    deeds_committee.migrate: 6,
    deeds_committee.hand_over: 6,
    deeds_registry.follow_vault: 3,
    deeds_registry.follow_minter: 3,
}
STAKES: Weights = {
    deeds_registry.register: 8,
    deeds_registry.add_stake: 4,
    deeds_registry.change_key: 4,
    deeds_registry.change_payout: 2,
    deeds_registry.change_services: 3,
    deeds_registry.request_exit: 8,
    deeds_registry.leave: 6,
    deeds_registry.withdraw_stake: 10,
    deeds_registry.report: 12,
    deeds_registry.report_two: 3,
    deeds_registry.raise_penalty: 8,
    deeds_ledger.end_epoch: 4,
    deeds_vault.boundary: 4,
    deeds_committee.fortnight: 3,
    deeds_tokens.wait: 4,
}
PROFILES: tuple[tuple[Weights, ...], ...] = (
    (BASE,),
    (BASE, FREEZE, FREEZE),
    (BASE, MOVE, MOVE),
    (BASE, STAKES, STAKES),
    (BASE, FREEZE, MOVE, STAKES),
)
"""What an interleaving is about, by its seed in turn; the last is everything at once."""
STORY = (deeds_committee.announce, deeds_committee.fortnight, deeds_committee.migrate)
"""What every move takes, in this order; by chance it comes too seldom."""
END = "finish"
"""The last step: what its end throws."""
DEEDS = {deed.__name__: deed for profile in PROFILES[-1] for deed in profile}


class Broken(Exception):
    """An invariant does not hold, or the chain did not do what the model said."""

    def __init__(self, problem: str, steps: Sequence[Step]) -> None:
        super().__init__(f"{problem}\nafter {list(steps)}")
        self.problem = problem
        self.steps = tuple(steps)


@dataclass
class Tally:
    """What was done."""

    runs: int = 0
    steps: int = 0
    messages: int = 0
    taken: int = 0


def interleaving(seed: int, length: int) -> list[Step]:
    """The steps of a seed."""
    dice = Random(seed)
    weights: dict[str, int] = {}
    for part in PROFILES[seed % len(PROFILES)]:
        for deed, weight in part.items():
            weights[deed.__name__] = weights.get(deed.__name__, 0) + weight
    names = dice.choices(list(weights), list(weights.values()), k=length)
    if MOVE in PROFILES[seed % len(PROFILES)] and length >= 2 * len(STORY):
        places = sorted(dice.sample(range(length), len(STORY)))
        for place, deed in zip(places, STORY, strict=True):
            names[place] = deed.__name__
    return [(name, dice.randrange(2**32)) for name in (*names, END)]


def run(stage: Stage, steps: Sequence[Step], tally: Tally | None = None) -> None:
    """Run an interleaving to its end; raises Broken."""
    world = stage.world()
    done: list[Step] = []
    end = 0
    try:
        for name, number in steps:
            done.append((name, number))
            if name == END:
                end = number
                break
            world.dice = Random(number)
            DEEDS[name](world)
            if len(done) % CHECK_ALL_EVERY == 0:
                world.check_all()
        world.dice = Random(end)
        finish(world)
    except AssertionError as problem:
        raise Broken(str(problem) or repr(problem), done) from problem
    if tally is not None:
        tally.runs += 1
        tally.steps += len(done) - 1
        tally.messages += world.messages
        tally.taken += world.taken


def fails(stage: Stage, steps: Sequence[Step]) -> Broken | None:
    """How an interleaving fails, if it does."""
    try:
        run(stage, steps)
    except Broken as broken:
        return broken
    return None


def shrink(stage: Stage, broken: Broken, attempts: int = 300) -> Broken:
    """Leave out whatever the failure does not need."""
    best, size = broken, max(1, len(broken.steps) // 2)
    while attempts > 0:
        start, shorter = 0, False
        while start < len(best.steps) and attempts > 0:
            attempts -= 1
            found = fails(stage, best.steps[:start] + best.steps[start + size :])
            if found is None:
                start += size
            else:
                best, shorter = found, True
        if size == 1 and not shorter:
            break
        size = max(1, size // 2)
    return best
