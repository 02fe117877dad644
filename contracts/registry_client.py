"""Talk to the validator registry: join, change keys and payout, leave, report conflicting votes.

Rule: every call is idempotent: look, try for free, send, look again. So whoever is interrupted
calls again and goes on from where the contract is.

Spec: docs/spec/settlement.md §9
Deviations: none
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from contracts.contract_calls import ContractCalls
from contracts.errors import ContractRefused
from contracts.limits import APPROVE_GAS, REGISTRY_GAS, REPORT_GAS
from contracts.registry_events import REGISTRY
from contracts.rpc import Rpc
from contracts.rpc_values import data, parse_data, parse_object, parse_quantity
from contracts.settlement_calls import as_integer, encode_view
from contracts.settlement_types import Submission
from contracts.transactor import Transactor
from primitives.abi import encode_words
from primitives.address import to_checksum
from primitives.eip712 import StructType, network_domain, typed_digest
from primitives.errors import WrongNetwork
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

HOT_KEY_TYPE: Final = StructType("HotKey(address owner,address registry,uint256 chainId)")
TOKEN: Final = "OmniCoin"
WORD = 32
SIGNATURE_BYTES = 65
NOBODY = bytes(20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A validator as the contract has it now."""

    owner: bytes
    hot_key: bytes
    services: int
    exiting: bool
    payout: bytes
    seated_epoch: int  # while exiting: newest epoch in whose committee it may have been
    network_key: bytes
    stake: int  # atoms
    exit_at_s: int  # when the stake can be taken out, EVM time; 0: not known yet, or not leaving
    is_active: bool  # bonded and not leaving


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedVote:
    """A consensus vote with its signature, as the contract reads it."""

    kind: int
    epoch: int
    view: int
    block_hash: bytes
    pending_hash: bytes
    signature: bytes

    def words(self) -> bytes:
        """The vote as static words."""
        return encode_words(self.kind, self.epoch, self.view, self.block_hash, self.pending_hash)


def compute_hot_key_digest(
    owner: bytes, *, network_id: bytes, chain_id: int, registry: bytes
) -> bytes:
    """Compute what a hot key signs to agree to serve an owner."""
    struct_hash = HOT_KEY_TYPE.hash(owner, registry, chain_id)
    return typed_digest(network_domain(network_id), struct_hash)


class RegistryClient:
    """The registry of one network. `transactor` None makes a client that only reads."""

    def __init__(
        self,
        rpc: Rpc,
        *,
        chain_id: int,
        registry: bytes,
        network_id: bytes,
        transactor: Transactor | None = None,
    ) -> None:
        """Nothing is sent before the first call."""
        self._calls = ContractCalls(rpc, transactor)
        self._chain_id = chain_id
        self._registry = registry
        self._network_id = network_id
        self._transactor = transactor
        self._token = b""

    @property
    def sender(self) -> bytes:
        """The account that sends: the owner of what it registers."""
        assert self._transactor is not None, "a client that only reads has no account"
        return self._transactor.address

    def connect(self) -> None:
        """Check chain, registry and network. Raises WrongNetwork, TransientError."""
        found = parse_quantity(self._calls.request("eth_chainId"))
        if found != self._chain_id:
            raise WrongNetwork(
                f"the EVM RPC serves chain {found}, the registry is on {self._chain_id}",
                fix="set the EVM RPC URL to a node of the right chain",
            )
        place = to_checksum(self._registry)
        if not parse_data(self._calls.request("eth_getCode", data(self._registry), "latest")):
            raise WrongNetwork(
                f"there is no registry at {place} on chain {found}",
                fix="use the network file of the network that you want to join",
            )
        if self._words(1, "domainSeparator")[0] != network_domain(self._network_id):
            raise WrongNetwork(
                f"the registry at {place} belongs to another network",
                fix="use the network file of the network that you want to join",
            )
        self._token = self._words(1, "token")[0][12:]

    # --- reading -----------------------------------------------------------------------------

    def find(self, owner: bytes) -> Registered | None:
        """Return an owner's validator. Raises TransientError, WrongNetwork."""
        self._ready()
        words = self._words(7, "validator", owner)
        if words[0][12:] == NOBODY:
            return None
        return Registered(
            owner=owner,
            hot_key=words[0][12:],
            services=as_integer(words[1]),
            exiting=as_integer(words[2]) == 1,
            payout=words[3][12:],
            seated_epoch=as_integer(words[4]),
            network_key=words[5],
            stake=as_integer(words[6]),
            exit_at_s=as_integer(self._words(1, "exitAt", owner)[0]),
            is_active=as_integer(self._words(1, "isActive", owner)[0]) == 1,
        )

    def owner_of(self, hot_key: bytes) -> bytes | None:
        """Return who has, or had, a hot key."""
        self._ready()
        owner = self._words(1, "ownerOf", hot_key)[0][12:]
        return None if owner == NOBODY else owner

    def is_punished(self, hot_key: bytes, epoch: int, view: int) -> bool:
        """Return whether an offence has been punished."""
        self._ready()
        offence = keccak256(encode_words(hot_key, epoch, view))
        return as_integer(self._words(1, "isPunished", offence)[0]) == 1

    def token_balance(self, owner: bytes) -> int:
        """Return how much XOM an account has, atoms."""
        self._ready()
        return self._token_word("balanceOf", owner)

    def now_s(self) -> int:
        """Return the time of the newest EVM block, seconds."""
        head = parse_object(self._calls.request("eth_getBlockByNumber", "latest", False))
        return parse_quantity(head.get("timestamp"))

    # --- the owner's calls; all raise ContractRefused, TransientError, GasAccountEmpty -----------

    def finish_left(self) -> None:
        """Bring what an earlier run left on its way to its end."""
        if self._transactor is not None:
            self._transactor.resume()

    def approve(self, amount: int) -> Submission:
        """Let the registry take stake from the sender."""
        self._ready()

        def is_done() -> bool:
            return self._token_word("allowance", self.sender, self._registry) >= amount

        payload = encode_view(TOKEN, "approve", self._registry, amount)
        return self._submit(payload, is_done, to=self._token, gas=APPROVE_GAS)

    def register(
        self, amount: int, hot_key: PrivateKey, network_key: bytes, services: int
    ) -> Submission:
        """Join with an approved stake; the hot key agrees by its signature."""
        proof = self._prove(hot_key)
        head = encode_words(amount, hot_key.address, network_key, services, 5 * WORD)
        payload = encode_view(REGISTRY, "register") + head + _bytes(proof)
        return self._submit(payload, lambda: self._has_key(hot_key.address))

    def add_stake(self, owner: bytes, amount: int, total: int) -> Submission:
        """Add approved tokens to a validator's stake, so that it is at least `total`."""

        def is_done() -> bool:
            found = self.find(owner)
            return found is not None and found.stake >= total

        return self._submit(encode_view(REGISTRY, "addStake", owner, amount), is_done)

    def change_hot_key(self, hot_key: PrivateKey) -> Submission:
        """Sign votes with another key from the next epoch's committee on."""
        proof = self._prove(hot_key)
        head = encode_words(hot_key.address, 2 * WORD)
        payload = encode_view(REGISTRY, "changeHotKey") + head + _bytes(proof)
        return self._submit(payload, lambda: self._has_key(hot_key.address))

    def change_payout(self, payout: bytes) -> Submission:
        """Have rewards credited to another ledger account."""
        payload = encode_view(REGISTRY, "changePayout", payout)
        return self._submit(payload, lambda: self._own().payout == payout)

    def change_services(self, network_key: bytes, services: int) -> Submission:
        """Change the network identity and the services."""
        payload = encode_view(REGISTRY, "changeServices", network_key, services)

        def is_done() -> bool:
            own = self._own()
            return (own.network_key, own.services) == (network_key, services)

        return self._submit(payload, is_done)

    def request_exit(self) -> Submission:
        """Ask to leave."""
        return self._submit(encode_view(REGISTRY, "requestExit"), lambda: self._own().exiting)

    def withdraw_stake(self) -> Submission:
        """Take the stake out after unbonding."""
        return self._submit(
            encode_view(REGISTRY, "withdrawStake"), lambda: self.find(self.sender) is None
        )

    # --- anybody's call ------------------------------------------------------------------------

    def report(self, hot_key: bytes, first: SignedVote, second: SignedVote) -> Submission:
        """Have two conflicting votes of a hot key punished; raises like the owner's calls."""
        position = 12 * WORD  # two votes of five words, two offsets
        tail = _bytes(first.signature)
        payload = (
            encode_view(REGISTRY, "reportEquivocation")
            + first.words()
            + encode_words(position)
            + second.words()
            + encode_words(position + len(tail))
            + tail
            + _bytes(second.signature)
        )

        def is_done() -> bool:
            return self.is_punished(hot_key, first.epoch, first.view)

        return self._submit(payload, is_done, gas=REPORT_GAS)

    # --- internal ------------------------------------------------------------------------------

    def _ready(self) -> None:
        if not self._token:
            self.connect()

    def _own(self) -> Registered:
        found = self.find(self.sender)
        if found is None:
            raise ContractRefused("NotRegistered", (int.from_bytes(self.sender, "big"),))
        return found

    def _has_key(self, hot_key: bytes) -> bool:
        found = self.find(self.sender)
        return found is not None and found.hot_key == hot_key

    def _prove(self, hot_key: PrivateKey) -> bytes:
        return hot_key.sign(
            compute_hot_key_digest(
                self.sender,
                network_id=self._network_id,
                chain_id=self._chain_id,
                registry=self._registry,
            )
        )

    def _token_word(self, function: str, *arguments: bytes) -> int:
        return as_integer(self._calls.words(TOKEN, self._token, 1, function, *arguments)[0])

    def _words(self, count: int, function: str, *arguments: int | bytes) -> tuple[bytes, ...]:
        return self._calls.words(REGISTRY, self._registry, count, function, *arguments)

    def _submit(
        self,
        payload: bytes,
        is_done: Callable[[], bool],
        *,
        to: bytes = b"",
        gas: int = REGISTRY_GAS,
    ) -> Submission:
        """Do something once."""
        self._ready()
        return self._calls.submit_once(
            REGISTRY, to or self._registry, payload, gas=gas, is_done=is_done
        )


def _bytes(value: bytes) -> bytes:
    """A signature as a dynamic argument's tail."""
    assert len(value) == SIGNATURE_BYTES, "only signatures are sent"
    return encode_words(len(value)) + value + bytes(-len(value) % WORD)
