"""Relays are asked in turn, what is signed fits the vault, and a bad EVM node is a refusal.

Rule: relays and EVM nodes answer from memory; that a real vault takes it is shown by
tests/devnet/test_devnet_two_chains.py.
Spec: docs/how-to/relay.md. Deviations: none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from client.errors import NotRelayed, RequestRefused
from client.gasless import claim_by_relay, deposit_by_relay
from client.permit_terms import PermitTerms, read_permit_terms
from client.rest import RestClient
from client.views import Asset, WithdrawalProof
from primitives.secp256k1 import PrivateKey, verify_signature
from primitives.vault_orders import (
    ClaimFee,
    DepositOrder,
    compute_claim_fee_digest,
    compute_deposit_digest,
)

NETWORK = b"n" * 32
CHAIN = 31337
WALLET = PrivateKey(b"\7" * 32)
ASSET = Asset(id=0, symbol="USDX", decimals=6, chain_id=CHAIN, vault=b"v" * 20, token=b"t" * 20)
PERMIT = PermitTerms(domain=b"d" * 32, nonce=3)
JOB = b"j" * 32
LONG = b"x" * (1 << 20)

Handler = Callable[[httpx.Request], httpx.Response]


class Relay:
    """One relay that answers from memory and notes what it was sent."""

    def __init__(self, *, healthy: bool = True, waiting: int = 0, end: str = "done") -> None:
        self.healthy, self.waiting, self.end = healthy, waiting, end
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/relay":
            room = {
                "chain_id": CHAIN,
                "vault": ASSET.vault,
                "healthy": self.healthy,
                "waiting": self.waiting,
            }
            return answer({"chains": [room], "fees": []})
        if request.method == "POST":
            self.bodies.append(json.loads(request.content))
            return answer({"id": JOB, "state": "waiting", "detail": ""})
        return answer({"id": JOB, "state": self.end, "detail": "why"})


def answer(body: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, content=msgspec.msgpack.encode(body))


def dead(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody listens")


def client_of(handler: Handler, name: str) -> RestClient:
    rest = RestClient(f"http://{name}")
    rest._http = httpx.AsyncClient(transport=httpx.MockTransport(handler), base_url=rest.url)
    return rest


async def deposit(*handlers: Handler) -> Any:
    relays = [client_of(handler, f"relay{i}") for i, handler in enumerate(handlers)]
    return await deposit_by_relay(
        relays, WALLET, network_id=NETWORK, asset=ASSET, atoms=500, fee=2, permit=PERMIT
    )


async def test_the_order_is_signed_for_this_vault_and_beneficiary() -> None:
    relay = Relay()
    done = await deposit(relay)
    assert (done.url, done.job.state) == ("http://relay0", "done")
    body = relay.bodies[0]
    order = DepositOrder(
        depositor=WALLET.address,
        token=ASSET.token,
        amount=500,
        fee=2,
        beneficiary=WALLET.address,
        nonce=int(body["nonce"]),
        deadline_s=body["deadline_s"],
    )
    digest = compute_deposit_digest(order, network_id=NETWORK, chain_id=CHAIN, vault=ASSET.vault)
    verify_signature(digest, bytes.fromhex(body["signature"][2:]), WALLET.address)
    assert body["permit"]["value"] == "500"


async def test_healthy_relays_with_few_jobs_come_first() -> None:
    ill, busy, free = Relay(healthy=False), Relay(waiting=9), Relay(waiting=1)
    done = await deposit(dead, ill, busy, free)
    assert done.url == "http://relay3"
    assert not ill.bodies
    assert not busy.bodies


async def test_a_refusal_is_followed_by_the_next_relay_with_the_same_bytes() -> None:
    unwilling, willing = Relay(end="refused"), Relay(waiting=5)
    done = await deposit(unwilling, willing)
    assert done.url == "http://relay1"
    assert unwilling.bodies == willing.bodies


async def test_without_a_relay_the_reasons_are_told() -> None:
    with pytest.raises(NotRelayed, match="refused: why"):
        await deposit(Relay(end="refused"))
    with pytest.raises(NotRelayed, match="no relay serves"):
        await deposit(dead)


async def test_a_claim_promises_the_fee_for_this_withdrawal_only() -> None:
    relay = Relay()
    proof = WithdrawalProof(
        index=4, chain_id=CHAIN, vault=ASSET.vault, token=ASSET.token, amount=9, to=WALLET.address,
        height=1, count=5, proof=(), roots=(),
    )  # fmt: skip
    await claim_by_relay(
        [client_of(relay, "relay")], WALLET, network_id=NETWORK, proof=proof, fee=1
    )
    body = relay.bodies[0]
    promise = ClaimFee(index=4, atoms=1, deadline_s=body["deadline_s"])
    digest = compute_claim_fee_digest(
        promise, network_id=NETWORK, chain_id=CHAIN, vault=ASSET.vault
    )
    verify_signature(digest, bytes.fromhex(body["signature"][2:]), WALLET.address)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"result": null}', b'{"result": "0x12"}', b'{"result": "zz"}', LONG],
)
async def test_an_answer_that_is_no_word_is_a_refusal(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    plain = httpx.AsyncClient
    monkeypatch.setattr(
        "client.permit_terms.httpx.AsyncClient", lambda **kinds: plain(transport=transport)
    )
    with pytest.raises(RequestRefused, match="ERC-2612"):
        await read_permit_terms("http://evm", ASSET.token, WALLET.address)


async def test_domain_and_nonce_are_those_of_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        call = json.loads(request.content)["params"][0]
        assert call["to"] == "0x" + ASSET.token.hex()
        is_domain = call["data"] == "0x3644e515"
        word = "ab" * 32 if is_domain else "00" * 31 + "05"
        return httpx.Response(200, json={"result": "0x" + word})

    transport = httpx.MockTransport(handle)
    plain = httpx.AsyncClient
    monkeypatch.setattr(
        "client.permit_terms.httpx.AsyncClient", lambda **kinds: plain(transport=transport)
    )
    terms = await read_permit_terms("http://evm", ASSET.token, WALLET.address)
    assert terms == PermitTerms(domain=b"\xab" * 32, nonce=5)
