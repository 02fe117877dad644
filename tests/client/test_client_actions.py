"""Actions are what they say, nonces rise, secrets stay secret until they are opened.

Rule: what is built here is checked with the exchange's own verifier.
Spec: docs/spec/actions.md. Deviations: none.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.actions import ActionBuilder, MarketTerms
from client.errors import ClientError
from client.keys import Credentials, make_grant, make_revoke
from exchange.actions import (
    BUY,
    IOC,
    POST_ONLY,
    SELL,
    TRADING_MASK,
    Cancel,
    Commit,
    Place,
    Transfer,
    Withdraw,
    compute_commit_hash,
    decode_action,
    encode_amount,
    verify,
)
from exchange.commits import compute_tier_atoms, split_tier
from exchange.reasons import Reason
from primitives.secp256k1 import PrivateKey

DOMAIN = b"\x0d" * 32
WALLET, SESSION = PrivateKey(b"\x01" * 32), PrivateKey(b"\x02" * 32)
NOW_MS = 1_790_000_000_000
TERMS = MarketTerms(id=3, tick=7, lot=100, taker_bps=20)


def make_builder(credentials=None, now=lambda: NOW_MS, **options):
    return ActionBuilder(
        domain=DOMAIN,
        credentials=credentials or Credentials.of_wallet(WALLET),
        clock=now,
        **options,
    )


def test_an_action_passes_the_exchanges_own_check():
    signed = make_builder().sign(Place(0, BUY, 5, 6), Cancel(0, 9))
    verified = verify(signed.envelope, DOMAIN)
    assert verified.error == Reason.OK
    assert verified.id == signed.id
    assert (verified.account, verified.signer) == (WALLET.address, WALLET.address)
    assert verified.ops == (Place(0, BUY, 5, 6), Cancel(0, 9))
    assert verified.nonce_ms == NOW_MS


def test_nonces_rise_even_if_the_clock_stands_still_or_goes_back():
    times = iter([NOW_MS, NOW_MS, NOW_MS - 500, NOW_MS + 10])
    builder = make_builder(now=lambda: next(times))
    nonces = [builder.sign(Cancel(0, 1)).nonce_ms for _ in range(4)]
    assert nonces == [NOW_MS, NOW_MS + 1, NOW_MS + 2, NOW_MS + 10]


def test_a_session_key_signs_trades_and_the_wallet_what_only_it_may():
    credentials = Credentials.of_wallet(WALLET).with_session(SESSION)
    builder = make_builder(credentials)
    assert verify(builder.sign(Cancel(0, 1)).envelope, DOMAIN).signer == SESSION.address
    for op in (
        make_grant(SESSION.address, NOW_MS + 1),
        make_revoke(SESSION.address),
        Withdraw(0, encode_amount(5), WALLET.address),
        Transfer(0, encode_amount(5), SESSION.address, 0),
    ):
        verified = verify(builder.sign(op).envelope, DOMAIN)
        assert (verified.error, verified.signer) == (Reason.OK, WALLET.address)


def test_without_the_wallet_nothing_is_withdrawn():
    builder = make_builder(Credentials.of_session(WALLET.address, SESSION))
    with pytest.raises(ClientError, match="wallet"):
        builder.sign(Withdraw(0, encode_amount(5), WALLET.address))


def test_an_action_has_1_to_64_operations_and_a_wallet_operation_is_alone():
    builder = make_builder()
    builder.sign(*[Cancel(0, n) for n in range(64)])
    for ops in ((), tuple(Cancel(0, n) for n in range(65))):
        with pytest.raises(ClientError):
            builder.sign(*ops)
    with pytest.raises(ClientError):
        builder.sign(make_revoke(SESSION.address), Cancel(0, 1))


def test_a_grant_allows_trading_and_lists_markets_in_order():
    grant = make_grant(SESSION.address, NOW_MS, markets=(3, 1, 3), notional_cap=10**30)
    assert grant.actions == TRADING_MASK
    assert grant.markets == (1, 3)
    assert int.from_bytes(grant.notional_cap, "big") == 10**30


def test_a_sealed_order_hides_price_and_size_until_it_is_opened():
    order = Place(3, BUY, 123_456, 77, IOC)
    sealed = make_builder().seal(TERMS, order)
    commit = decode_action(sealed.commit.payload).ops[0]
    assert isinstance(commit, Commit)
    for secret in ((123_456).to_bytes(4, "big"), sealed.opening.salt):
        assert secret not in sealed.commit.payload
    opened = compute_commit_hash(
        DOMAIN,
        WALLET.address,
        3,
        sealed.commit.nonce_ms,
        sealed.opening.orders,
        sealed.opening.salt,
    )
    assert opened == commit.commit_hash == sealed.opening.commit_hash
    assert sealed.opening.orders == (order,)


def test_salts_differ():
    builder = make_builder()
    order = Place(3, BUY, 5, 5, IOC)
    assert len({builder.seal(TERMS, order).opening.salt for _ in range(50)}) == 50


@given(st.integers(1, 10**9), st.integers(1, 10**6), st.sampled_from([BUY, SELL]))
def test_the_tier_covers_the_order_with_its_fee_and_is_the_smallest(price, size, side):
    sealed = make_builder().seal(TERMS, Place(3, side, price, size, IOC))
    commit = decode_action(sealed.commit.payload).ops[0]
    quote, base = split_tier(commit.hold, commit.tier)
    if side == BUY:
        need = price * size * 7 + -(-price * size * 7 * 20 // 10_000)
        tier, unit = quote, 7
        assert base == -1
    else:
        need, tier, unit = size * 100, base, 100
        assert quote == -1
    assert compute_tier_atoms(tier, unit) >= need
    assert tier == 0 or compute_tier_atoms(tier - 1, unit) < need


def test_what_cannot_be_sealed_is_refused():
    builder = make_builder()
    for orders in ((), (Place(2, BUY, 5, 5, IOC),), (Place(3, BUY, 5, 5, POST_ONLY),)):
        with pytest.raises(ClientError):
            builder.seal(TERMS, *orders)


def test_many_orders_are_sealed_by_one_action_each_by_itself():
    groups = [(Place(3, BUY, 5, n, IOC),) for n in range(1, 5)]
    commit, openings = make_builder().seal_many(TERMS, groups)
    ops = decode_action(commit.payload).ops
    assert [op.commit_hash for op in ops] == [o.commit_hash for o in openings]
    assert len({op.commit_hash for op in ops}) == 4
    assert verify(commit.envelope, DOMAIN).error == Reason.OK
