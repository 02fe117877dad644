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
from trio.testing import MockClock

from client.errors import NotRelayed, RequestRefused
from client.gasless import claim_by_relay, deposit_by_relay
from client.permit_terms import PermitTerms, read_permit_terms
from client.rest import RestClient
from client.views import Asset, WithdrawalProof
from primitives.keccak import keccak256
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

PLAIN = httpx.AsyncClient
EVM = "http://evm"
Handler = Callable[[httpx.Request], httpx.Response]


class Relay:
    """One relay that answers from memory and notes what it was sent."""

    def __init__(
        self, *, healthy: bool = True, waiting: int = 0, end: str = "done", lies: bool = False
    ) -> None:
        self.healthy, self.waiting, self.end, self.lies = healthy, waiting, end, lies
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
            VAULT.has_it |= self.end == "done" and not self.lies
            return answer({"id": JOB, "state": "waiting", "detail": ""})
        return answer({"id": JOB, "state": self.end, "detail": "why"})


class Vault:
    """What the EVM node says of the vault: whether it has what was signed."""

    def __init__(self) -> None:
        self.has_it = False
        self.calls: list[str] = []
        self.is_away = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.is_away:
            raise httpx.ConnectError("nobody listens")
        self.calls.append(json.loads(request.content)["params"][0]["data"])
        return httpx.Response(
            200, json={"result": "0x" + int(self.has_it).to_bytes(32, "big").hex()}
        )


VAULT = Vault()


@pytest.fixture(autouse=True)
def _vault(monkeypatch: pytest.MonkeyPatch) -> None:
    """An EVM node that is asked over HTTP."""
    VAULT.__init__()  # type: ignore[misc]
    answer_evm(monkeypatch, VAULT)


def answer_evm(monkeypatch: pytest.MonkeyPatch, handler: Handler) -> None:
    monkeypatch.setattr(
        "client.evm_views.httpx.AsyncClient",
        lambda **kinds: PLAIN(transport=httpx.MockTransport(handler)),
    )


def answer(body: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, content=msgspec.msgpack.encode(body))


def dead(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody listens")


def client_of(handler: Handler, name: str) -> RestClient:
    rest = RestClient(f"http://{name}")
    rest._http = PLAIN(transport=httpx.MockTransport(handler), base_url=rest.url)
    return rest


async def deposit(*handlers: Handler) -> Any:
    relays = [client_of(handler, f"relay{i}") for i, handler in enumerate(handlers)]
    return await deposit_by_relay(
        relays,
        WALLET,
        network_id=NETWORK,
        asset=ASSET,
        atoms=500,
        fee=2,
        permit=PERMIT,
        rpc_url=EVM,
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
    assert VAULT.calls[-1] == "0x" + (keccak256(b"isOrderDone(bytes32)")[:4] + digest).hex()


async def test_healthy_relays_with_few_jobs_come_first() -> None:
    ill, busy, free = Relay(healthy=False), Relay(waiting=9), Relay(waiting=1)
    done = await deposit(dead, ill, busy, free)
    assert done.url == "http://relay3"
    assert not ill.bodies
    assert not busy.bodies


async def test_a_refusal_is_followed_by_the_next_relay_with_the_same_bytes(
    autojump_clock: MockClock,
) -> None:
    unwilling, willing = Relay(end="refused"), Relay(waiting=5)
    done = await deposit(unwilling, willing)
    assert done.url == "http://relay1"
    assert unwilling.bodies == willing.bodies


async def test_without_a_relay_the_reasons_are_told(
    autojump_clock: MockClock,
) -> None:
    with pytest.raises(NotRelayed, match="refused: why"):
        await deposit(Relay(end="refused"))
    with pytest.raises(NotRelayed, match=r"relay0: .*nobody listens"):
        await deposit(dead)
    elsewhere = Relay()
    with pytest.raises(NotRelayed, match="relay0: relays nothing on chain 7"):
        await claim(elsewhere, chain_id=7)
    assert not elsewhere.bodies


async def test_a_relay_that_says_what_the_vault_does_not_is_followed_by_the_next(
    autojump_clock: MockClock,
) -> None:
    liar, honest = Relay(lies=True), Relay(waiting=5)
    done = await deposit(liar, honest)
    assert done.url == "http://relay1"
    assert liar.bodies == honest.bodies


async def test_liars_alone_have_done_nothing(
    autojump_clock: MockClock,
) -> None:
    with pytest.raises(NotRelayed, match="says that it is done, but the vault does not have it"):
        await deposit(Relay(lies=True))
    with pytest.raises(NotRelayed, match="says that it is done, but"):
        await claim(Relay(lies=True))


async def test_a_vault_that_cannot_be_asked_proves_nothing(
    autojump_clock: MockClock,
) -> None:
    VAULT.is_away = True
    with pytest.raises(NotRelayed, match=r"the vault cannot be asked: .*nobody listens"):
        await deposit(Relay())


async def test_what_the_vault_has_is_done_whatever_its_relay_says(
    autojump_clock: MockClock,
) -> None:
    silent = Relay(end="waiting")
    VAULT.has_it = True
    assert (await deposit(silent)).job.state == "done"


async def test_a_relay_that_does_nothing_is_followed_by_the_next(
    autojump_clock: MockClock,
) -> None:
    idle, honest = Relay(end="waiting"), Relay(waiting=5)
    assert (await deposit(idle, honest)).url == "http://relay1"


async def claim(relay: Handler, chain_id: int = CHAIN) -> Any:
    proof = WithdrawalProof(
        index=4, chain_id=chain_id, vault=ASSET.vault, token=ASSET.token, amount=9,
        to=WALLET.address, height=1, count=5, proof=(), roots=(),
    )  # fmt: skip
    return await claim_by_relay(
        [client_of(relay, "relay0")], WALLET, network_id=NETWORK, proof=proof, fee=1, rpc_url=EVM
    )


async def test_a_claim_promises_the_fee_for_this_withdrawal_only() -> None:
    relay = Relay()
    await claim(relay)
    assert VAULT.calls[-1] == "0x" + keccak256(b"isPaid(uint32)")[:4].hex() + f"{4:064x}"
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
    answer_evm(monkeypatch, lambda _: httpx.Response(200, content=body))
    with pytest.raises(RequestRefused, match="ERC-2612"):
        await read_permit_terms("http://evm", ASSET.token, WALLET.address)


async def test_domain_and_nonce_are_those_of_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        call = json.loads(request.content)["params"][0]
        assert call["to"] == "0x" + ASSET.token.hex()
        is_domain = call["data"] == "0x3644e515"
        word = "ab" * 32 if is_domain else "00" * 31 + "05"
        return httpx.Response(200, json={"result": "0x" + word})

    answer_evm(monkeypatch, handle)
    terms = await read_permit_terms("http://evm", ASSET.token, WALLET.address)
    assert terms == PermitTerms(domain=b"\xab" * 32, nonce=5)
