"""Let somebody else pay the gas: sign a fee, find a relay, wait until it is done.

Rule: relays are asked in turn, the healthy ones with the fewest jobs first; one that refuses, hangs
or dies is followed by the next, for nothing that is signed here can happen twice.
Spec: docs/how-to/relay.md; docs/spec/settlement.md §14. Deviations: none.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from node.cli import http
from primitives.errors import NodeError, OperatorError

if TYPE_CHECKING:
    from contracts.settlement_client import SettlementClient
    from node.network_file import NetworkFile
    from primitives.secp256k1 import PrivateKey

GOOD_FOR_S: Final = 3_600  # how long a signed fee or deposit can be used
WAIT_S: Final = 120  # for one relay, before the next is asked
POLL_S: Final = 0.5


def claim_by_relay(
    network: NetworkFile, urls: Sequence[str], proof: dict[str, Any], atoms: int, key: PrivateKey
) -> dict[str, Any]:
    """Have a withdrawal claimed for a fee. Raises OperatorError when no relay does it."""
    from primitives.vault_orders import ClaimFee, compute_claim_fee_digest

    fee = ClaimFee(index=proof["index"], atoms=atoms, deadline_s=_now_s() + GOOD_FOR_S)
    digest = compute_claim_fee_digest(
        fee,
        network_id=network.network_id,
        chain_id=proof["chain_id"],
        vault=bytes.fromhex(proof["vault"][2:]),
    )
    body = {
        "index": fee.index,
        "fee": str(fee.atoms),
        "deadline_s": fee.deadline_s,
        "signature": "0x" + key.sign(digest).hex(),
    }
    return _send(urls, proof["chain_id"], "/v1/relay/claims", body)


def deposit_by_relay(
    network: NetworkFile,
    client: SettlementClient,
    urls: Sequence[str],
    asset: dict[str, Any],
    atoms: int,
    fee: int,
    key: PrivateKey,
) -> dict[str, Any]:
    """Have tokens deposited for a fee out of them, by the token's permit.

    Raises ContractRefused for a token without permits, OperatorError when no relay does it.
    """
    from primitives.vault_orders import DepositOrder, compute_deposit_digest, sign_permit

    vault, token = bytes.fromhex(asset["vault"][2:]), bytes.fromhex(asset["token"][2:])
    domain, nonce = client.permit_terms(token, key.address)
    deadline_s = client.now_s() + GOOD_FOR_S
    permit = sign_permit(
        key, domain=domain, vault=vault, value=atoms, nonce=nonce, deadline_s=deadline_s
    )
    order = DepositOrder(
        depositor=key.address,
        token=token,
        amount=atoms,
        fee=fee,
        beneficiary=key.address,
        nonce=secrets.randbits(64),
        deadline_s=deadline_s,
    )
    digest = compute_deposit_digest(
        order, network_id=network.network_id, chain_id=asset["chain_id"], vault=vault
    )
    body = {
        "chain_id": asset["chain_id"],
        "depositor": "0x" + order.depositor.hex(),
        "token": "0x" + token.hex(),
        "amount": str(atoms),
        "fee": str(fee),
        "beneficiary": "0x" + order.beneficiary.hex(),
        "nonce": str(order.nonce),
        "deadline_s": deadline_s,
        "signature": "0x" + key.sign(digest).hex(),
        "permit": {
            "value": str(permit.value),
            "deadline_s": permit.deadline_s,
            "v": permit.v,
            "r": "0x" + permit.r.hex(),
            "s": "0x" + permit.s.hex(),
        },
    }
    return _send(urls, asset["chain_id"], "/v1/relay/deposits", body)


def _send(urls: Sequence[str], chain_id: int, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask one relay after the other until one has done it."""
    problems = []
    for url in _in_turn(urls, chain_id):
        try:
            return _wait(url, http.post(url, path, body))
        except NodeError as error:
            problems.append(f"{url}: {error}")
    raise OperatorError(
        f"no relay has done it: {'; '.join(problems) or 'none is healthy'}",
        code="EVM008",
        fix="name other relays with --relay, raise the fee, or pay the gas yourself without --fee",
    )


def _in_turn(urls: Sequence[str], chain_id: int) -> list[str]:
    """The relays that serve a chain, the healthy ones with the fewest jobs first."""
    found: list[tuple[bool, int, int, str]] = []
    for place, url in enumerate(urls):
        try:
            rooms = http.get(url, "/v1/relay")["chains"]
        except NodeError:
            continue
        found += [
            (not room["healthy"], room["waiting"], place, url)
            for room in rooms
            if room["chain_id"] == chain_id
        ]
    return [url for *_, url in sorted(found)]


def _wait(url: str, job: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end of a job. Raises OperatorError when it was refused or takes too long."""
    deadline = time.monotonic() + WAIT_S
    while job["state"] == "waiting" and time.monotonic() < deadline:
        time.sleep(POLL_S)
        job = http.get(url, f"/v1/relay/jobs/{job['id']}")
    if job["state"] != "done":
        raise OperatorError(f"{job['state']}: {job['detail'] or 'not done in time'}", fix="")
    return {**job, "relay": url}


def _now_s() -> int:
    return time.time_ns() // 1_000_000_000
