"""The model's memory: a flat map of numbers that can be gone back to, as the chain's can.

Rule: whatever is refused leaves every cell as it was.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

ANY = "*"
"""Refused for whatever reason a token has."""


class Refused(Exception):
    """The model refuses what was asked for."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def require(condition: bool, reason: str) -> None:
    """Refuse unless the condition holds."""
    if not condition:
        raise Refused(reason)


class Cells:
    """Numbers by key; what was never written is zero."""

    def __init__(self) -> None:
        self._cells: dict[tuple[Hashable, ...], int] = {}

    def get(self, *key: Hashable) -> int:
        """The number under a key."""
        return self._cells.get(key, 0)

    def put(self, value: int, *key: Hashable) -> None:
        """Write a number."""
        self._cells[key] = value

    def add(self, amount: int, *key: Hashable) -> None:
        """Add to a number, which never becomes negative."""
        value = self._cells.get(key, 0) + amount
        assert value >= 0, (key, value)
        self._cells[key] = value

    def image(self) -> dict[tuple[Hashable, ...], int]:
        """All cells as they are."""
        return dict(self._cells)

    def load(self, image: dict[tuple[Hashable, ...], int]) -> None:
        """Start from an image."""
        self._cells = dict(image)

    def attempt(self, act: Callable[[], object]) -> str:
        """Do something whole or not at all; return why it was refused, or nothing."""
        before = dict(self._cells)
        try:
            act()
        except Refused as refusal:
            self._cells = before
            return refusal.reason
        return ""

    @contextmanager
    def guard(self, contract: bytes) -> Iterator[None]:
        """OpenZeppelin's guard against re-entrance."""
        require(not self.get("entered", contract), "ReentrancyGuardReentrantCall")
        self.put(1, "entered", contract)
        yield
        self.put(0, "entered", contract)
