"""Let py-evm run the opcodes that it runs most of in fewer steps of Python.

Rule: a quick opcode does only what is plain: enough gas, enough on the stack, memory that is there.
Everything else, and every opcode not named here, is py-evm's own, before anything was changed.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

PUSH1, DUP1, SWAP1 = 0x60, 0x80, 0x90
POP, MLOAD, MSTORE, JUMP, JUMPI, JUMPDEST = 0x50, 0x51, 0x52, 0x56, 0x57, 0x5B
STACK_MAX = 1_024
WORD_MAX = 2**256 - 1
Operation = Callable[[Any], None]

UNARY: dict[int, Callable[[int], int]] = {
    0x15: lambda a: int(a == 0),
    0x19: lambda a: WORD_MAX - a,
}
BINARY: dict[int, Callable[[int, int], int]] = {
    0x01: lambda a, b: (a + b) & WORD_MAX,
    0x02: lambda a, b: (a * b) & WORD_MAX,
    0x03: lambda a, b: (a - b) & WORD_MAX,
    0x04: lambda a, b: a // b if b else 0,
    0x10: lambda a, b: int(a < b),
    0x11: lambda a, b: int(a > b),
    0x14: lambda a, b: int(a == b),
    0x16: lambda a, b: a & b,
    0x17: lambda a, b: a | b,
    0x1B: lambda a, b: (b << a) & WORD_MAX if a < 256 else 0,
    0x1C: lambda a, b: b >> a if a < 256 else 0,
}


def quicken(computation_class: Any) -> Any:
    """The same computation with quick opcodes."""
    quick = dict(computation_class.opcodes)
    for size in range(1, 33):
        quick[PUSH1 + size - 1] = _push(size, quick[PUSH1 + size - 1])
    for place in range(1, 17):
        quick[DUP1 + place - 1] = _dup(place, quick[DUP1 + place - 1])
        quick[SWAP1 + place - 1] = _swap(place, quick[SWAP1 + place - 1])
    for code, one in UNARY.items():
        quick[code] = _unary(one, quick[code])
    for code, two in BINARY.items():
        quick[code] = _binary(two, quick[code])
    makers = {POP: _pop, MLOAD: _mload, MSTORE: _mstore, JUMP: _jump, JUMPI: _jumpi}
    for code, make in {**makers, JUMPDEST: _jumpdest}.items():
        quick[code] = make(quick[code])

    class QuickComputation(computation_class):  # type: ignore[misc]
        """py-evm's, but for the opcodes above."""

        opcodes = quick

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.landings = landings(self.code._raw_code_bytes)

    return QuickComputation


@lru_cache(maxsize=256)
def landings(code: bytes) -> frozenset[int]:
    """Where a jump may land: at a JUMPDEST that is not the data of a PUSH."""
    found, place = set(), 0
    while place < len(code):
        opcode = code[place]
        if opcode == JUMPDEST:
            found.add(place)
        place += opcode - PUSH1 + 2 if PUSH1 <= opcode < DUP1 else 1
    return frozenset(found)


def _number(item: int | bytes) -> int:
    """A stack's item as a number."""
    return item if isinstance(item, int) else int.from_bytes(item, "big")


def _push(size: int, slow: Any) -> Operation:
    gas: int = slow.gas_cost

    def push(computation: Any) -> None:
        meter, code = computation._gas_meter, computation.code
        values = computation._stack.values
        start = code.program_counter
        data = code._raw_code_bytes[start : start + size]
        if meter.gas_remaining < gas or len(values) >= STACK_MAX or len(data) < size:
            slow(computation)
            return
        meter.gas_remaining -= gas
        code.program_counter = start + size
        values.append(int.from_bytes(data, "big"))

    return push


def _dup(place: int, slow: Any) -> Operation:
    gas: int = slow.gas_cost

    def dup(computation: Any) -> None:
        meter, values = computation._gas_meter, computation._stack.values
        if meter.gas_remaining < gas or not place <= len(values) < STACK_MAX:
            slow(computation)
            return
        meter.gas_remaining -= gas
        values.append(values[-place])

    return dup


def _swap(place: int, slow: Any) -> Operation:
    gas, other = slow.gas_cost, -place - 1

    def swap(computation: Any) -> None:
        meter, values = computation._gas_meter, computation._stack.values
        if meter.gas_remaining < gas or len(values) <= place:
            slow(computation)
            return
        meter.gas_remaining -= gas
        values[-1], values[other] = values[other], values[-1]

    return swap


def _unary(act: Callable[[int], int], slow: Any) -> Operation:
    gas: int = slow.gas_cost

    def unary(computation: Any) -> None:
        meter, values = computation._gas_meter, computation._stack.values
        if meter.gas_remaining < gas or not values:
            slow(computation)
            return
        meter.gas_remaining -= gas
        values[-1] = act(_number(values[-1]))

    return unary


def _binary(act: Callable[[int, int], int], slow: Any) -> Operation:
    gas: int = slow.gas_cost

    def binary(computation: Any) -> None:
        meter, values = computation._gas_meter, computation._stack.values
        if meter.gas_remaining < gas or len(values) < 2:
            slow(computation)
            return
        meter.gas_remaining -= gas
        first = values.pop()
        values[-1] = act(_number(first), _number(values[-1]))

    return binary


def _pop(slow: Any) -> Operation:
    gas: int = slow.gas_cost

    def pop(computation: Any) -> None:
        meter, values = computation._gas_meter, computation._stack.values
        if meter.gas_remaining < gas or not values:
            slow(computation)
            return
        meter.gas_remaining -= gas
        values.pop()

    return pop


def _mload(slow: Any) -> Operation:
    gas: int = slow.gas_cost

    def mload(computation: Any) -> None:
        meter, values = computation._gas_meter, computation._stack.values
        memory = computation._memory._bytes
        place = _number(values[-1]) if values else len(memory)
        if meter.gas_remaining < gas or place + 32 > len(memory):
            slow(computation)
            return
        meter.gas_remaining -= gas
        values[-1] = bytes(memory[place : place + 32])

    return mload


def _mstore(slow: Any) -> Operation:
    gas: int = slow.gas_cost

    def mstore(computation: Any) -> None:
        meter, values = computation._gas_meter, computation._stack.values
        memory = computation._memory._bytes
        place = _number(values[-1]) if len(values) > 1 else len(memory)
        if meter.gas_remaining < gas or place + 32 > len(memory):
            slow(computation)
            return
        meter.gas_remaining -= gas
        values.pop()
        word = values.pop()
        data = word.to_bytes(32, "big") if isinstance(word, int) else word.rjust(32, b"\0")
        memory[place : place + 32] = data

    return mstore


def _jump(slow: Any) -> Operation:
    gas: int = slow.gas_cost

    def jump(computation: Any) -> None:
        meter, values = computation._gas_meter, computation._stack.values
        to = _number(values[-1]) if values else -1
        if meter.gas_remaining < gas or to not in computation.landings:
            slow(computation)
            return
        meter.gas_remaining -= gas
        values.pop()
        computation.code.program_counter = to

    return jump


def _jumpi(slow: Any) -> Operation:
    gas: int = slow.gas_cost

    def jumpi(computation: Any) -> None:
        meter, values = computation._gas_meter, computation._stack.values
        if meter.gas_remaining < gas or len(values) < 2:
            slow(computation)
            return
        to, condition = _number(values[-1]), _number(values[-2])
        if condition and to not in computation.landings:
            slow(computation)
            return
        meter.gas_remaining -= gas
        del values[-2:]
        if condition:
            computation.code.program_counter = to

    return jumpi


def _jumpdest(slow: Any) -> Operation:
    gas: int = slow.gas_cost

    def jumpdest(computation: Any) -> None:
        meter = computation._gas_meter
        if meter.gas_remaining < gas:
            slow(computation)
            return
        meter.gas_remaining -= gas

    return jumpdest
