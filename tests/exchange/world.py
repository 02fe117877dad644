"""A small exchange for tests: genesis, funded traders, blocks on demand, invariants checked.

Rule: blocks go through `exchange.execute` with really signed actions unless a test says otherwise.
Spec: docs/spec/exchange.md
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from exchange.actions import (
    Action,
    AnyOp,
    Attest,
    Deposit,
    Open,
    Place,
    RegistryEvent,
    SignedAction,
    VerifiedAction,
    compute_commit_hash,
    compute_window_hash,
    encode_amount,
    sign,
    verify,
)
from exchange.conservation import verify_books, verify_conservation, verify_holds
from exchange.execute import BlockInput, execute
from exchange.genesis import AssetConfig, ExchangeGenesis, MarketConfig
from exchange.outcome import Outcome
from exchange.state import State
from primitives.eip712 import network_domain
from primitives.keccak import keccak256
from primitives.secp256k1 import PrivateKey

NETWORK_ID = keccak256(b"test network")
DOMAIN = network_domain(NETWORK_ID)
VAULT = b"\x51" * 20
START_MS = 1_700_000_000_000
QUOTE, BASE, OTHER = 0, 1, 2


@cache
def make_key(name: str) -> PrivateKey:
    """The same key for the same name; made once, for that costs more than a small block."""
    return PrivateKey(keccak256(name.encode()))


def make_genesis(*, markets: int = 1, **market: object) -> ExchangeGenesis:
    """Three assets; market n trades asset 1 (lot 10) against asset 0 (tick 1)."""
    options: dict[str, object] = {
        "base": BASE,
        "quote": QUOTE,
        "tick": 1,
        "lot": 10,
        "reference_price": 1_000,
    }
    exchange = {
        name: market.pop(name)
        for name in (
            "open_window_ms",
            "checkpoint_interval",
            "actions_per_account_block",
            "orders_per_account_market",
            "volume",
            "allowance",
            "vault_notice_ms",
            "builder_fee_ppm_max",
            "freeze_after_ms",
        )
        if name in market
    }
    exchange.setdefault("freeze_after_ms", 0)  # time flies in tests
    options.update(market)
    return ExchangeGenesis(
        assets=tuple(
            AssetConfig(
                name=name,
                decimals=6,
                chain_id=31337,
                vault="0x" + VAULT.hex(),
                token="0x" + bytes([i + 1] * 20).hex(),
            )
            for i, name in enumerate(("USDX", "WETH", "XOM"))
        ),
        markets=tuple(
            MarketConfig(name=f"M{i}-USDX", **options)  # type: ignore[arg-type]
            for i in range(markets)
        ),
        **exchange,  # type: ignore[arg-type]
    )


class World:
    """Four validators, named traders, one state."""

    def __init__(self, genesis: ExchangeGenesis | None = None) -> None:
        self.genesis = genesis or make_genesis()
        self.state = State(self.genesis)
        self.validators = [make_key(f"validator {i}") for i in range(4)]
        self.committee = tuple((v.address, 1, v.address) for v in self.validators)
        self.time_ms = START_MS
        self.nonce = START_MS
        self.outcomes: list[Outcome] = []
        self.window_hash = bytes(32)
        self.deposit_id = 0
        self.window = 0
        self.vault = VAULT
        self.check = True
        self.addresses: dict[str, bytes] = {}

    def act(
        self,
        trader: str | PrivateKey,
        *ops: AnyOp,
        sub: int = 0,
        account: bytes | None = None,
        atomic: bool = False,
        nonce: int | None = None,
        deadline: int | None = None,
    ) -> SignedAction:
        key = make_key(trader) if isinstance(trader, str) else trader
        if nonce is None:
            self.nonce += 1
            nonce = self.nonce
        if deadline is None:
            deadline = nonce + 86_400_000
        owner = key.address if account is None else account
        return sign(Action(DOMAIN, owner, sub, nonce, deadline, atomic, ops), key)

    def quick(self, trader: str, *ops: AnyOp, sub: int = 0, atomic: bool = False) -> VerifiedAction:
        """An action as if verified: for tests with many blocks and nothing to say on signatures."""
        self.nonce += 1
        nonce = self.nonce
        owner = self.addresses.get(trader)
        if owner is None:
            owner = self.addresses[trader] = make_key(trader).address
        action = Action(DOMAIN, owner, sub, nonce, nonce + 80_000_000, atomic, ops)
        return VerifiedAction(keccak256(nonce.to_bytes(8, "big")), 0, action, owner)

    def block(
        self,
        *actions: SignedAction | VerifiedAction,
        gap_ms: int = 100,
        executed: int | None = None,
        proposer: int | None = None,
        seal: bool = False,
        block_hash: bytes | None = None,
    ) -> Outcome:
        height = self.state.height + 1
        self.time_ms += gap_ms
        ready = tuple(verify(a, DOMAIN) if isinstance(a, SignedAction) else a for a in actions)
        block = BlockInput(
            height=height,
            time_ms=self.time_ms,
            block_hash=block_hash or keccak256(b"block" + height.to_bytes(8, "big")),
            proposer=height % 4 if proposer is None else proposer,
            executed_height=max(0, height - 2) if executed is None else executed,
            is_seal=seal,
            committee=self.committee,
            actions=ready,
        )
        outcome = execute(self.state, block)
        self.outcomes.append(outcome)
        if self.check:
            verify_conservation(self.state)
            verify_holds(self.state)
            verify_books(self.state)
        return outcome

    def attest(
        self, *deposits: tuple[bytes, int, int], events: tuple[RegistryEvent, ...] = ()
    ) -> list[SignedAction]:
        """Actions by which three of four validators attest deposits of (owner, asset, amount)."""
        items = []
        for owner, asset, amount in deposits:
            token = bytes([asset + 1] * 20)
            items.append(Deposit(self.deposit_id, owner, token, encode_amount(amount)))
            self.deposit_id += 1
        self.window += 1
        op = Attest(
            31337,
            self.vault,
            self.window,
            keccak256(b"evm"),
            self.window_hash,
            tuple(items),
            events,
        )
        self.window_hash = compute_window_hash(op)
        return [self.act(validator, op) for validator in self.validators[:3]]

    def fund(self, *names: str, quote: int = 10**12, base: int = 10**12) -> Outcome:
        deposits = []
        for name in names:
            owner = make_key(name).address
            deposits += [(owner, QUOTE, quote), (owner, BASE, base)]
        return self.block(*self.attest(*[d for d in deposits if d[2]]))

    def balance(self, trader: str, asset: int, sub: int = 0) -> tuple[int, int]:
        account = self.state.by_address.get(make_key(trader).address)
        entry = None if account is None else account.get_balance(sub, asset)
        return (0, 0) if entry is None else (entry.free, entry.held)

    def insurance(self, asset: int) -> int:
        entry = self.state.accounts[0].get_balance(0, asset)
        return 0 if entry is None else entry.free

    def number(self, trader: str) -> int:
        return self.state.by_address[make_key(trader).address].number

    def hash_commit(
        self, trader: str, orders: Sequence[Place], salt: bytes, nonce: int, market: int = 0
    ) -> bytes:
        owner = make_key(trader).address
        return compute_commit_hash(DOMAIN, owner, market, nonce, orders, salt)

    def opening(self, commit_hash: bytes, orders: Sequence[Place], salt: bytes) -> Open:
        return Open(0, commit_hash, tuple(orders), salt)
