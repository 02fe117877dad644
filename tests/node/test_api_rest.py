"""What a REST client sees.

Rule: real sockets on loopback, a fake node behind them.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

import httpx
import msgspec
import pytest

from node.api.access import Access
from node.api.limits import ACTIONS_PER_REQUEST_MAX
from node.api.service import IpfsAnswer
from primitives.errors import InvalidSignature, LimitExceeded, TransientError
from tests.node.fake_server import TOKEN, serving
from tests.node.fake_service import ALICE, FakeService

ALICE_TEXT = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
SIGNATURE = "0x" + "11" * 65
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
async def service() -> FakeService:
    return FakeService(blocks=130)


@pytest.fixture
async def client(service: FakeService):
    async with serving(service) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


def error_of(answer: httpx.Response) -> dict[str, str]:
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "risk", "fix"}
    assert all(error.values()), error
    return error


async def test_status_shows_heights_and_hex(client: httpx.AsyncClient) -> None:
    status = (await client.get("/v1/status")).json()
    assert status["executed"] <= status["final"] <= status["height"]
    assert status["state_root"].startswith("0x")
    assert len(status["state_root"]) == 66
    assert status["validator"]["address"] == ALICE_TEXT


async def test_a_market_is_found_by_id_and_by_name(client: httpx.AsyncClient) -> None:
    by_id = await client.get("/v1/markets/1/book?depth=3")
    by_name = await client.get("/v1/markets/weth-usdx/book?depth=3")
    assert by_id.json() == by_name.json()
    assert len(by_id.json()["bids"]) == 3
    assert error_of(await client.get("/v1/markets/9/book"))["code"] == "not_found"


async def test_book_sides_run_outwards(client: httpx.AsyncClient) -> None:
    book = (await client.get("/v1/markets/1/book")).json()
    bids = [level[0] for level in book["bids"]]
    asks = [level[0] for level in book["asks"]]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]


async def test_trade_pages_cover_all_trades_once(client: httpx.AsyncClient) -> None:
    seen: list[int] = []
    cursor = ""
    while True:
        page = (await client.get(f"/v1/markets/0/trades?limit=40{cursor}")).json()
        seen += [trade["id"] for trade in page["trades"]]
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    market = (await client.get("/v1/markets")).json()["markets"][0]
    assert len(seen) == len(set(seen)) == market["trades"]
    assert seen == sorted(seen, reverse=True)


async def test_amounts_are_decimal_strings(client: httpx.AsyncClient) -> None:
    account = (await client.get(f"/v1/accounts/{ALICE_TEXT}")).json()
    assert account["balances"][1]["free"] == str(1_000 * 10**18)
    proof = (await client.get("/v1/settlement/withdrawals/1/proof")).json()
    assert proof["amount"] == str(10**30)
    assert len(proof["proof"]) == 32


async def test_messagepack_carries_raw_bytes(client: httpx.AsyncClient) -> None:
    accept = {"accept": "application/msgpack"}
    answer = await client.get(f"/v1/accounts/{ALICE_TEXT}", headers=accept)
    assert msgspec.msgpack.decode(answer.content)["address"] == ALICE
    proof = await client.get("/v1/settlement/withdrawals/1/proof", headers=accept)
    assert msgspec.msgpack.decode(proof.content)["amount"] == str(10**30)


async def test_a_validators_score_is_shown_part_by_part(client: httpx.AsyncClient) -> None:
    seat = (await client.get("/v1/validators")).json()["validators"][1]
    found = (await client.get(f"/v1/validators/{seat['address']}/score")).json()
    assert found["seat"] == 1
    assert found["score"] == found["period_score"] == 500_000
    assert found["pay_share"] == 250_000
    assert found["stake"] == str(10**21)
    assert sum(part["points"] for part in found["parts"]) == 100
    assert found["parts"][3]["name"] == "chat"
    assert found["parts"][3]["ratio"] is None


async def test_unknown_things_are_404(client: httpx.AsyncClient) -> None:
    for path in (
        "/v1/nothing",
        "/v1/accounts/0x" + "00" * 20,
        "/v1/validators/0x" + "00" * 20 + "/score",
        "/v1/blocks/999999",
        "/v1/blocks/0x" + "00" * 32,
        "/v1/settlement/withdrawals/77/proof",
        "/v1/actions/0x" + "00" * 32,
        "/web/none.js",
        "/web/../server.py",
        "/web/%2e%2e/%2e%2e/pyproject.toml",
    ):
        answer = await client.get(path)
        assert answer.status_code == 404, path
        assert error_of(answer)["code"] == "not_found"


async def test_a_wrong_method_says_which_is_right(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/v1/status")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/v1/markets/1/book?dept=3", "did you mean 'depth'"),
        ("/v1/markets/1/book?depth=0", "from 1 to"),
        ("/v1/markets/1/book?depth=99999999999999999999999", "from 1 to"),
        ("/v1/markets/1/book?depth=1e3", "from 1 to"),
        ("/v1/markets/1/book?depth=٣", "from 1 to"),
        ("/v1/markets/1/book?depth=3&depth=4", "twice"),
        ("/v1/markets/1/candles?interval=7m", "one of"),
        ("/v1/orders", "missing"),
        ("/v1/orders?account=0x12", "40 hex"),
        ("/v1/orders?account=0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92267", "40 hex"),
        ("/v1/blocks/-1", "whole number"),
        ("/v1/blocks/0xzz", "64 hex"),
        ("/v1/blocks?from=9223372036854775808", "whole number"),
        ("/v1/chat/rooms/%00/messages", "printable"),
    ],
)
async def test_a_bad_parameter_says_what_is_allowed(
    client: httpx.AsyncClient, path: str, hint: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == 400
    assert hint in error_of(answer)["message"]


async def test_actions_are_taken_in_both_encodings(
    client: httpx.AsyncClient, service: FakeService
) -> None:
    actions = [
        {"payload": "0x0102", "signature": SIGNATURE},
        {"payload": "0x626164", "signature": SIGNATURE},
    ]
    answer = await client.post("/v1/actions", json={"actions": actions})
    good, bad = answer.json()["results"]
    assert good["accepted"] is True
    assert "code" not in good
    assert bad == {"id": "0x", "accepted": False, "code": "MALFORMED", "error": "no action"}

    packed = msgspec.msgpack.encode([(b"\x01\x02", b"\x11" * 65)])
    binary = await client.post(
        "/v1/actions", content=packed, headers={"content-type": "application/msgpack"}
    )
    assert binary.json()["results"][0]["id"] == good["id"]
    assert service.submitted[0] == service.submitted[2] == (b"\x01\x02", b"\x11" * 65)


async def test_too_many_actions_are_refused_whole(
    client: httpx.AsyncClient, service: FakeService
) -> None:
    action = {"payload": "0x01", "signature": SIGNATURE}
    for count in (0, ACTIONS_PER_REQUEST_MAX + 1):
        answer = await client.post("/v1/actions", json={"actions": [action] * count})
        assert answer.status_code == 400
    assert not service.submitted


async def test_a_body_needs_its_type(client: httpx.AsyncClient) -> None:
    """A page of another site can send text/plain without asking first; it gets nothing."""
    answer = await client.post("/v1/actions", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415


async def test_operator_endpoints_need_the_token(
    client: httpx.AsyncClient, service: FakeService
) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer é"}):
        raw = {name: value.encode() for name, value in headers.items()}
        answer = await client.get("/v1/operator/peers", headers=raw)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert not service.stopped.is_set()
    assert (await client.get("/v1/operator/peers", headers=BEARER)).status_code == 200
    body = {"peer": "12D3KooWFake", "banned": True}
    assert (await client.post("/v1/operator/peers/ban", json=body, headers=BEARER)).json()["done"]
    assert service.banned == {"12D3KooWFake": True}
    bad = await client.post("/v1/operator/peers", json={"multiaddr": "nope"}, headers=BEARER)
    assert error_of(bad)["code"] == "invalid_message"
    await client.post("/v1/operator/stop", headers=BEARER)
    assert service.stopped.is_set()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8640", "127.0.0.1.evil.example"])
async def test_a_foreign_host_name_is_refused(client: httpx.AsyncClient, host: str) -> None:
    answer = await client.get("/v1/status", headers={"host": host})
    assert answer.status_code == 403
    assert error_of(answer)["code"] == "forbidden_host"


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8640", "192.168.1.4:8640"])
async def test_an_address_or_localhost_is_welcome(client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get("/healthz", headers={"host": host})).status_code == 200


async def test_pages_of_other_origins_are_refused(client: httpx.AsyncClient) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        answer = await client.get("/v1/status", headers={"origin": origin})
        assert answer.status_code == 403
    own = str(client.base_url).rstrip("/")
    assert (await client.get("/v1/status", headers={"origin": own})).status_code == 200


async def test_names_and_origins_can_be_allowed(service: FakeService) -> None:
    access = Access(
        token=TOKEN,
        hosts=frozenset({"dex.example"}),
        origins=frozenset({"https://app.example"}),
    )
    async with serving(service, access) as url, httpx.AsyncClient(base_url=url) as client:
        headers = {"host": "dex.example", "origin": "https://app.example"}
        assert (await client.get("/v1/status", headers=headers)).status_code == 200


async def test_too_many_requests_are_429(service: FakeService) -> None:
    access = Access(token=TOKEN, requests_per_s=1, actions_per_s=1)
    async with serving(service, access) as url, httpx.AsyncClient(base_url=url) as client:
        codes = [(await client.get("/healthz")).status_code for _ in range(6)]
        assert codes[0] == 200
        assert codes[-1] == 429


async def test_errors_of_the_node_become_answers(
    client: httpx.AsyncClient, service: FakeService
) -> None:
    for error, status, code in (
        (TransientError("starting"), 503, "unavailable"),
        (InvalidSignature("fits no key"), 400, "invalid_signature"),
        (LimitExceeded("too deep"), 400, "limit_exceeded"),
        (RuntimeError("a bug with a secret"), 500, "internal"),
    ):
        service.fail_next = error
        answer = await client.get("/v1/markets/1/book")
        assert (answer.status_code, error_of(answer)["code"]) == (status, code)
        assert "secret" not in answer.text
    assert (await client.get("/v1/markets/1/book")).status_code == 200


async def test_readyz_is_503_until_ready() -> None:
    async with serving(FakeService(blocks=0)) as url, httpx.AsyncClient(base_url=url) as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["problems"][0]["code"] == "RUN002"
        assert answer.json()["waits_for"] == "a first block"
        assert (await client.get("/healthz")).status_code == 200


async def test_every_answer_keeps_browsers_safe(client: httpx.AsyncClient) -> None:
    for path in ("/", "/v1/status", "/nothing", "/metrics"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "unsafe" not in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


async def test_content_by_cid_cannot_run_in_the_page(
    client: httpx.AsyncClient, service: FakeService
) -> None:
    cid = service.summaries[-1].cid
    answer = await client.get(f"/ipfs/{cid}?format=raw")
    assert answer.content == b"block130"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert (await client.get("/ipfs/nonsense")).status_code == 400


async def test_a_stream_of_content_is_passed_on(
    client: httpx.AsyncClient, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def chunks():
        for _ in range(3):
            yield b"part"

    async def ipfs(cid: str, form: str, headers: object) -> IpfsAnswer:
        kind = (("content-type", "application/vnd.ipld.car"),)
        return IpfsAnswer(status=200, headers=kind, body=chunks())

    monkeypatch.setattr(service, "ipfs", ipfs)
    answer = await client.get("/ipfs/anything?format=car")
    assert answer.content == b"part" * 3
    assert answer.headers["content-type"] == "application/vnd.ipld.car"


async def test_the_page_is_cached_by_its_content(client: httpx.AsyncClient) -> None:
    first = await client.get("/")
    again = await client.get("/", headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)


async def test_chat_is_posted_and_read(client: httpx.AsyncClient) -> None:
    body = {"payload": "0x" + b"hello".hex(), "signature": SIGNATURE}
    receipt = await client.post("/v1/chat/rooms/lobby/messages", json=body)
    assert receipt.json()["stored"] is True
    messages = (await client.get("/v1/chat/rooms/lobby/messages?limit=1")).json()["messages"]
    assert messages[0]["text"] == "hello"
    assert (await client.post("/v1/chat/direct", json=body)).status_code == 200
    assert (await client.post("/v1/chat/prekeys", json=body)).status_code == 200
    assert (await client.get(f"/v1/chat/direct/{ALICE_TEXT}")).json()["messages"]
    assert (await client.get(f"/v1/chat/prekeys/{ALICE_TEXT}")).json()["prekeys"]


async def test_metrics_are_prometheus_text(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "omnibazaar_final_height 130.0" in answer.text
