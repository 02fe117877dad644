"""Deposits to refund are found by number, however many there are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from node.cli.escape_sources import find_uncredited

VAULT = b"\x22" * 20
BLOCK_OF = [1, 1, 5, 2_100, 2_100, 2_100, 2_100, 2_100, 4_050, 4_100]
"""The EVM block of each deposit."""


class Client:
    """Answers as a chain does, and no more than it was asked for."""

    def __init__(self) -> None:
        self.most = 0

    def head(self) -> tuple[int, bytes]:
        return 4_200, bytes(32)

    def status(self) -> Any:
        return SimpleNamespace(deposits=len(BLOCK_OF))

    def deposits_in(self, first: int, last: int, ids: range) -> tuple[Any, ...]:
        self.most = max(self.most, len(ids))
        found = [one for one in ids if first <= BLOCK_OF[one] <= last]
        return tuple(SimpleNamespace(id=one) for one in found)


@pytest.mark.parametrize("credited", range(len(BLOCK_OF) + 1))
@pytest.mark.parametrize("size", [1, 2, 3, 512])
def test_every_deposit_that_was_not_credited_is_found_once(
    credited: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.cli.escape_sources.DEPOSITS_PER_ATTESTATION_MAX", size)
    chain: Any = SimpleNamespace(chain_id=1, vault_bytes=VAULT, first_block=1)
    vaults = {(1, VAULT): SimpleNamespace(credited=credited)}
    ledger: Any = SimpleNamespace(state=SimpleNamespace(vaults=vaults))
    client: Any = Client()
    found = sorted(one.id for one in find_uncredited(client, chain, ledger))
    assert found == list(range(credited, len(BLOCK_OF)))
    assert client.most <= size
