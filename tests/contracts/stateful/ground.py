"""The chain that the machine plays on: py-evm without blocks, so that a step costs milliseconds.

Rule: every message is one second after the one before; what is refused changes nothing but that.

Spec: docs/explanation/audit.md
Deviations: no transactions, nonces, fees or blocks; the code that runs is the deployed code.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from contracts.chain.evm import EvmChain
from contracts.chain.store import ChainStore
from contracts.transaction import created_address
from tests.contracts.stateful.quick_opcodes import quicken

STARTED_AT = 1_700_000_000
GAS = 12_000_000
CREATION_GAS = 60_000_000


class Outcome(NamedTuple):
    """What became of a message: its output, or the data that it was refused with."""

    done: bool
    output: bytes


class Ground(Protocol):
    """A chain, as far as the machine uses it."""

    now: int
    """Seconds since 1970 at the next message."""

    def create(self, sender: bytes, code: bytes) -> bytes:
        """Deploy a contract and return its address."""

    def send(
        self, sender: bytes, to: bytes, payload: bytes, value: int = 0, gas: int = GAS
    ) -> Outcome:
        """Send a message, whoever the sender is."""

    def view(self, to: bytes, payload: bytes) -> bytes:
        """Result of a call that changes nothing."""

    def coins(self, address: bytes) -> int:
        """Balance in the chain's own coin."""

    def slot(self, address: bytes, slot: int) -> int:
        """A word of a contract's storage."""

    def keep(self) -> None:
        """Remember the state, to go back to."""

    def restore(self) -> None:
        """Go back to what was kept, as often as wanted."""


class EmbeddedGround:
    """py-evm in this process."""

    def __init__(self, chain_id: int, rich: tuple[bytes, ...], coins: int) -> None:
        """A fresh chain on which `rich` have coins."""
        chain = EvmChain(
            chain_id=chain_id,
            store=ChainStore(None),
            balances=[(address, coins) for address in rich],
            now_s=lambda: STARTED_AT,
        )
        base = chain._chain
        header = base.create_header_from_parent(base.get_canonical_head(), timestamp=STARTED_AT)
        self._chain = chain
        self._state: Any = base.get_vm(header).state
        self._computation = quicken(self._state.computation_class)
        self._message = _message_class()
        self._nonces: dict[bytes, int] = {}
        self._kept: Any = None
        self._kept_now = self.now = STARTED_AT

    def create(self, sender: bytes, code: bytes) -> bytes:
        """Deploy a contract and return its address."""
        nonce = self._nonces.get(sender, 0)
        self._nonces[sender] = nonce + 1
        address = created_address(sender, nonce)
        message = self._message(
            gas=CREATION_GAS,
            to=b"",
            sender=sender,
            value=0,
            data=b"",
            code=code,
            create_address=address,
        )
        done = self._run(self._computation.apply_create_message, message, sender)
        assert not done.is_error, done.error
        return address

    def send(
        self, sender: bytes, to: bytes, payload: bytes, value: int = 0, gas: int = GAS
    ) -> Outcome:
        """Send a message, whoever the sender is."""
        done = self._call(sender, to, payload, value, gas)
        return Outcome(not done.is_error, bytes(done.output))

    def view(self, to: bytes, payload: bytes) -> bytes:
        """Result of a call that changes nothing."""
        self.now -= 1
        done = self._call(bytes(20), to, payload, 0, GAS)
        assert not done.is_error, done.error
        return bytes(done.output)

    def coins(self, address: bytes) -> int:
        """Balance in the chain's own coin."""
        return int(self._state.get_balance(address))

    def slot(self, address: bytes, slot: int) -> int:
        """A word of a contract's storage."""
        return int(self._state.get_storage(address, slot))

    def keep(self) -> None:
        """Remember the state, to go back to."""
        self._state.persist()
        self._kept = self._state.state_root
        self._kept_now = self.now

    def restore(self) -> None:
        """Go back to what was kept, as often as wanted."""
        self._state = type(self._state)(self._state._db, self._state.execution_context, self._kept)
        self.now = self._kept_now

    def _call(self, sender: bytes, to: bytes, data: bytes, value: int, gas: int) -> Any:
        """Run one message."""
        message = self._message(
            gas=gas, to=to, sender=sender, value=value, data=data, code=self._state.get_code(to)
        )
        return self._run(self._computation.apply_message, message, sender)

    def _run(self, apply: Any, message: Any, sender: bytes) -> Any:
        """Apply a message as if it were a transaction's."""
        self._state.execution_context._timestamp = self.now
        self.now += 1
        self._state._account_db._reset_access_counters()
        context = self._state.get_transaction_context_class()(gas_price=0, origin=sender)
        return apply(self._state, message, context)


def _message_class() -> Any:
    """py-evm's message; imported late because it takes a second."""
    from eth.vm.message import Message

    return Message
