"""Give devnet accounts coins and tokens on the EVM chain, and deposit them.

Rule: everything goes through the same contracts and wallets that a person uses.
Spec: docs/reference/devnet.md (Accounts). Deviations: tokens other than XOM are test tokens that
anybody
may mint.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from contracts.chain.accounts import account_key
from contracts.confidential_deployment import deploy_confidential
from contracts.confidential_plan import CoinPlan
from contracts.evm_web3 import connect
from contracts.outbox import open_outbox
from contracts.wallet import Wallet
from devnet.folders import Record
from devnet.plan import (
    FIRST_PERSON,
    OWN_CHAINS,
    PRIVATE_NAME,
    PRIVATE_SYMBOL,
    TOKENS,
    USDX,
    WBTC,
    WETH,
    XOM,
    DevnetPlan,
)
from primitives.address import parse_address
from primitives.secp256k1 import PrivateKey

NATIVE_WEI = 10**20
FUND_WHOLE = 1_000_000  # of every token, for `devnet fund`
TRADER_ATOMS: Mapping[int, int] = {
    USDX: 5_000_000 * 10**6,
    XOM: 20_000_000 * 10**18,
    WETH: 2_000 * 10**18,
    WBTC: 100 * 10**8,
}
REPLAY_ATOMS: Mapping[int, int] = {
    **TRADER_ATOMS,
    USDX: 10_000_000_000 * 10**6,
    WBTC: 100_000 * 10**8,
}
"""Whole recorded books are larger than what two demo traders quote."""


def open_wallet(
    record: Record, key: PrivateKey, chain: int = 0, outbox: Path | None = None
) -> Wallet:
    """Return a wallet on one of the devnet's chains; our own chains mine at once.

    Processes that name the same folder for their outboxes take turns with a key.
    """
    chain_id = record.chain_id + chain
    web3 = connect(record.rpc_of(chain), chain_id)
    is_ours = record.evm in OWN_CHAINS
    kept = None if outbox is None else open_outbox(outbox, chain_id, key.address)
    return Wallet(web3, key, chain_id=chain_id, mine_at_once=is_ours, outbox=kept)


def fund_address(
    record: Record, plan: DevnetPlan, address: str, outbox: Path | None = None
) -> None:
    """Give an address native coin and a million of every token on every chain.

    Raises InvalidMessage.
    """
    to = parse_address(address)
    for chain, deployment in enumerate(plan.deployments):
        wallet = open_wallet(record, plan.deployer, chain, outbox)
        wallet.send_native(to, NATIVE_WEI)
        for asset, token in enumerate(deployment.tokens):
            amount = FUND_WHOLE * 10**token.decimals
            if asset == XOM:
                wallet.transfer(token.address, to, amount)
            else:
                wallet.mint(token.address, to, amount)


def give_xom(
    record: Record,
    plan: DevnetPlan,
    addresses: list[bytes],
    atoms: int,
    outbox: Path | None = None,
) -> None:
    """Hand XOM, which nobody can mint, from the deployer to traders who have none."""
    wallet = open_wallet(record, plan.deployer, outbox=outbox)
    token = plan.deployment.tokens[XOM].address
    for address in addresses:
        if wallet.token_balance(token, address) < atoms:
            wallet.transfer(token, address, atoms)


def fund_and_deposit(
    record: Record, plan: DevnetPlan, key: PrivateKey, atoms: Mapping[int, int]
) -> None:
    """Mint what can be minted and deposit everything into the vault. Blocks."""
    wallet = open_wallet(record, key)
    vault = plan.deployment.vault
    assert len(TOKENS) == len(plan.deployment.tokens)
    for asset, amount in atoms.items():
        token = plan.deployment.tokens[asset].address
        if asset != XOM and wallet.token_balance(token) < amount:
            wallet.mint(token, key.address, amount)
        if wallet.token_balance(token) >= amount:
            wallet.deposit(vault, token, amount)


def deploy_private(record: Record, plan: DevnetPlan) -> None:
    """Deploy the private face of USDX and its door, which the vault lists already. Blocks."""
    assert plan.private is not None
    usdx = plan.deployment.tokens[USDX].address
    person = open_wallet(record, account_key(plan.seed, FIRST_PERSON))
    if person.token_balance(usdx, plan.deployer.address) == 0:
        person.mint(usdx, plan.deployer.address, 1)
    coin = CoinPlan(
        name=PRIVATE_NAME,
        symbol=PRIVATE_SYMBOL,
        decimals=TOKENS[USDX].decimals,
        underlying=usdx,
        scale=1,
    )
    deployed = deploy_confidential(
        connect(record.rpc, record.chain_id),
        coin,
        plan.deployment.vault,
        plan.deployer,
        chain_id=record.chain_id,
        nonce=plan.deployment_plan.transactions,
        mine_at_once=True,
    )
    assert deployed == plan.private, "the door lies where the network file says"
