"""Show what the EVM side has accepted, and where assets are.

Rule: amounts are decimal strings of atoms; what is settled was read from the chains.
Spec: docs/reference/api.md (Settlement). Deviations: none.
"""

from __future__ import annotations

from node.api.views import Address, Amount, Hex, View


class FeeSplit(View, frozen=True, kw_only=True):
    """Cumulative fees of one asset; the three shares add up to the total, exactly."""

    asset: int
    symbol: str
    total: Amount
    validators: Amount  # 70 %
    company: Amount  # 20 %
    development: Amount  # 10 %


class Checkpoint(View, frozen=True, kw_only=True):
    """One checkpoint that a vault has accepted."""

    chain_id: int
    vault: Address
    height: int
    state_root: Hex
    cid: str  # of its snapshot manifest; "" when it has none
    tx: Hex  # EVM transaction
    evm_block: int


class WithdrawalProof(View, frozen=True, kw_only=True):
    """Everything `Settlement.withdraw` wants."""

    index: int
    chain_id: int
    vault: Address
    token: Address
    amount: Amount
    to: Address
    height: int  # checkpoint the proof is made for
    count: int  # leaves under that root
    proof: tuple[Hex, ...]
    roots: tuple[Hex, ...]  # the words of the state root


class Withdrawal(View, frozen=True, kw_only=True):
    """One leaf of the withdrawals tree; `/v1/settlement/withdrawals/{index}/proof` claims it."""

    index: int
    chain_id: int
    vault: Address
    token: Address
    amount: Amount
    to: Address
    height: int  # of the block that made it


class Withdrawals(View, frozen=True, kw_only=True):
    """Newest first; pass the lowest index as `before` to get older ones."""

    withdrawals: tuple[Withdrawal, ...]


class VaultView(View, frozen=True, kw_only=True):
    """One vault contract and how far this node has seen it."""

    chain_id: int
    vault: Address
    block: int  # newest EVM block looked at
    deposits: int  # credited on the ledger
    online: bool
    checkpoints: int  # accepted by this vault
    height: int  # executed height of the newest of them; 0 = none
    archive: str  # CID of what proves every balance under its last root; empty = not here
    frozen: tuple[str, ...]  # why its assets are frozen; empty = they are not
    settled_height: int  # newest checkpoint that a quorum says it has accepted
    settled_ms: int  # block time at which that was known
    announced: Address  # successor by the contract; zero = none
    next_vault: Address  # where the ledger moves the assets, as decided; zero = nowhere
    move_at_ms: int  # when the assets move there, block time; 0 = nothing is decided
    moved_to: Address  # where they are since; zero = they are here
    move_round: int  # of the committee's words on a move


class LeftAsset(View, frozen=True, kw_only=True):
    """The closed account of an asset with a vault that it has left."""

    asset: int
    symbol: str
    chain_id: int
    vault: Address  # that it has left
    token: Address
    height: int  # of the ledger when it left
    owed: Amount  # what accounts had then: atoms to hand over to the next vault
    fees: Amount  # charged while it was there


class Settlement(View, frozen=True, kw_only=True):
    """What the EVM side has accepted."""

    checkpoints: int
    height: int  # of the newest accepted checkpoint; 0 = none
    state_root: Hex
    fees: tuple[FeeSplit, ...]  # as settled on chain at `height`
    ledger_fees: tuple[FeeSplit, ...]  # as charged on the ledger now
    vaults: tuple[VaultView, ...]
    withdrawals: int  # leaves in the withdrawals tree
    recent: tuple[Checkpoint, ...]  # newest first
    left: tuple[LeftAsset, ...]  # by past moves to other vaults
