"""Make web3 objects for the tools that use web3: deployment and wallets.

Rule: the resident daemon never imports this file (web3 costs 39 MB and seconds to import).

Spec: docs/adr/0060
Deviations: none
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eth_account import Account
from requests.exceptions import RequestException
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3Exception
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers import HTTPProvider
from web3.types import RPCEndpoint

from contracts.errors import ContractRefused, GasAccountEmpty
from contracts.limits import RPC_TIMEOUT_SECONDS
from contracts.rpc import refused
from primitives.errors import TransientError, WrongNetwork
from primitives.secp256k1 import PrivateKey


def connect(url: str, chain_id: int) -> Web3:
    """Return web3 for an RPC URL; raises WrongNetwork for another chain, TransientError."""
    provider = HTTPProvider(url, request_kwargs={"timeout": RPC_TIMEOUT_SECONDS})
    return verify_chain(Web3(provider), chain_id)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what web3 raises into this project's errors.

    A revert becomes ContractRefused, an empty account GasAccountEmpty, all else TransientError.
    """
    try:
        yield
    except ContractLogicError as error:
        raise ContractRefused(str(error.data or error.message or error)) from error
    except (Web3Exception, RequestException) as error:
        if "insufficient funds" in str(error).lower():
            raise GasAccountEmpty(
                f"the account cannot pay for its transaction: {error}",
                fix="send native coins of the EVM chain to it",
            ) from error
        raise TransientError(f"EVM RPC: {error}") from error


def verify_chain(web3: Web3, chain_id: int) -> Web3:
    """Return web3, ready for chains with long extra data; raises WrongNetwork."""
    web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    with translated_errors():
        found = web3.eth.chain_id
    if found != chain_id:
        raise WrongNetwork(
            f"the EVM RPC serves chain {found}, not {chain_id}",
            fix="use the RPC URL of the right chain",
        )
    return web3


class Web3Rpc:
    """The `Rpc` of a web3 connection; a devnet chain may be asked for a block after sending."""

    def __init__(self, web3: Web3, *, mine_at_once: bool = False) -> None:
        """`mine_at_once` is left alone by chains that know no such method."""
        self._web3 = web3
        self._mine_at_once = mine_at_once

    def call(self, method: str, *parameters: Any) -> Any:
        """Return the result; raises RpcRefused for an error answer and TransientError for none."""
        try:
            answer = self._web3.provider.make_request(RPCEndpoint(method), list(parameters))
        except (Web3Exception, RequestException) as error:
            raise TransientError(f"EVM RPC: {error}") from error
        problem = answer.get("error")
        if problem is not None:
            raise refused(problem if isinstance(problem, dict) else {"message": str(problem)})
        if method == "eth_sendRawTransaction" and self._mine_at_once:
            mine_now(self._web3)
        return answer.get("result")


def account_of(key: PrivateKey) -> Any:
    """Return eth-account's signer for a key."""
    return Account.from_key(key.secret)


def mine_now(web3: Web3) -> None:
    """Ask a devnet chain for a block at once; chains that know no such method are left alone."""
    web3.provider.make_request("evm_mine", [])


def fee_fields(web3: Web3) -> dict[str, int]:
    """Return the fee fields of an EIP-1559 transaction with room for a rising base fee."""
    base_fee = int(web3.eth.get_block("latest").get("baseFeePerGas", 0))
    tip = int(web3.eth.max_priority_fee)
    return {"maxPriorityFeePerGas": tip, "maxFeePerGas": 2 * base_fee + tip}
