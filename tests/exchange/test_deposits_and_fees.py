"""Deposits enter by two thirds of the weight, fees split to the atom, withdrawals are proven."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.accounts import Account
from exchange.actions import (
    GTC,
    Attest,
    Deposit,
    Place,
    SignedAction,
    Withdraw,
    compute_window_hash,
    encode_amount,
)
from exchange.ledger import compute_shares, share_fees
from exchange.outcome import Outcome
from exchange.reasons import Reason
from exchange.roots import (
    compute_balances_root,
    compute_fees_root,
    compute_state_root,
    escape_proof,
    update_balances_root,
    withdrawal_proof,
)
from exchange.state import State
from primitives.abi import encode_words
from primitives.keccak import keccak256
from primitives.merkle import EMPTY_ROOTS, DenseTree, leaf_hash, root_from_proof
from tests.exchange.world import BASE, QUOTE, VAULT, World, make_genesis, make_key


def statuses(outcome: Outcome) -> list[list[int]]:
    return [list(r.statuses) for r in outcome.receipts]


def window(
    *deposits: Deposit, index: int = 1, previous: bytes = bytes(32), vault: bytes = VAULT
) -> Attest:
    return Attest(31337, vault, index, keccak256(b"end"), previous, deposits)


def deposit(number: int, owner: str = "a", asset: int = QUOTE, amount: int = 500) -> Deposit:
    token = bytes([asset + 1] * 20)
    return Deposit(number, make_key(owner).address, token, encode_amount(amount))


def attest(world: World, op: Attest, *who: int) -> list[SignedAction]:
    return [world.act(world.validators[i], op) for i in who]


def test_deposit_is_credited_once_at_more_than_two_thirds() -> None:
    world = World()
    op = window(deposit(0), deposit(1, amount=7))
    outcome = world.block(*attest(world, op, 0, 1))
    assert statuses(outcome) == [[Reason.COUNTED], [Reason.COUNTED]]
    assert outcome.deposits == ()
    outcome = world.block(*attest(world, op, 1, 2, 3))
    assert statuses(outcome) == [[Reason.COUNTED], [Reason.OK], [Reason.ATTESTED_ALREADY]]
    assert world.balance("a", QUOTE) == (507, 0)
    assert [d.id for d in outcome.deposits] == [0, 1]
    assert world.state.deposited[QUOTE] == 507


def test_exactly_two_thirds_is_not_enough() -> None:
    world = World()
    weights = (2, 2, 1, 1)
    world.committee = tuple(
        (v.address, w, v.address) for v, w in zip(world.validators, weights, strict=True)
    )
    op = window(deposit(0))
    assert world.block(*attest(world, op, 0, 1)).deposits == ()  # 4 of 6
    assert len(world.block(*attest(world, op, 2)).deposits) == 1


def test_validators_must_agree_on_the_content() -> None:
    world = World()
    lie = window(deposit(0, owner="thief", amount=10**20))
    truth = window(deposit(0))
    world.block(*attest(world, lie, 0), *attest(world, truth, 1, 2))
    assert world.state.deposited[QUOTE] == 0
    outcome = world.block(*attest(world, truth, 0))  # a changed vote counts for the new content
    assert len(outcome.deposits) == 1
    assert world.balance("thief", QUOTE) == (0, 0)


def test_strangers_sessions_and_unknown_vaults_attest_nothing() -> None:
    world = World()
    world.fund("a")
    stranger = world.act("a", window(deposit(2)))
    other = attest(world, window(deposit(0), vault=b"\x99" * 20), 0)
    assert statuses(world.block(stranger, *other)) == [
        [Reason.NOT_VALIDATOR],
        [Reason.UNKNOWN_VAULT],
    ]


def test_windows_form_a_chain_and_ids_leave_no_gap() -> None:
    world = World()
    first = window(deposit(0))
    world.block(*attest(world, first, 0, 1, 2))
    link = compute_window_hash(first)
    bad = [
        (window(deposit(1), index=2), Reason.ATTESTATION_NOT_NEXT),
        (window(deposit(0), index=2, previous=link), Reason.BAD_DEPOSITS),
        (window(deposit(2), index=2, previous=link), Reason.BAD_DEPOSITS),
        (window(deposit(1), deposit(1), index=2, previous=link), Reason.BAD_DEPOSITS),
        (window(index=2, previous=link), Reason.BAD_DEPOSITS),
        (window(deposit(1), index=0, previous=link), Reason.ATTESTATION_NOT_NEXT),
        (first, Reason.ATTESTED_ALREADY),
    ]
    outcome = world.block(*[attest(world, op, 0)[0] for op, _ in bad])
    assert statuses(outcome) == [[reason] for _, reason in bad]
    same_window = window(deposit(1), deposit(2), index=1, previous=link)
    assert len(world.block(*attest(world, same_window, 0, 1, 2)).deposits) == 2


def test_several_windows_fit_one_action() -> None:
    world = World()
    first = window(deposit(0))
    second = window(deposit(1), index=5, previous=compute_window_hash(first))
    actions = [world.act(v, first, second) for v in world.validators[:3]]
    outcome = world.block(*actions)
    not_next = Reason.ATTESTATION_NOT_NEXT
    assert statuses(outcome) == [
        [Reason.COUNTED, not_next],
        [Reason.COUNTED, not_next],
        [Reason.OK, Reason.COUNTED],
    ]


def test_unknown_token_advances_the_count_and_credits_nothing() -> None:
    world = World()
    odd = Deposit(0, make_key("a").address, b"\xaa" * 20, encode_amount(5))
    outcome = world.block(*attest(world, window(odd, deposit(1)), 0, 1, 2))
    assert [(d.asset, d.amount) for d in outcome.deposits] == [(-1, 5), (QUOTE, 500)]
    assert world.state.vaults[(31337, VAULT)].credited == 2


def test_attestation_nonce_is_used_once() -> None:
    world = World()
    [action] = attest(world, window(deposit(0)), 0)
    assert statuses(world.block(action, action)) == [[Reason.COUNTED], [Reason.NONCE_USED]]


# Fees.


@given(st.integers(0, 10**40))
def test_three_shares_add_up_exactly(total: int) -> None:
    validators, company, development = compute_shares(total)
    assert validators + company + development == total
    assert company == total * 20 // 100
    assert development == total * 10 // 100


def test_validators_get_their_part_by_weight_and_remainders_wait() -> None:
    world = World(make_genesis(mode="fair", checkpoint_interval=8))
    payouts = [bytes([0xB0 + i]) * 20 for i in range(4)]
    weights = (1, 2, 3, 5)
    world.committee = tuple(
        (v.address, w, p) for v, w, p in zip(world.validators, weights, payouts, strict=True)
    )
    deposits = [(make_key(n).address, asset, 10**9) for n in "ab" for asset in (QUOTE, BASE)]
    world.block(*world.attest(*deposits), *[])
    world.block(*world.attest((make_key("a").address, QUOTE, 1)))  # three of four weigh 6 of 11
    assert world.state.deposited == [0, 0, 0]
    op = window(*[
        Deposit(i, owner, bytes([asset + 1] * 20), encode_amount(amount))
        for i, (owner, asset, amount) in enumerate(deposits)
    ])  # fmt: skip
    world.block(*attest(world, op, 0, 1, 2, 3))
    for turn in range(40):
        side = turn % 2
        world.block(
            world.act("a", Place(0, side, 1_000, 7, GTC)),
            world.act("b", Place(0, 1 - side, 1_000, 7, GTC)),
        )
    total = world.state.fees[QUOTE]
    assert total > 0
    world.block()
    while not world.outcomes[-1].is_checkpoint:
        world.block()
    pool = compute_shares(world.state.fees[QUOTE])[0]
    got = [world.state.by_address[p].entries[0].free for p in payouts]
    assert pool - 4 < sum(got) <= pool
    assert sum(got) == world.state.fees_shared[QUOTE]
    assert [g * 11 // pool for g in got] == pytest.approx(weights, abs=1)
    assert [o.is_checkpoint for o in world.outcomes] == [o.height % 8 == 0 for o in world.outcomes]


def test_a_fee_that_both_treasuries_gain_from_takes_nothing_back_from_validators() -> None:
    """Of 9 atoms 8 are not the treasuries', of 10 only 7: credited before, they were lost."""
    state = State(make_genesis())
    member = (b"\x01" * 20, 1, b"\x02" * 20)
    for total in range(1_000):
        state.fees[QUOTE] = total
        before = state.fees_shared[QUOTE]
        share_fees(state, [member])
        assert before <= state.fees_shared[QUOTE] == total * 70 // 100
        assert state.fees_shared[QUOTE] <= compute_shares(total)[0] <= total * 70 // 100 + 2


# Roots and proofs.


def test_withdrawal_is_proven_against_any_later_root() -> None:
    world = World()
    world.fund("a")
    heights = []
    for amount in (100, 200, 300):
        op = Withdraw(QUOTE, encode_amount(amount), b"\x07" * 20)
        heights.append(world.block(world.act("a", op)))
    asset = world.state.assets[QUOTE]
    leaf = leaf_hash(encode_words(1, 31337, VAULT, asset.token, 200, b"\x07" * 20))
    for outcome in heights[1:]:
        proof = withdrawal_proof(world.state, 1, outcome.withdrawal_count)
        assert root_from_proof(leaf, 1, proof) == outcome.roots.withdrawals
    with pytest.raises(IndexError):
        withdrawal_proof(world.state, 1, heights[0].withdrawal_count)


def test_state_root_is_the_keccak_of_its_seven_words() -> None:
    world = World()
    outcome = world.fund("a")
    roots = outcome.roots
    words = (
        roots.accounts,
        roots.withdrawals,
        roots.deposits,
        roots.fills,
        roots.effects,
        roots.rest,
    )
    assert outcome.state_root == keccak256((1).to_bytes(32, "big") + b"".join(words))
    assert outcome.state_root == compute_state_root(roots)
    assert roots.deposits == keccak256(encode_words(31337, VAULT, 2))
    assert outcome.fees_root == compute_fees_root(world.state)
    fees = [encode_words(31337, VAULT, bytes([i + 1] * 20), 0, 0) for i in range(3)]
    assert outcome.fees_root == keccak256(b"".join(fees))


def test_escape_proof_leads_to_the_accounts_root() -> None:
    world = World()
    world.fund("a", "b", "c")
    outcome = world.block(world.act("b", Place(0, 0, 1_000, 5)))
    proof = escape_proof(world.state, make_key("b").address, 0, QUOTE)
    assert proof is not None
    assert (proof.free, proof.held) == world.balance("b", QUOTE) == (10**12 - 5_010, 5_010)
    entry = leaf_hash(encode_words(0, QUOTE, proof.free, proof.held))
    balances = root_from_proof(entry, proof.entry, proof.entry_siblings)
    leaf = leaf_hash(bytes(12) + proof.owner + balances + proof.rest_hash)
    accounts = root_from_proof(leaf, proof.account, proof.account_siblings)
    assert accounts == outcome.roots.accounts == proof.words.accounts
    assert escape_proof(world.state, make_key("b").address, 9, QUOTE) is None
    assert escape_proof(world.state, b"\x01" * 20, 0, QUOTE) is None


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40))
def test_balances_root_is_that_of_a_dense_tree(leaves: list[bytes]) -> None:
    tree = DenseTree(16)
    assert compute_balances_root(leaves) == tree.update(dict(enumerate(leaves)))


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 200), max_size=6), st.integers(0, 20)), max_size=8)
)
def test_kept_rows_give_the_balances_root(changes: list[tuple[list[int], int]]) -> None:
    """Entries change and come in any order; the root is always that of all entries."""
    account = Account(1, bytes(20))
    for step, (positions, more) in enumerate(changes):
        changed = list(range(len(account.leaves), len(account.leaves) + more))
        account.leaves += [bytes(32)] * more
        changed += [p % len(account.leaves) for p in positions] if account.leaves else []
        for position in changed:
            account.leaves[position] = keccak256(b"%d %d" % (step, position))
        if account.leaves:
            root = update_balances_root(account, changed)
            assert root == compute_balances_root(account.leaves)


def test_empty_state_has_the_empty_roots() -> None:
    outcome = World().block()
    assert outcome.roots.accounts == EMPTY_ROOTS[32]
    assert outcome.roots.withdrawals == EMPTY_ROOTS[32]


def test_rest_word_changes_at_checkpoint_heights_only() -> None:
    world = World(make_genesis(checkpoint_interval=4))
    world.fund("a")
    words = [world.block(world.act("a", Place(0, 0, 900 + i, 1))).roots.rest for i in range(8)]
    assert words[0] == words[1] == bytes(32) != words[2]
    assert words[2] == words[5] != words[6]


def test_withdrawal_that_the_vault_could_never_pay_is_refused() -> None:
    world = World()
    world.fund("a")
    asset = world.state.assets[QUOTE]
    for target in (bytes(20), asset.vault, asset.token):
        outcome = world.block(world.act("a", Withdraw(QUOTE, encode_amount(5), target)))
        assert outcome.receipts[0].statuses == [Reason.BAD_TRANSFER]
    assert world.state.withdrawals.size == 0
