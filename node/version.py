"""Know which program this is.

Rule: the version stands in pyproject.toml; this file repeats it so that no metadata has to be read,
and a test compares the two. Which engine runs is read off the file that Python would import.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

import importlib.util
from typing import Final

VERSION: Final = "0.1.0"
PROTOCOL: Final = 1  # of the consensus and p2p messages


def describe_engine() -> str:
    """Tell whether the exchange runs compiled or interpreted; imports nothing of it."""
    spec = importlib.util.find_spec("exchange.matching")
    assert spec is not None
    assert spec.origin is not None
    return "interpreted" if spec.origin.endswith(".py") else "compiled"
