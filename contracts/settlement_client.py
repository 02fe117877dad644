"""Talk to one vault: status, deposits, checkpoints, withdrawals.

Rule: every call is idempotent and blocks; a node runs it in a thread and never waits for it in its
vote loop. The chain id and the vault's network are checked before anything else is done.

Spec: docs/spec/settlement.md §3-§6, §9
Deviations: none
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from contracts.artifact import topics
from contracts.claim_fees import encode_withdraw_for_fee
from contracts.contract_calls import TOKEN, ContractCalls
from contracts.decisions import Decision, encode_decide
from contracts.deposit_orders import NATIVE, encode_deposit_order
from contracts.errors import ContractRefused
from contracts.escape import EscapeClaim, RefundClaim, encode_escape, encode_refund
from contracts.limits import (
    CHECKPOINT_GAS_BASE,
    CHECKPOINT_GAS_MAX,
    CHECKPOINT_GAS_PER_FEE,
    CHECKPOINT_GAS_PER_HEADER,
    CHECKPOINT_GAS_PER_MEMBER,
    CHECKPOINT_GAS_PER_SIGNATURE,
    DEPOSIT_ORDER_GAS,
    DEPOSITS_PER_WINDOW_MAX,
    ESCAPE_GAS,
    ESCAPE_GAS_PER_FEE,
    FEE_CALLDATA_BYTES,
    NOTICE_GAS,
    SETTLE_FEES_GAS,
    TOKEN_ACCOUNT_WORDS,
    WINDOW_BLOCKS,
    WITHDRAW_GAS,
)
from contracts.registry_events import (
    CHANGED,
    REGISTRY,
    ValidatorChange,
    decode_validator_change,
    order_changes,
)
from contracts.rpc import Rpc
from contracts.rpc_values import (
    data,
    parse_data,
    parse_list,
    parse_object,
    parse_quantity,
    quantity,
)
from contracts.settlement_calls import (
    WORD,
    as_integer,
    decode_checkpoint,
    decode_deposit,
    decode_fee_split,
    encode_boundary,
    encode_checkpoint,
    encode_view,
    encode_withdraw,
)
from contracts.settlement_types import (
    AcceptedCheckpoint,
    CheckpointSubmission,
    Closing,
    CommitteeMember,
    Deposit,
    DepositWindow,
    FeeSplit,
    Submission,
    TokenStatus,
    VaultStatus,
    WithdrawalClaim,
)
from contracts.transactor import Transactor
from primitives.address import to_checksum
from primitives.errors import TransientError, WrongNetwork
from primitives.vault_orders import ClaimFee, DepositOrder, Permit, compute_deposit_digest

VAULT: Final = "Settlement"


class SettlementClient:
    """One vault on one EVM chain. `transactor` None makes a client that only reads.

    `vault` is its address, `calls` what it is called with.
    """

    def __init__(
        self,
        rpc: Rpc,
        *,
        chain_id: int,
        vault: bytes,
        network_id: bytes,
        transactor: Transactor | None = None,
        confirmations: int = 1,
        window_blocks: int = WINDOW_BLOCKS,
    ) -> None:
        """Nothing is sent before `connect` or the first call."""
        self.calls = ContractCalls(rpc, transactor)
        self._chain_id = chain_id
        self.vault = vault
        self._network_id = network_id
        self._transactor = transactor
        self._confirmations = confirmations
        self._window_blocks = window_blocks
        self._connected = False
        self._distributor = b""

    # --- connection --------------------------------------------------------------------------

    def connect(self) -> None:
        """Check that the RPC serves our chain and that our vault is there.

        Raises WrongNetwork if not, TransientError if it cannot be told now.
        """
        self.verify_chain()
        found = self._chain_id
        if not parse_data(self.calls.request("eth_getCode", data(self.vault), "latest")):
            raise WrongNetwork(
                f"there is no vault at {to_checksum(self.vault)} on chain {found}",
                fix="use the network file of the network that you want to join",
            )
        if self._view_words(1, "networkId")[0] != self._network_id:
            raise WrongNetwork(
                f"the vault at {to_checksum(self.vault)} belongs to another network",
                fix="use the network file of the network that you want to join",
            )
        self._distributor = self._view_words(1, "distributor")[0][12:]
        self._connected = True

    def verify_chain(self) -> None:
        """Check that the RPC serves our chain now. Raises WrongNetwork, TransientError.

        Vaults of several chains may have one address, so what was read elsewhere looks like ours.
        """
        found = parse_quantity(self.calls.request("eth_chainId"))
        if found != self._chain_id:
            raise WrongNetwork(
                f"the EVM RPC serves chain {found}, this network settles on {self._chain_id}",
                fix="set the EVM RPC URL to a node of the right chain",
            )

    def _ready(self) -> None:
        """Connect once before the first use."""
        if not self._connected:
            self.connect()

    # --- reading -----------------------------------------------------------------------------

    def head(self) -> tuple[int, bytes]:
        """Return number and hash of the newest EVM block; raises TransientError."""
        block = parse_object(self.calls.request("eth_getBlockByNumber", "latest", False))
        return parse_quantity(block.get("number")), parse_data(block.get("hash"), 32)

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash of an EVM block, or None if there is none yet."""
        block = self.calls.request("eth_getBlockByNumber", quantity(number), False)
        return None if block is None else parse_data(parse_object(block).get("hash"), 32)

    def status(self) -> VaultStatus:
        """Return what the vault has accepted; raises TransientError, WrongNetwork."""
        self._ready()
        number, _ = self.head()
        at = quantity(number)
        words = self._view_words(7, "checkpoint", at=at)
        return VaultStatus(
            evm_block=number,
            epoch=as_integer(self._view_words(1, "epoch", at=at)[0]),
            committee_hash=self._view_words(1, "committeeHash", at=at)[0],
            executed_height=as_integer(words[0]),
            block_height=as_integer(words[1]),
            accepted_at_s=as_integer(words[2]),
            checkpoints=as_integer(words[3]),
            state_root=words[4],
            block_hash=words[5],
            snapshot_height=as_integer(self._view_words(1, "snapshotHeight", at=at)[0]),
            snapshot_digest=self._view_words(1, "snapshotDigest", at=at)[0],
            deposits=as_integer(self._view_words(1, "depositCount", at=at)[0]),
        )

    def executed_height(self) -> int:
        """Return the executed height of the newest accepted checkpoint, 0 before the first."""
        self._ready()
        return as_integer(self._view_words(7, "checkpoint")[0])

    def epoch(self) -> int:
        """Return the epoch whose committee the vault follows."""
        self._ready()
        return as_integer(self._view_words(1, "epoch")[0])

    def state_root_at(self, executed_height: int) -> bytes:
        """Return the root that the vault has accepted for a height, zero if it has none."""
        self._ready()
        return self._view_words(1, "stateRootAt", executed_height)[0]

    def succession(self) -> tuple[bytes, int]:
        """Return the vault that the committee has announced as the next one, and from when on it
        can be handed funds, EVM seconds; zeros if none is announced.
        """
        self._ready()
        successor = self._view_words(1, "successor")[0][12:]
        return successor, as_integer(self._view_words(1, "successorAt")[0])

    def token_status(self, token: bytes) -> TokenStatus:
        """Return the vault's totals and balance of a token, all read at one EVM block."""
        self._ready()
        at = quantity(self.head()[0])
        words = self._view_words(TOKEN_ACCOUNT_WORDS, "tokenAccount", token, at=at)
        return TokenStatus(
            listed=as_integer(words[0]) == 1,
            deposited=as_integer(words[4]),
            withdrawn=as_integer(words[5]),
            fees_certified=as_integer(words[6]),
            fees_settled=as_integer(words[7]),
            released=as_integer(words[8]),
            balance=self.held(token, at),
            liabilities=as_integer(self._view_words(1, "liabilities", token, at=at)[0]),
        )

    def held(self, token: bytes, at: str = "latest") -> int:
        """Return what the vault holds of a token, or of the chain's coin, atoms."""
        if token == NATIVE:
            return parse_quantity(self.calls.request("eth_getBalance", data(self.vault), at))
        return as_integer(self.calls.words(TOKEN, token, 1, "balanceOf", self.vault, at=at)[0])

    def is_paid(self, index: int) -> bool:
        """Return whether a withdrawal has been paid."""
        self._ready()
        return as_integer(self._view_words(1, "isPaid", index)[0]) == 1

    def deposits_in(
        self, first_block: int, last_block: int, ids: range | None = None
    ) -> tuple[Deposit, ...]:
        """Return the deposits of a range of EVM blocks in order of their ids.

        Anybody can make more of them than one answer holds, so whoever wants certain ones names
        their `ids`. Raises TransientError for an answer that is not one gapless run of ids.
        """
        self._ready()
        found = self._logs(
            self.vault, "Settlement", "Deposited", first_block, last_block, numbers=ids
        )
        deposits = sorted((decode_deposit(log) for log in found), key=lambda one: one.id)
        if len(deposits) > DEPOSITS_PER_WINDOW_MAX:
            raise TransientError("EVM RPC: more deposits than the blocks can hold")
        for before, after in pairwise(deposits):
            if after.id != before.id + 1 or after.block_number < before.block_number:
                raise TransientError("EVM RPC: deposits are missing or out of order")
        if any(not first_block <= one.block_number <= last_block for one in deposits):
            raise TransientError("EVM RPC: deposits from other blocks than asked for")
        if ids is not None and any(one.id not in ids for one in deposits):
            raise TransientError("EVM RPC: other deposits than asked for")
        return tuple(deposits)

    def deposit_window(self, index: int, ids: range | None = None) -> DepositWindow | None:
        """Return an aligned window of EVM blocks, or None until it is confirmed.

        With `ids` those deposits of it, which begin with the first of them. Raises TransientError
        if the chain changed while it was read.
        """
        first = index * self._window_blocks
        last = first + self._window_blocks - 1
        if self.head()[0] < last + self._confirmations:
            return None
        before = self.block_hash(last)
        deposits = self.deposits_in(first, last, ids)
        if ids is not None and deposits and deposits[0].id != ids.start:
            raise TransientError("EVM RPC: the first of the deposits is missing")
        after = self.block_hash(last)
        if before is None or before != after:
            raise TransientError("the EVM chain was re-organised while a window was read")
        return DepositWindow(
            index=index, first_block=first, last_block=last, end_hash=before, deposits=deposits
        )

    def fee_splits(self, first_block: int, last_block: int) -> tuple[FeeSplit, ...]:
        """Return the fee splits published in a range of EVM blocks."""
        self._ready()
        found = self._logs(
            self._distributor, "FeeDistributor", "FeesSplit", first_block, last_block
        )
        return tuple(decode_fee_split(log) for log in found)

    def checkpoints_in(self, first_block: int, last_block: int) -> tuple[AcceptedCheckpoint, ...]:
        """Return the checkpoints accepted in a range of EVM blocks."""
        self._ready()
        found = self._logs(self.vault, "Settlement", "CheckpointAccepted", first_block, last_block)
        return tuple(decode_checkpoint(log) for log in found)

    def validator_changes(
        self, first_block: int, last_block: int, numbers: range | None = None
    ) -> tuple[ValidatorChange, ...]:
        """Return the registry's records of a range of EVM blocks in order of their numbers.

        With `numbers` only those, since there may be more than one answer holds.
        Nothing where the network's registry is on another chain. Raises TransientError for an
        answer that is not one gapless run of numbers.
        """
        self._ready()
        registry = self._view_words(1, "registry")[0][12:]
        if registry == bytes(20):
            return ()
        found = self._logs(registry, REGISTRY, CHANGED, first_block, last_block, numbers=numbers)
        changes = order_changes([decode_validator_change(log) for log in found])
        if any(not first_block <= one.block_number <= last_block for one in changes):
            raise TransientError("EVM RPC: changes of validators from other blocks than asked for")
        if numbers is not None and any(one.number not in numbers for one in changes):
            raise TransientError("EVM RPC: other changes of validators than asked for")
        return changes

    def is_closed(self) -> bool:
        """Return whether the vault has closed for ever and pays by its last root."""
        self._ready()
        return as_integer(self._view_words(1, "isClosed")[0]) == 1

    # --- writing -----------------------------------------------------------------------------

    def submit_checkpoint(self, submission: CheckpointSubmission) -> Submission:
        """Bring a checkpoint to the vault.

        Raises ContractRefused if the vault will never take it, TransientError, GasAccountEmpty and
        WrongNetwork.
        """
        self._ready()
        gas = (
            CHECKPOINT_GAS_BASE
            + CHECKPOINT_GAS_PER_HEADER * len(submission.headers)
            + CHECKPOINT_GAS_PER_MEMBER * len(submission.members)
            + CHECKPOINT_GAS_PER_SIGNATURE * submission.signers.bit_count()
            + CHECKPOINT_GAS_PER_FEE * len(submission.fees)
        )
        gas = min(gas, CHECKPOINT_GAS_MAX)
        return self._submit(
            encode_checkpoint(submission),
            gas=gas,
            is_done=lambda: self.executed_height() >= submission.executed_height,
        )

    def submit_boundary(
        self,
        submission: CheckpointSubmission,
        next_members: tuple[CommitteeMember, ...],
        next_epoch: int,
    ) -> Submission:
        """Bring the vault over the border into `next_epoch`; raises like `submit_checkpoint`."""
        self._ready()
        gas = (
            CHECKPOINT_GAS_BASE
            + CHECKPOINT_GAS_PER_HEADER * len(submission.headers)
            + CHECKPOINT_GAS_PER_MEMBER * (len(submission.members) + len(next_members))
            + CHECKPOINT_GAS_PER_SIGNATURE * submission.signers.bit_count()
        )
        return self._submit(
            encode_boundary(submission, next_members),
            gas=gas,
            is_done=lambda: self.epoch() >= next_epoch,
        )

    def withdraw(self, claim: WithdrawalClaim) -> Submission:
        """Claim a withdrawal for whom it names; raises like `submit_checkpoint`."""
        self._ready()
        return self._submit(
            encode_withdraw(claim), gas=WITHDRAW_GAS, is_done=lambda: self.is_paid(claim.index)
        )

    def withdraw_for_fee(
        self, claim: WithdrawalClaim, fee: ClaimFee, signature: bytes
    ) -> Submission:
        """Claim a withdrawal for the fee that its receiver signed; raises like
        `submit_checkpoint`.
        """
        self._ready()
        return self._submit(
            encode_withdraw_for_fee(claim, fee, signature),
            gas=WITHDRAW_GAS,
            is_done=lambda: self.is_paid(claim.index),
        )

    def deposit_by_order(self, order: DepositOrder, signature: bytes, permit: Permit) -> Submission:
        """Carry a signed deposit out for its fee; raises like `submit_checkpoint`."""
        self._ready()
        digest = compute_deposit_digest(
            order, network_id=self._network_id, chain_id=self._chain_id, vault=self.vault
        )
        return self._submit(
            encode_deposit_order(order, signature, permit),
            gas=DEPOSIT_ORDER_GAS,
            is_done=lambda: as_integer(self._view_words(1, "isOrderDone", digest)[0]) == 1,
        )

    def permit_terms(self, token: bytes, owner: bytes) -> tuple[bytes, int]:
        """Return a token's permit domain and the owner's next nonce; raises ContractRefused for a
        token without permits.
        """
        domain = self.calls.call(TOKEN, token, encode_view(TOKEN, "DOMAIN_SEPARATOR"))
        nonce = self.calls.call(TOKEN, token, encode_view(TOKEN, "nonces", owner))
        if len(domain) != WORD or len(nonce) != WORD:
            raise ContractRefused("the token has no permits")
        return domain, as_integer(nonce)

    def now_s(self) -> int:
        """Return the time of the newest EVM block, seconds."""
        head = parse_object(self.calls.request("eth_getBlockByNumber", "latest", False))
        return parse_quantity(head.get("timestamp"))

    def has_code(self, address: bytes) -> bool:
        """Return whether a contract lies at an address."""
        return bool(parse_data(self.calls.request("eth_getCode", data(address), "latest")))

    def gas_balance(self) -> int:
        """Return what the sending account holds for gas, wei; 0 for a client that only reads."""
        if self._transactor is None:
            return 0
        address = data(self._transactor.address)
        return parse_quantity(self.calls.request("eth_getBalance", address, "latest"))

    def open_escape(self) -> Submission:
        """Give notice that the vault is going to close; raises like `submit_checkpoint`."""
        self._ready()
        return self._submit(
            encode_view("Settlement", "openEscape"),
            gas=NOTICE_GAS,
            is_done=lambda: as_integer(self._view_words(1, "noticeAt")[0]) != 0,
        )

    def escape(self, claim: EscapeClaim) -> Submission:
        """Have a balance of the last root paid to its owner; raises like `submit_checkpoint`."""
        self._ready()
        key = claim.account << 16 | claim.entry
        return self._submit(
            encode_escape(claim, claim.owner),
            gas=ESCAPE_GAS + ESCAPE_GAS_PER_FEE * len(claim.fees),
            is_done=lambda: as_integer(self._view_words(1, "isEscaped", key)[0]) == 1,
        )

    def refund(self, claim: RefundClaim) -> Submission:
        """Have an uncredited deposit paid back; raises like `submit_checkpoint`."""
        self._ready()
        return self._submit(
            encode_refund(claim, claim.depositor),
            gas=ESCAPE_GAS + ESCAPE_GAS_PER_FEE * len(claim.cursors),
            is_done=lambda: self._is_refunded(claim.id),
        )

    def pay(self, kind: str, number: int, payload: bytes) -> Submission:
        """Bring calldata made earlier for a `balance`, `refund` or `withdrawal`.

        `number` is the key of the entry (account · 2^16 + position), the deposit's id or the
        withdrawal's index. Raises like `submit_checkpoint`.
        """
        self._ready()
        is_done = {
            "balance": lambda: as_integer(self._view_words(1, "isEscaped", number)[0]) == 1,
            "refund": lambda: self._is_refunded(number),
            "withdrawal": lambda: self.is_paid(number),
        }[kind]
        gas = ESCAPE_GAS + ESCAPE_GAS_PER_FEE * (len(payload) // FEE_CALLDATA_BYTES)
        return self._submit(payload, gas=gas, is_done=is_done)

    def closing(self) -> Closing:
        """Return how far the vault is on its way to close for ever."""
        self._ready()
        head = parse_object(self.calls.request("eth_getBlockByNumber", "latest", False))
        return Closing(
            now_s=parse_quantity(head.get("timestamp")),
            accepted_at_s=as_integer(self._view_words(7, "checkpoint")[2]),
            notice_at_s=as_integer(self._view_words(1, "noticeAt")[0]),
            closed=self.is_closed(),
        )

    def _is_refunded(self, deposit: int) -> bool:
        """Whether a deposit was taken once and is remembered no more."""
        is_known = as_integer(self._view_words(1, "depositCount")[0]) > deposit
        return is_known and self._view_words(1, "depositHash", deposit)[0] == bytes(32)

    def decision_terms(self) -> tuple[int, int, int]:
        """Return (epoch of the committee that decides, next nonce, EVM time in seconds)."""
        self._ready()
        epoch = as_integer(self._view_words(1, "epoch")[0])
        return epoch, as_integer(self._view_words(1, "decisionCount")[0]), self.now_s()

    def decide(
        self,
        decision: Decision,
        signatures: Mapping[int, bytes],
        members: Sequence[CommitteeMember],
    ) -> Submission:
        """Bring a decision with signatures by seat; raises like `submit_checkpoint`.

        A decision whose nonce has been used is done, by whatever had that nonce.
        """
        self._ready()
        gas = (
            CHECKPOINT_GAS_BASE
            + CHECKPOINT_GAS_PER_MEMBER * len(members)
            + CHECKPOINT_GAS_PER_SIGNATURE * len(signatures)
        )
        return self._submit(
            encode_decide(decision, signatures, members),
            gas=gas,
            is_done=lambda: as_integer(self._view_words(1, "decisionCount")[0]) > decision.nonce,
        )

    def has_deferred_fees(self, token: bytes) -> bool:
        """Return whether the treasuries' shares of a token wait for `settle_fees`."""
        self._ready()
        words = self._view_words(TOKEN_ACCOUNT_WORDS, "tokenAccount", token)
        return as_integer(words[7]) < as_integer(words[6])

    def settle_fees(self, token: bytes) -> Submission:
        """Pay fee shares that their checkpoint could not; raises like `submit_checkpoint`."""
        self._ready()

        def is_done() -> bool:
            status = self.token_status(token)
            return status.fees_settled == status.fees_certified

        return self._submit(
            encode_view("Settlement", "settleFees", token), gas=SETTLE_FEES_GAS, is_done=is_done
        )

    def _submit(self, payload: bytes, *, gas: int, is_done: Callable[[], bool]) -> Submission:
        """Have the vault do something once."""
        return self.calls.submit_once(VAULT, self.vault, payload, gas=gas, is_done=is_done)

    def _view_words(
        self, count: int, function: str, *arguments: int | bytes, at: str = "latest"
    ) -> tuple[bytes, ...]:
        """The words that a view of the vault answers."""
        return self.calls.words(VAULT, self.vault, count, function, *arguments, at=at)

    def _logs(
        self,
        emitter: bytes,
        contract: str,
        event: str,
        first_block: int,
        last_block: int,
        *,
        numbers: range | None = None,
    ) -> list[Any]:
        """eth_getLogs for one event of one contract; `numbers` are its first argument's."""
        wanted: list[Any] = [data(topics(contract)[event])]
        if numbers is not None:
            wanted.append([data(one.to_bytes(WORD, "big")) for one in numbers])
        query = {
            "address": data(emitter),
            "topics": wanted,
            "fromBlock": quantity(first_block),
            "toBlock": quantity(last_block),
        }
        return parse_list(self.calls.request("eth_getLogs", query))
