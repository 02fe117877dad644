"""Contain what a peer, or a library that a peer's bytes confuse, can raise.

Rule: every boundary at which a fault must not spread uses `attempt`. A plain `except Exception` is
no boundary under trio: a nursery that fails while it is being cancelled raises a group that holds
both the fault and the cancellation, and such a group is no Exception.

Spec: docs/spec/p2p.md §8 (The library).
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def attempt(
    function: Callable[..., Awaitable[T]], *args: object
) -> tuple[T | None, Exception | None]:
    """Return (result, None) or (None, first fault). A cancellation passes, faults do not."""
    fault: Exception | None = None
    try:
        return await function(*args), None
    except* Exception as group:  # noqa: BLE001 - the one place
        fault = root_cause(group)
    return None, fault


def root_cause(error: Exception) -> Exception:
    """Return the first fault of nested groups: nurseries wrap what their tasks raise."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
