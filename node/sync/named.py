"""Read the block that an operator names as trusted.

Rule: height and hash, nothing else; whoever names a block answers for whom they got it from.
Spec: docs/spec/state-sync.md (Trust). Deviations: none.
"""

from __future__ import annotations

import re
from typing import Final

from primitives.errors import ConfigError

NAMED: Final = re.compile(r"([1-9][0-9]{0,17}):0x([0-9a-f]{64})")


def parse_named(text: str) -> tuple[int, bytes] | None:
    """Return height and hash of the block that `sync.trusted_checkpoint` names, None for none.

    Raises ConfigError.
    """
    if not text:
        return None
    found = NAMED.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"sync.trusted_checkpoint is {text!r}, not HEIGHT:0xHASH",
            fix="take height and hash of a final block from somebody whom you trust",
        )
    return int(found[1]), bytes.fromhex(found[2])
