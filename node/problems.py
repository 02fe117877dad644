"""Collect what is wrong with the node right now, in words for its operator.

Rule: whoever notices a condition raises it under its code and clears it when it is over; nothing is
raised twice.
Spec: docs/reference/errors.md. Deviations: none.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

log = logging.getLogger("omnibazaar.problems")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that is wrong, as shown by `status` and the page."""

    code: str
    message: str
    fix: str
    stops_duties: bool


@dataclass(slots=True)
class Problems:
    """The conditions of one daemon by code. Single-threaded."""

    _open: dict[str, Condition] = field(default_factory=dict)

    def set(self, code: str, message: str, *, fix: str = "", stops_duties: bool = False) -> None:
        """Note a condition; it is logged when it is new."""
        if code not in self._open:
            log.warning("%s (%s)%s", message, code, f"; {fix}" if fix else "")
        self._open[code] = Condition(code=code, message=message, fix=fix, stops_duties=stops_duties)

    def clear(self, code: str) -> None:
        """Note that a condition is over."""
        condition = self._open.pop(code, None)
        if condition is not None:
            log.info("over: %s (%s)", condition.message, code)

    def is_open(self, code: str) -> bool:
        """True while the condition lasts."""
        return code in self._open

    def conditions(self) -> tuple[Condition, ...]:
        """Return what is open, oldest first."""
        return tuple(self._open.values())

    @property
    def stops_duties(self) -> bool:
        """True while something open forbids to vote."""
        return any(condition.stops_duties for condition in self._open.values())
