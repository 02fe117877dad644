"""Hand on the one error of a nursery by its own type.

Rule: used where a context manager hides a nursery; a caller should not have to know of it.
Spec: trio's documentation on exception groups. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unwrap() -> Iterator[None]:
    """Replace an exception group that holds one error by that error."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from error.__cause__
