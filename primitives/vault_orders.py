"""What owners of tokens and withdrawals sign so that anybody may bring it to a vault.

Rule: each is bound to one network, chain and vault and counts once; whoever brings it can alter
nothing and gets the fee that was signed. Nothing here is sent anywhere.
Spec: docs/spec/settlement.md §3, §5; ERC-2612 (permits). Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from primitives.abi import encode_words
from primitives.eip712 import StructType, network_domain, typed_digest
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

DEPOSIT_TYPE: Final = StructType(
    "DepositOrder(address depositor,address token,uint256 amount,uint256 fee,address beneficiary,"
    "uint256 nonce,uint256 deadline,uint256 chainId,address vault)"
)
CLAIM_FEE_TYPE: Final = StructType(
    "ClaimFee(uint32 index,uint256 fee,uint256 deadline,uint256 chainId,address vault)"
)
PERMIT_TYPEHASH: Final = keccak256(
    b"Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositOrder:
    """A deposit, as its owner signs it."""

    depositor: bytes
    token: bytes
    amount: int  # atoms taken from the depositor
    fee: int  # atoms of them for whoever brings the order
    beneficiary: bytes  # is credited with the rest
    nonce: int  # equal orders need different ones
    deadline_s: int  # EVM time, seconds

    def values(self) -> tuple[bytes, bytes, int, int, bytes, int, int]:
        """Return the values in the order in which they are typed."""
        return (
            self.depositor,
            self.token,
            self.amount,
            self.fee,
            self.beneficiary,
            self.nonce,
            self.deadline_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFee:
    """What the receiver of a withdrawal promises to whoever brings it."""

    index: int  # of the withdrawal
    atoms: int  # at most its amount
    deadline_s: int  # EVM time, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """A token's own permit for the vault (ERC-2612); `v` zero stands for none."""

    value: int = 0  # atoms
    deadline_s: int = 0
    v: int = 0
    r: bytes = bytes(32)
    s: bytes = bytes(32)


NO_PERMIT: Final = Permit()


def compute_deposit_digest(
    order: DepositOrder, *, network_id: bytes, chain_id: int, vault: bytes
) -> bytes:
    """Compute what the depositor signs."""
    struct_hash = DEPOSIT_TYPE.hash(*order.values(), chain_id, vault)
    return typed_digest(network_domain(network_id), struct_hash)


def compute_claim_fee_digest(
    fee: ClaimFee, *, network_id: bytes, chain_id: int, vault: bytes
) -> bytes:
    """Compute what the receiver of a withdrawal signs."""
    struct_hash = CLAIM_FEE_TYPE.hash(fee.index, fee.atoms, fee.deadline_s, chain_id, vault)
    return typed_digest(network_domain(network_id), struct_hash)


def sign_permit(
    key: PrivateKey, *, domain: bytes, vault: bytes, value: int, nonce: int, deadline_s: int
) -> Permit:
    """Let the vault take `value` atoms; `domain` and `nonce` are what the token answers."""
    struct = keccak256(PERMIT_TYPEHASH + encode_words(key.address, vault, value, nonce, deadline_s))
    signature = key.sign(keccak256(b"\x19\x01" + domain + struct))
    return Permit(
        value=value,
        deadline_s=deadline_s,
        v=signature[64],
        r=signature[:32],
        s=signature[32:64],
    )
