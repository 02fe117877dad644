"""Give the accounts of a load their funds: one deposit on chain, then transfers on the ledger.

Rule: funds enter through the vault like anybody's; nothing is credited by hand.
Spec: docs/reference/benchmarks.md (End to end).
Deviations: none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import trio

from client.actions import ActionBuilder, Signed
from client.keys import Credentials
from client.node_client import NodeClient, now_ms
from contracts.chain.accounts import account_key
from devnet.folders import Folder
from devnet.funding import fund_and_deposit, give_xom
from devnet.plan import FIRST_PERSON, USDX, WBTC, WETH, XOM
from devnet.start import plan_of
from exchange.actions import Transfer, encode_amount
from primitives.secp256k1 import PrivateKey

TREASURY: Final = FIRST_PERSON + 4  # index of the prefunded account that pays for the load
SHARE_ATOMS: Final[Mapping[int, int]] = {  # of one account
    USDX: 50_000 * 10**6,
    XOM: 200_000 * 10**18,
    WETH: 20 * 10**18,
    WBTC: 10**8,
}
CREDIT_S_MAX: Final = 120.0
REQUEST_ACTIONS_MAX: Final = 100


def deposit(folder: Folder, accounts: int) -> PrivateKey:
    """Deposit enough for all accounts into the vault; return the depositor's key. Blocks."""
    record = folder.load()
    plan = plan_of(record)
    treasury = account_key(record.seed, TREASURY)
    atoms = {asset: share * accounts for asset, share in SHARE_ATOMS.items()}
    give_xom(record, plan, [treasury.address], atoms[XOM], folder.outbox)
    fund_and_deposit(record, plan, treasury, atoms)
    return treasury


async def share_out(client: NodeClient, treasury: PrivateKey, to: Sequence[bytes]) -> None:
    """Wait for the deposit's credit, then transfer each account its share."""
    with trio.fail_after(CREDIT_S_MAX):
        await _wait_funds(client, treasury.address, len(to))
        builder = ActionBuilder(
            domain=client.domain, credentials=Credentials.of_wallet(treasury), clock=now_ms
        )
        transfers = [
            builder.sign(Transfer(asset, encode_amount(atoms), address, 0))
            for address in to
            for asset, atoms in SHARE_ATOMS.items()
        ]
        for start in range(0, len(transfers), REQUEST_ACTIONS_MAX):
            await _send(client, transfers[start : start + REQUEST_ACTIONS_MAX])


async def _wait_funds(client: NodeClient, owner: bytes, accounts: int) -> None:
    while True:
        account = await client.rest.account(owner)
        free = {b.asset: int(b.free) for b in account.balances} if account else {}
        if all(free.get(asset, 0) >= atoms * accounts for asset, atoms in SHARE_ATOMS.items()):
            return
        await trio.sleep(0.2)


async def _send(client: NodeClient, transfers: Sequence[Signed]) -> None:
    results = await client.submit([signed.pair for signed in transfers])
    refused = [result.code for result in results if not result.accepted]
    assert not refused, f"transfers were refused: {refused[0]}"
    while True:
        receipt = await client.rest.action(transfers[-1].id)
        if receipt is not None and receipt.state == "executed":
            assert receipt.statuses[0].code == "ok", receipt.statuses[0].code
            return
        await trio.sleep(0.1)
