"""Send transactions for the tools that use web3, with what makes sending safe in a node.

Rule: nonces, turns, prices, re-organisations and crashes are the transactor's; this only speaks
web3's language.

Spec: docs/spec/settlement.md §10
Deviations: none
"""

from __future__ import annotations

from typing import Any

from hexbytes import HexBytes
from web3 import Web3

from contracts.errors import ContractRefused
from contracts.evm_web3 import Web3Rpc, translated_errors
from contracts.limits import WALLET_POLL_SECONDS
from contracts.outbox import Outbox
from contracts.transactor import Transactor
from primitives.errors import TransientError
from primitives.secp256k1 import PrivateKey


class Web3Sender:
    """The transactions of one account."""

    def __init__(
        self,
        web3: Web3,
        key: PrivateKey,
        *,
        chain_id: int,
        mine_at_once: bool = False,
        outbox: Outbox | None = None,
    ) -> None:
        """`mine_at_once` asks a devnet chain for a block after sending."""
        self._web3 = web3
        self._transactor = Transactor(
            Web3Rpc(web3, mine_at_once=mine_at_once),
            key,
            chain_id=chain_id,
            outbox=outbox,
            poll_seconds=WALLET_POLL_SECONDS,
        )

    def send(self, to: bytes | None, payload: str, *, gas: int, value: int = 0) -> Any:
        """Send hex data, to nobody for a new contract, and return web3's receipt.

        Raises ContractRefused if it was reverted, TransientError, GasAccountEmpty.
        """
        body = bytes.fromhex(payload.removeprefix("0x"))
        sent = self._transactor.send(to, body, gas=gas, value=value)
        if sent.succeeded:
            with translated_errors():
                return self._web3.eth.get_transaction_receipt(HexBytes(sent.transaction_hash))
        if sent.gas_used >= gas:
            raise TransientError("the transaction ran out of gas")
        raise ContractRefused(f"transaction 0x{sent.transaction_hash.hex()} was reverted")
