"""The exchange's own roots, fees and proofs are what the vault takes: deposit, trade, withdraw."""

from __future__ import annotations

from contracts.escape import EscapeClaim, RefundClaim, VaultCursor
from contracts.settlement_types import StateWords, Submission, WithdrawalClaim
from exchange.actions import GTC, Attest, Deposit, Place, Withdraw, encode_amount
from exchange.genesis import AssetConfig, ExchangeGenesis, MarketConfig
from exchange.ledger import REWARDS
from exchange.outcome import FROM_REWARDS, Outcome, StateRoots
from exchange.roots import escape_proof, withdrawal_proof
from primitives.address import to_checksum
from tests.contracts.harness import CHAIN_ID, World
from tests.exchange.world import World as Exchange
from tests.exchange.world import make_key

USDX, XOM, WETH, WBTC = range(4)
BUY, SELL = 0, 1
NO_PREVENTION = 0


def make_exchange(world: World) -> Exchange:
    """An exchange whose assets are the vault's tokens, with one fair market WETH-USDX."""
    assets = tuple(
        AssetConfig(
            name=token.symbol,
            decimals=token.decimals,
            chain_id=CHAIN_ID,
            vault=to_checksum(world.vault),
            token=to_checksum(token.address),
        )
        for token in world.deployment.tokens
    )
    market = MarketConfig(
        name="WETH-USDX", base=WETH, quote=USDX, tick=1, lot=10**14, mode="fair",
        reference_price=300_000,
    )  # fmt: skip
    return Exchange(ExchangeGenesis(assets=assets, markets=(market,), checkpoint_interval=4))


def credit_deposits(world: World, exchange: Exchange, owners: dict[bytes, bytes]) -> None:
    """Attest everything deposited so far, as the validators' nodes do."""
    found = world.client.deposits_in(0, world.client.head()[0])
    op = Attest(
        CHAIN_ID,
        world.vault,
        1,
        world.client.head()[1],
        bytes(32),
        tuple(
            Deposit(one.id, one.beneficiary, one.token, encode_amount(one.amount)) for one in found
        ),
        (),
    )
    outcome = exchange.block(*(exchange.act(key, op) for key in exchange.validators[:3]))
    assert len(outcome.deposits) == len(found) == len(owners)


def settle(world: World, outcome: Outcome) -> None:
    """Bring the root after a block to the vault."""
    for token, total in zip(world.deployment.tokens, outcome.fee_totals, strict=True):
        world.fees[token.address] = total
    header = world.header(
        executed_height=outcome.height,
        state_root=outcome.state_root,
        fees_root=outcome.fees_root,
    )
    assert world.client.submit_checkpoint(world.submission(header)) is Submission.DONE


def state_words(roots: StateRoots) -> StateWords:
    """The exchange's words as the vault's client has them."""
    return StateWords(
        height=roots.height,
        accounts=roots.accounts,
        withdrawals=roots.withdrawals,
        deposits=roots.deposits,
        fills=roots.fills,
        effects=roots.effects,
        rest=roots.rest,
    )


def escape_claim(world: World, exchange: Exchange, owner: bytes, asset: int) -> EscapeClaim:
    """The claim of a balance against the exchange's newest root."""
    proof = escape_proof(exchange.state, owner, 0, asset)
    assert proof is not None
    return EscapeClaim(
        words=state_words(proof.words),
        account=proof.account,
        owner=proof.owner,
        rest_hash=proof.rest_hash,
        account_siblings=tuple(proof.account_siblings),
        entry=proof.entry,
        sub=proof.sub,
        asset=proof.asset,
        free=proof.free,
        held=proof.held,
        entry_siblings=tuple(proof.entry_siblings),
        fees=world.fee_totals(),
    )


def claim(world: World, exchange: Exchange, outcome: Outcome, position: int) -> WithdrawalClaim:
    """The claim of a withdrawal of this run against the root of a block."""
    withdrawal = [one for done in exchange.outcomes for one in done.withdrawals][position]
    proof = withdrawal_proof(exchange.state, withdrawal.index, outcome.withdrawal_count)
    return WithdrawalClaim(
        words=state_words(outcome.roots),
        index=withdrawal.index,
        token=world.deployment.tokens[withdrawal.asset].address,
        amount=withdrawal.amount,
        to=withdrawal.to,
        siblings=tuple(proof),
    )


def test_deposit_trade_checkpoint_withdraw(world: World) -> None:
    exchange = make_exchange(world)
    alice, bob = make_key("alice").address, make_key("bob").address
    weth, usdx = world.tokens["WETH"], world.usdx
    world.fund(usdx, 10**10)
    world.wallet.deposit(world.vault, usdx, 10**10, beneficiary=alice)
    world.fund(weth, 10**18)
    world.wallet.deposit(world.vault, weth, 10**18, beneficiary=bob)
    credit_deposits(world, exchange, {alice: usdx, bob: weth})

    # 3,000 USDX for one WETH: 10,000 lots at 300,000 USDX atoms each.
    exchange.block(exchange.act("bob", Place(0, SELL, 300_000, 10_000, GTC, NO_PREVENTION, 1)))
    outcome = exchange.block(
        exchange.act("alice", Place(0, BUY, 300_000, 10_000, GTC, NO_PREVENTION, 2))
    )
    assert sum(fill.size for fill in outcome.fills) == 10_000
    fees = outcome.fee_totals[USDX]
    assert fees == 3 * 10**9 * 30 // 10_000  # 10 + 20 basis points

    bought, _ = exchange.balance("alice", WETH)
    sold, _ = exchange.balance("bob", USDX)
    exchange.block(
        exchange.act("alice", Withdraw(WETH, encode_amount(bought), alice)),
        exchange.act("bob", Withdraw(USDX, encode_amount(sold), bob)),
    )
    outcome = exchange.block()
    settle(world, outcome)

    for position in (0, 1):
        proven = claim(world, exchange, outcome, position)
        assert world.client.withdraw(proven) is Submission.DONE
        assert world.refused_withdrawal(proven) == "AlreadyPaid"
    assert world.balance(weth, alice) == bought == 10**18
    assert world.balance(usdx, bob) == sold

    (split,) = world.client.fee_splits(0, world.client.head()[0])
    assert split.total == fees
    assert split.company == fees * 20 // 100
    assert split.development == fees * 10 // 100
    assert split.validators == fees - split.company - split.development
    shared = sum(exchange.state.fees_shared)
    assert shared <= split.validators
    status = world.client.token_status(usdx)
    assert status.balance == status.liabilities == 10**10 - sold - split.company - split.development
    world.assert_solvent()


def test_earlier_withdrawal_is_proven_by_a_later_root_with_other_leaves(world: World) -> None:
    exchange = make_exchange(world)
    alice = make_key("alice").address
    world.fund(world.usdx, 1_000)
    world.wallet.deposit(world.vault, world.usdx, 1_000, beneficiary=alice)
    credit_deposits(world, exchange, {alice: world.usdx})
    for amount in (1, 2, 3, 4, 5):
        exchange.block(exchange.act("alice", Withdraw(USDX, encode_amount(amount), alice)))
    outcome = exchange.outcomes[-1]
    exchange.block(exchange.act("alice", Withdraw(USDX, encode_amount(100), alice)))
    settle(world, outcome)
    for position in range(5):
        proven = claim(world, exchange, outcome, position)
        assert world.client.withdraw(proven) is Submission.DONE
    assert world.balance(world.usdx, alice) == 15


def test_exchange_that_falls_silent_pays_everybody_by_its_last_root(world: World) -> None:
    """Balances with orders open, a withdrawal in flight, an uncredited deposit: all are paid."""
    exchange = make_exchange(world)
    alice, bob = make_key("alice").address, make_key("bob").address
    weth, usdx = world.tokens["WETH"], world.usdx
    for token, amount, owner in ((usdx, 10**10, alice), (weth, 10**18, bob)):
        world.fund(token, amount)
        world.wallet.deposit(world.vault, token, amount, beneficiary=owner)
    credit_deposits(world, exchange, {alice: usdx, bob: weth})
    exchange.block(
        exchange.act("bob", Place(0, SELL, 300_000, 5_000, GTC, NO_PREVENTION, 1)),
        exchange.act("alice", Place(0, BUY, 300_000, 8_000, GTC, NO_PREVENTION, 2)),
    )
    exchange.block(exchange.act("alice", Withdraw(USDX, encode_amount(1_000), alice)))
    while not exchange.outcomes[-1].is_checkpoint:
        exchange.block()
    outcome = exchange.outcomes[-1]
    settle(world, outcome)
    assert exchange.balance("alice", USDX)[1] > 0  # an order is still open
    late = world.deposit(usdx, 77)
    client = world.client
    world.increase_time(7 * 24 * 3600 + 60)
    assert client.open_escape() is Submission.DONE
    assert client.open_escape() is Submission.ALREADY_DONE
    assert not client.is_closed()
    world.increase_time(2 * 24 * 3600)
    assert client.is_closed()

    shared = dict.fromkeys((USDX, WETH), 0)
    for account in exchange.state.accounts:
        for entry in account.entries:
            if entry.sub or not entry.free + entry.held or account.owner == bytes(20):
                continue
            proven = escape_claim(world, exchange, account.owner, entry.asset)
            assert client.escape(proven) is Submission.DONE
            assert client.escape(proven) is Submission.ALREADY_DONE
            shared[entry.asset] += entry.free + entry.held
            token = world.deployment.tokens[entry.asset].address
            assert world.balance(token, account.owner) >= entry.free + entry.held
    assert client.withdraw(claim(world, exchange, outcome, 0)) is Submission.DONE
    refund = RefundClaim(
        words=state_words(outcome.roots),
        cursors=(VaultCursor(chain_id=CHAIN_ID, vault=world.vault, credited=2),),
        id=late,
        token=usdx,
        depositor=world.wallet.address,
        beneficiary=world.wallet.address,
        amount=77,
    )
    assert client.refund(refund) is Submission.DONE
    assert client.refund(refund) is Submission.ALREADY_DONE
    assert world.balance(usdx, world.wallet.address) == 77
    assert client.token_status(weth).liabilities == 0
    unshared = client.token_status(usdx).liabilities  # what does not divide among validators
    assert 0 <= unshared < 10
    world.assert_solvent()


def test_minted_rewards_reach_the_payout_accounts_and_leave_by_the_vault(world: World) -> None:
    """Two days of checkpoints mint; the ledger shares what was minted; a validator takes it out."""
    exchange = make_exchange(world)
    exchange.block()
    world.increase_time(2 * 24 * 3600)
    settle(world, exchange.outcomes[-1])
    xom = world.tokens["XOM"]
    minted = world.view("OmniCoin", xom, "minted")
    assert minted > 0
    credit_deposits(world, exchange, {REWARDS: xom})
    while not exchange.outcomes[-1].is_checkpoint:
        exchange.block()
    shares = exchange.outcomes[-1].shares
    assert {share.source for share in shares} == {FROM_REWARDS}
    validators = [key.address for key in exchange.validators]
    got = [exchange.state.by_address[v].get_balance(0, XOM).free for v in validators]
    assert got == [share.amount for share in shares]
    assert minted - len(validators) < sum(got) <= minted

    out = Withdraw(XOM, encode_amount(got[0]), validators[0])
    exchange.block(exchange.act(exchange.validators[0], out))
    settle(world, exchange.outcomes[-1])
    proven = claim(world, exchange, exchange.outcomes[-1], 0)
    assert world.client.withdraw(proven) is Submission.DONE
    assert world.balance(xom, validators[0]) == got[0]
    world.assert_solvent()
