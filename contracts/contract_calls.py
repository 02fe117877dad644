"""Call contracts over JSON-RPC: views for free, transactions that happen once.

Rule: whatever is sent was looked for first and tried for free, so what is done already, by
whomever, costs nothing and a refusal has its reason.
Spec: docs/spec/settlement.md §9. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from contracts.errors import ContractRefused, MinedInVain, RpcRefused
from contracts.rpc import Rpc
from contracts.rpc_values import data, parse_data, quantity
from contracts.settlement_calls import decode_answer, encode_view, revert_reason
from contracts.settlement_types import Submission
from contracts.transactor import Transactor
from primitives.errors import TransientError

TOKEN: Final = "TestToken"
"""Any ERC-20."""


class ContractCalls:
    """Calls on one chain. `transactor` None makes one that only reads."""

    def __init__(self, rpc: Rpc, transactor: Transactor | None) -> None:
        self._rpc = rpc
        self._transactor = transactor

    def request(self, method: str, *parameters: Any) -> Any:
        """Ask what only fails for a time. Raises TransientError."""
        try:
            return self._rpc.call(method, *parameters)
        except RpcRefused as problem:
            raise TransientError(str(problem)) from problem

    def words(
        self,
        contract: str,
        to: bytes,
        count: int,
        function: str,
        *arguments: int | bytes,
        at: str = "latest",
    ) -> tuple[bytes, ...]:
        """Return the words that a view answers. Raises ContractRefused, TransientError."""
        payload = encode_view(contract, function, *arguments)
        return decode_answer(self.call(contract, to, payload, at=at), count)

    def call(
        self,
        contract: str,
        to: bytes,
        payload: bytes,
        *,
        at: str = "latest",
        sender: bytes = b"",
        gas: int = 0,
    ) -> bytes:
        """Return the answer of eth_call; raises ContractRefused for a revert."""
        message = {"to": data(to), "data": data(payload)}
        if sender:
            message |= {"from": data(sender), "gas": quantity(gas)}
        try:
            return parse_data(self._rpc.call("eth_call", message, at))
        except RpcRefused as problem:
            reason = revert_reason(problem, contract)
            if reason is None:
                raise TransientError(str(problem)) from problem
            if reason.reason.startswith("revert 0x"):
                reason = revert_reason(problem, TOKEN) or reason  # a token's, passed on
            raise reason from problem

    def submit_once(
        self, contract: str, to: bytes, payload: bytes, *, gas: int, is_done: Callable[[], bool]
    ) -> Submission:
        """Do something once: look, try for free, send, look again.

        Raises ContractRefused, GasAccountEmpty, TransientError.
        """
        if is_done():
            return Submission.ALREADY_DONE
        if self._transactor is None:
            raise TransientError("this client has no key and cannot send transactions")
        try:
            self.call(contract, to, payload, sender=self._transactor.address, gas=gas)
        except ContractRefused:
            if is_done():
                return Submission.ALREADY_DONE
            raise
        receipt = self._transactor.send(to, payload, gas=gas)
        if receipt.succeeded:
            return Submission.DONE
        if is_done():
            return Submission.ALREADY_DONE
        raise MinedInVain("the transaction was mined but reverted")
