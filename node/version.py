"""Know which program this is.

Rule: the version stands in pyproject.toml; this file repeats it so that no metadata has to be read,
and a test compares the two.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
PROTOCOL: Final = 1  # of the consensus and p2p messages
