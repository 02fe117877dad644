"""Quick opcodes do what py-evm's own do: results, gas and failures, of any program."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.contracts.harness import CHAIN_ID
from tests.contracts.stateful.ground import EmbeddedGround, quicken
from tests.contracts.stateful.quick_opcodes import (
    BINARY,
    JUMP,
    JUMPDEST,
    JUMPI,
    MLOAD,
    MSTORE,
    POP,
    UNARY,
    landings,
)

SENDER = b"\x01" * 20
QUICK = (*UNARY, *BINARY, POP, MLOAD, MSTORE, JUMP, JUMPI, JUMPDEST)
ENDS = bytes.fromhex("60206000f3")
"""Returns the first word of the memory."""


@pytest.fixture(scope="module")
def ground() -> EmbeddedGround:
    return EmbeddedGround(CHAIN_ID, (SENDER,), 10**18)


def program(dice: Random) -> bytes:
    """Mostly sensible: something on the stack, then operations, jumps to any place among them."""
    code = bytearray()
    for _ in range(dice.randrange(60)):
        kind = dice.randrange(10)
        if kind < 4:
            size = dice.choice((1, 1, 1, 2, 20, 32))
            small = bytes([dice.randrange(120)]).rjust(size, b"\0")
            code.append(0x60 + size - 1)
            code += small if dice.random() < 0.7 else dice.randbytes(size)
        elif kind < 6:
            code.append(dice.choice((0x80, 0x90)) + dice.choice((0, 0, 1, 2, 15)))
        elif kind < 9:
            code.append(dice.choice(QUICK))
        else:
            code.append(dice.randrange(0x20))
    return bytes(code) + (ENDS if dice.random() < 0.7 else dice.randbytes(2))


def outcome(ground: EmbeddedGround, computation_class: Any, code: bytes, gas: int) -> Any:
    """Everything that can be seen of a program's run."""
    message = ground._message(
        gas=gas, to=SENDER, sender=SENDER, value=0, data=b"\7" * 40, code=code
    )
    ran = ground._run(computation_class.apply_message, message, SENDER)
    problem = type(ran._error).__name__ if ran.is_error else ""
    stack = [int.from_bytes(v, "big") if isinstance(v, bytes) else v for v in ran._stack.values]
    return ran.output, ran.get_gas_used(), problem, stack, bytes(ran._memory._bytes)


def test_any_program_runs_as_on_py_evm(ground: EmbeddedGround) -> None:
    slow = ground._state.computation_class
    quick, problems = quicken(slow), set()
    for seed in range(1_500):
        dice = Random(seed)
        code, gas = program(dice), dice.choice((30, 100, 5_000))
        expected = outcome(ground, slow, code, gas)
        assert outcome(ground, quick, code, gas) == expected, code.hex()
        problems.add(expected[2])
    assert {"", "OutOfGas", "InsufficientStack", "InvalidJumpDestination"} <= problems


def test_a_full_stack_is_full_for_quick_opcodes_too(ground: EmbeddedGround) -> None:
    quick = quicken(ground._state.computation_class)
    for tail in ("6001", "80", "6001" * 2):
        code = bytes.fromhex("6001" * 1_024 + tail)
        assert outcome(ground, quick, code, 10**6)[2] == "FullStack"
    assert outcome(ground, quick, bytes.fromhex("6001" * 1_024 + "00"), 10**6)[2] == ""


def test_the_data_of_a_push_is_no_place_to_land() -> None:
    assert landings(bytes.fromhex("5b605b5b615b5b5b")) == {0, 3, 7}
