"""What another language has to produce, as the how-to gives it, is what the SDK produces.

Rule: the page is the truth; a change of the encoding changes it on purpose.
Spec: docs/spec/actions.md. Deviations: none.
"""

from __future__ import annotations

import re
from pathlib import Path

from client.actions import ActionBuilder
from client.keys import Credentials
from exchange.actions import BUY, POST_ONLY, Place
from primitives.eip712 import network_domain
from primitives.secp256k1 import PrivateKey

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "use-the-api.md"
NOW_MS = 1_800_000_000_000


def test_the_documented_order_is_signed_alike() -> None:
    page = PAGE.read_text()
    given = dict(re.findall(r"^\| (\w+) \| `0x([0-9a-f]+)` \|$", page, re.MULTILINE))
    domain = network_domain(b"\x22" * 32)
    wallet = Credentials.of_wallet(PrivateKey(b"\x01" * 32))
    builder = ActionBuilder(domain=domain, credentials=wallet, clock=lambda: NOW_MS)
    signed = builder.sign(Place(0, BUY, 1_000, 100, POST_ONLY), deadline_ms=NOW_MS + 60_000)
    assert given == {
        "domain": domain.hex(),
        "payload": signed.payload.hex(),
        "id": signed.id.hex(),
        "signature": signed.signature.hex(),
    }
