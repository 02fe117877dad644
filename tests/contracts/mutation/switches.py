"""Turn one mutant on while a test runs, and see which mutants a test comes across.

Rule: deployments are shared between tests as long as no mutant that is on took part in them.

Spec: docs/explanation/audit.md
Deviations: the chain of the tests is py-evm with one instruction that knows of the switches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from eth.abc import ComputationAPI
from eth.vm.forks.paris.computation import ParisComputation

from tests.contracts import harness
from tests.contracts.confidential_world import CONFIDENTIAL, ConfidentialWorld
from tests.contracts.harness import Evm, World
from tests.contracts.lying_world import LYING, LyingWorld
from tests.contracts.mutation.schema import MAGIC

MULMOD = 0x09
WITH_PRIVATE_TOKENS: dict[Any, type[ConfidentialWorld]] = {
    CONFIDENTIAL: ConfidentialWorld,
    LYING: LyingWorld,
}
"""Worlds that keep deployments of their own, those first that others begin from."""

Shape = tuple[int, tuple[int, ...], tuple[str, ...]]
"""Validators, weights and further tokens that a world is deployed with."""


@dataclass(slots=True)
class Switches:
    """Which mutant is on, and which ones execution came to."""

    on: int = 0
    seen: set[int] = field(default_factory=set)
    of_deployments: dict[Any, set[int]] = field(default_factory=dict)
    """What took part in a shared deployment."""
    shapes: dict[Any, Shape] = field(default_factory=dict)

    def turn_on(self, number: int) -> None:
        """Let a mutant act, and forget deployments that it takes part in."""
        self.on = number
        for key, numbers in self.of_deployments.items():
            if number in numbers:
                harness.DEPLOYED.pop(key, None)

    def deploy(self) -> None:
        """Make the shared deployments anew."""
        harness.DEPLOYED.clear()
        for key, (validators, weights, tokens) in list(self.shapes.items()):
            if key in WITH_PRIVATE_TOKENS:
                WITH_PRIVATE_TOKENS[key]()
            else:
                World(harness.embedded_evm(), validators, weights, tokens)


@contextmanager
def switching(switches: Switches) -> Iterator[None]:
    """Let the EVM ask the switches while the context lasts."""

    def multiply(computation: ComputationAPI) -> None:
        left, number, modulus = computation.stack_pop_ints(3)
        if left == modulus == MAGIC:
            switches.seen.add(number)
            computation.stack_push_int(int(number == switches.on))
        else:
            computation.stack_push_int(left * number % modulus if modulus else 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ParisComputation.opcodes[MULMOD], "logic_fn", multiply)
        patch.setattr(World, "__init__", _noting_shape(switches, World.__init__))
        patch.setattr(World, "_deploy_all", _noting_deployment(switches, World._deploy_all))
        for key, world in WITH_PRIVATE_TOKENS.items():
            noting = _noting_deployment(switches, world._deploy_all, key)
            patch.setattr(world, "_deploy_all", noting)
        yield


def _noting_shape(switches: Switches, original: Callable[..., None]) -> Callable[..., None]:
    """A world that says what it is deployed with."""

    def start(
        world: World,
        evm: Evm,
        validators: int = 4,
        weights: tuple[int, ...] = (),
        extra_tokens: tuple[str, ...] = (),
    ) -> None:
        before = set(harness.DEPLOYED)
        original(world, evm, validators, weights, extra_tokens)
        for key in set(harness.DEPLOYED) - before:
            switches.shapes[key] = (validators, weights, extra_tokens)

    return start


def _noting_deployment(
    switches: Switches, original: Callable[..., None], name: str = ""
) -> Callable[..., None]:
    """A deployment that says which mutants took part, also when it is used again."""

    def deploy_all(world: World, evm: Evm, extra_tokens: tuple[str, ...]) -> None:
        outside, switches.seen = switches.seen, set()
        known = set(harness.DEPLOYED)
        original(world, evm, extra_tokens)
        for key in set(harness.DEPLOYED) - known - set(switches.of_deployments):
            switches.of_deployments[key] = set(switches.seen)
        key = name or (harness.CHAIN_ID, world.committee.hash, extra_tokens)
        switches.seen |= outside | switches.of_deployments.get(key, set())

    return deploy_all
