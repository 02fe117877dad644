"""Be one trader with a wallet of their own, in plain blocking calls.

Rule: an order counts as placed when a node has said that a final block executed it.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

from client.actions import ActionBuilder, Signed
from client.keys import Credentials
from client.node_client import now_ms
from devnet.funding import fund_address, open_wallet
from devnet.plan import USDX
from exchange.actions import BUY, POST_ONLY, Place
from primitives.address import to_checksum
from primitives.eip712 import network_domain
from primitives.secp256k1 import PrivateKey
from tests.devnet.local_devnet import LocalDevnet

MARKET = 0  # XOM-USDX; one lot at one tick is one atom of USDX
LOW_PRICE = 100  # far below what the demo traders quote: such orders stay
DEPOSIT = 10**12


@dataclass(slots=True)
class Member:
    """One account of a devnet and what a node has confirmed of its orders."""

    devnet: LocalDevnet
    key: PrivateKey = field(default_factory=PrivateKey.generate)
    placed: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """Action id → (height, order id), as the first node told them."""
    _builder: ActionBuilder | None = None

    @property
    def builder(self) -> ActionBuilder:
        if self._builder is None:
            self._builder = ActionBuilder(
                domain=network_domain(self.devnet.plan.network_id),
                credentials=Credentials.of_wallet(self.key),
                clock=now_ms,
            )
        return self._builder

    @property
    def address(self) -> str:
        return to_checksum(self.key.address)

    def join(self) -> None:
        """Get test tokens, deposit, and wait for the credit on every node."""
        devnet = self.devnet
        fund_address(devnet.record, devnet.plan, self.address)
        wallet = open_wallet(devnet.record, self.key)
        token = devnet.plan.deployment.tokens[USDX].address
        wallet.deposit(devnet.plan.deployment.vault, token, DEPOSIT)
        devnet.until(
            lambda: all(devnet.ask(name, f"/v1/accounts/{self.address}") for name in devnet.names),
            "the deposit is credited on every node",
        )

    def sign_order(self, price: int = LOW_PRICE, size: int = 1) -> Signed:
        return self.builder.sign(Place(MARKET, BUY, price, size, POST_ONLY))

    def send(self, name: str, *actions: Signed) -> list[dict[str, object]]:
        """Hand signed actions to a node; return what it said about each."""
        body = {"actions": [as_json(action) for action in actions]}
        status, answer = self.devnet.fetch(name, "/v1/actions", body)
        assert status == 200, answer
        results: list[dict[str, object]] = json.loads(answer)["results"]
        return results

    def place(self, name: str) -> bytes:
        """Place an order that rests and wait until the node says that it is executed."""
        action = self.sign_order()
        (result,) = self.send(name, action)
        assert result["accepted"], result
        self.devnet.until(lambda: self.confirm(name, action.id), f"{name} executes it")
        return action.id

    def confirm(self, name: str, action_id: bytes) -> bool:
        """Tell whether a node shows the order executed; it must tell the same for ever."""
        receipt = self.devnet.ask(name, f"/v1/actions/0x{action_id.hex()}")
        if receipt is None or receipt["state"] != "executed":
            return False
        (status,) = receipt["statuses"]
        if status["code"] == "pending":
            return False  # an open batch comes first
        assert status["code"] == "ok", receipt
        told = (receipt["height"], status["order_id"])
        assert self.placed.setdefault(action_id, told) == told, f"{name} tells another outcome"
        return True

    def verify_nothing_lost(self) -> None:
        """Find every confirmed order again on every node."""
        for name in self.devnet.names:
            for action_id in self.placed:
                self.devnet.until(
                    lambda name=name, action_id=action_id: self.confirm(name, action_id),
                    f"{name} knows a final order",
                )
            shown = self.devnet.read(name, f"/v1/orders?account={self.address}")
            assert {order["id"] for order in shown["orders"]} >= {
                order for _, order in self.placed.values()
            }


def as_json(action: Signed) -> dict[str, str]:
    return {"payload": "0x" + action.payload.hex(), "signature": "0x" + action.signature.hex()}


def wait_s(seconds: float) -> None:
    """Let time pass where the fact under test is that nothing happens meanwhile."""
    time.sleep(seconds)
