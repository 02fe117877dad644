"""Emulate COTI's MPC precompile (address 0x64) on the devnet's chain.

Rule: an EMULATION for development and tests: contracts, wallets and fees behave as published, and
nothing is secret, because everybody knows the keys.

Spec: docs/spec/confidential.md §5
Deviations: calls work in `eth_call` too, where COTI's results mean nothing.
"""

from __future__ import annotations

from typing import Any

from eth.exceptions import Revert
from eth.vm.forks.paris import ParisVM
from eth.vm.forks.paris.computation import ParisComputation
from eth.vm.forks.paris.state import ParisState
from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from contracts.artifact import load_artifact
from contracts.chain.mpc_operations import GAS, GAS_OTHER, OPERATIONS
from contracts.chain.mpc_values import MPC_ADDRESS, MpcCall
from contracts.confidential_cipher import ONBOARDING

__all__ = ["MPC_ADDRESS", "MpcVM", "genesis_accounts"]


class MpcComputation(ParisComputation):  # type: ignore[misc]
    """Paris, with Python behind one address."""

    @classmethod
    def apply_computation(
        cls, state: Any, message: Any, transaction_context: Any, parent_computation: Any = None
    ) -> Any:
        """Run a message; those to the precompile here."""
        if message.code_address != MPC_ADDRESS:
            return super().apply_computation(
                state, message, transaction_context, parent_computation
            )
        with cls(state, message, transaction_context) as computation:
            _answer(computation, parent_computation)
        return computation


class MpcState(ParisState):  # type: ignore[misc]
    """Paris' state with our computation."""

    computation_class = MpcComputation


class MpcVM(ParisVM):  # type: ignore[misc]
    """Paris with the precompile; genesis needs `genesis_accounts`."""

    _state_class = MpcState


def genesis_accounts() -> dict[bytes, dict[str, Any]]:
    """Return the precompile's account and COTI's onboarding contract, both where COTI has them.

    Nonce and code keep the precompile's storage from being cleared as that of an empty account.
    """
    onboarding = load_artifact("Onboarding").deployed_bytecode
    return {
        MPC_ADDRESS: {"balance": 0, "nonce": 1, "code": b"\xfe", "storage": {}},
        ONBOARDING: {"balance": 0, "nonce": 1, "code": onboarding, "storage": {}},
    }


def _answer(computation: Any, parent: Any) -> None:
    """Run one operation; whatever it is asked wrongly reverts without data, as on COTI."""
    request = bytes(computation.msg.data)
    found = OPERATIONS.get(request[:4])
    if found is None:
        raise Revert(b"")
    name, types, function = found
    computation.consume_gas(GAS.get(name, GAS_OTHER), f"MPC {name}")
    try:
        arguments = decode(types, request[4:])
    except (DecodingError, OverflowError):
        raise Revert(b"") from None
    out_types, values = function(MpcCall(computation, parent), *arguments)
    computation.output = encode(out_types, values)
