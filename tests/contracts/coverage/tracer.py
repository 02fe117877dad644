"""Note which instructions py-evm executes, and which way each conditional jump went.

Rule: the tracer only watches; what a transaction does is the same with it and without it.

Spec: none
Deviations: code is not limited to 24,576 bytes and costs nothing to store while it is traced,
because it is compiled without the optimizer, whose code cannot be led back to lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import eth.constants
import pytest
from eth.vm.code_stream import CodeStream
from eth.vm.forks.spurious_dragon import computation as code_limits

STOP, JUMPI = 0x00, 0x57
CODE_BYTES_MAX = 1 << 20


@dataclass(slots=True)
class Executed:
    """What was executed of one piece of code."""

    offsets: set[int] = field(default_factory=set)
    jumps: set[tuple[int, bool]] = field(default_factory=set)
    """(offset of a conditional jump, whether it was taken)."""


Trace = dict[bytes, Executed]


@contextmanager
def unlimited_code() -> Iterator[None]:
    """Let code of any size be deployed and stored for free: unoptimized code is twice as long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_limits, "EIP170_CODE_SIZE_LIMIT", CODE_BYTES_MAX)
        patch.setattr(eth.constants, "GAS_CODEDEPOSIT", 0)
        yield


@contextmanager
def tracing() -> Iterator[Trace]:
    """Fill a trace by code while the context lasts."""
    trace: Trace = defaultdict(Executed)

    def iterate(stream: CodeStream) -> Iterator[int]:
        code: bytes = stream._raw_code_bytes
        executed = trace[code]
        seen, jumps, size = executed.offsets.add, executed.jumps.add, len(code)
        while (offset := stream.program_counter) < size:
            operation = code[offset]
            stream.program_counter = offset + 1
            seen(offset)
            yield operation
            if operation == JUMPI:
                jumps((offset, stream.program_counter != offset + 1))
        yield STOP

    with unlimited_code(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(CodeStream, "__iter__", iterate)
        yield trace
