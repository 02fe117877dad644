"""The same machine on anvil: every message is a transaction in a block of its own.

Rule: as `ground`; whoever sends is impersonated, and gas costs nothing, so that balances compare.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from contracts.chain.anvil import start_anvil
from contracts.rpc import HttpRpc, Rpc
from contracts.rpc_values import data, parse_data, parse_quantity, quantity
from tests.contracts.harness import CHAIN_ID
from tests.contracts.stateful.ground import GAS, Outcome

CREATION_GAS = 20_000_000
RECEIPT_SECONDS_MAX = 120
VIEWER = b"\x71" * 20


class AnvilGround:
    """An anvil that mines each message at the second that it is told."""

    def __init__(self, rpc: Rpc, rich: tuple[bytes, ...], coins: int) -> None:
        """A fresh anvil on which `rich` have coins."""
        self._rpc = rpc
        self._rpc.call("anvil_autoImpersonateAccount", True)
        for address in rich:
            self._rpc.call("anvil_setBalance", data(address), quantity(coins))
        latest = self._rpc.call("eth_getBlockByNumber", "latest", False)
        self.now = parse_quantity(latest["timestamp"]) + 1
        self._kept: Any = None
        self._kept_now = self.now

    def create(self, sender: bytes, code: bytes) -> bytes:
        """Deploy a contract and return its address."""
        receipt = self._mine({"from": data(sender), "data": data(code)}, CREATION_GAS)
        assert parse_quantity(receipt["status"]) == 1
        return parse_data(receipt["contractAddress"])

    def send(
        self, sender: bytes, to: bytes, payload: bytes, value: int = 0, gas: int = GAS
    ) -> Outcome:
        """Send a message, whoever the sender is."""
        message = {"from": data(sender), "to": data(to), "data": data(payload)}
        receipt = self._mine({**message, "value": quantity(value)}, gas)
        if parse_quantity(receipt["status"]) == 1:
            return Outcome(True, b"")
        trace = self._rpc.call(
            "debug_traceTransaction", receipt["transactionHash"], {"tracer": "callTracer"}
        )
        return Outcome(False, parse_data(trace.get("output") or "0x"))

    def view(self, to: bytes, payload: bytes) -> bytes:
        """Result of a call that changes nothing."""
        message = {"from": data(VIEWER), "to": data(to), "data": data(payload)}
        return parse_data(self._rpc.call("eth_call", message, "latest"))

    def coins(self, address: bytes) -> int:
        """Balance in the chain's own coin."""
        return parse_quantity(self._rpc.call("eth_getBalance", data(address), "latest"))

    def slot(self, address: bytes, slot: int) -> int:
        """A word of a contract's storage."""
        word = self._rpc.call("eth_getStorageAt", data(address), quantity(slot), "latest")
        return int.from_bytes(parse_data(word), "big")

    def keep(self) -> None:
        """Remember the state, to go back to."""
        self._kept = self._rpc.call("evm_snapshot")
        self._kept_now = self.now

    def restore(self) -> None:
        """Go back to what was kept; anvil can do that once with a snapshot."""
        assert self._rpc.call("evm_revert", self._kept)
        self.now = self._kept_now
        self.keep()

    def _mine(self, message: dict[str, Any], gas: int) -> dict[str, Any]:
        """Mine one transaction and return its receipt."""
        self._rpc.call("anvil_setNextBlockBaseFeePerGas", "0x0")
        self._rpc.call("evm_setNextBlockTimestamp", quantity(self.now))
        self.now += 1
        fields = {**message, "gas": quantity(gas), "gasPrice": "0x0"}
        name = self._rpc.call("eth_sendTransaction", fields)
        deadline = time.monotonic() + RECEIPT_SECONDS_MAX
        receipt = None
        while receipt is None and time.monotonic() < deadline:
            receipt = self._rpc.call("eth_getTransactionReceipt", name)
        assert receipt is not None, "anvil mined nothing"
        return dict(receipt)


@contextmanager
def anvil_ground(rich: tuple[bytes, ...], coins: int) -> Iterator[AnvilGround]:
    """Start an anvil of its own; raises ConfigError if it is not installed."""
    chain = start_anvil(chain_id=CHAIN_ID, block_ms=None, funded=())
    rpc = HttpRpc(chain.url)
    try:
        yield AnvilGround(rpc, rich, coins)
    finally:
        rpc.close()
        chain.stop()
