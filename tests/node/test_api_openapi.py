"""The description of the API agrees with what it serves.

Rule: every path is described and every answer of the fake node validates against its schema.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from node.api.app import ENDPOINTS
from node.api.endpoint import INTERVALS_MS, Endpoint
from node.api.errors import CODES
from node.api.hub import CHANNELS
from node.api.openapi import build_openapi
from primitives.keccak import keccak256
from storage.candles import INTERVALS_MS as STORED_INTERVALS_MS
from tests.node.fake_server import TOKEN, serving
from tests.node.fake_service import FakeService

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = build_openapi(ENDPOINTS, "0.1.0")
ALICE_TEXT = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
SIGNED = {"payload": "0x01", "signature": "0x" + "11" * 65}
VALUES = {
    "market": "1",
    "block": "3",
    "address": ALICE_TEXT,
    "account": ALICE_TEXT,
    "validator": "0x" + keccak256(b"validator1")[:20].hex(),
    "id": "0x" + "11" * 32,
    "index": "1",
    "chain": "31337",
    "room": "lobby",
    "asset": "1",
}
BODIES: dict[str, Any] = {
    "/v1/actions": {"actions": [SIGNED]},
    "/v1/relay/claims": {"index": 1, "fee": "1", "deadline_s": 1, "signature": "0x" + "11" * 65},
    "/v1/relay/deposits": {
        "chain_id": 1,
        "depositor": ALICE_TEXT,
        "token": ALICE_TEXT,
        "amount": "5",
        "fee": "1",
        "beneficiary": ALICE_TEXT,
        "nonce": "1",
        "deadline_s": 1,
        "signature": "0x" + "11" * 65,
    },
    "/v1/operator/decisions": {
        "chain_id": 31337,
        "vault": "0x" + "22" * 20,
        "kind": 1,
        "value": "1",
    },
    "/v1/operator/decisions/approve": {"id": "0x" + "11" * 32},
    "/v1/operator/decisions/withdraw": {"id": "0x" + "11" * 32},
    "/v1/sealed": {"commit": SIGNED, "opening": SIGNED},
    "/v1/operator/peers": {"multiaddr": "/ip4/127.0.0.1/tcp/1"},
    "/v1/operator/peers/ban": {"peer": "x"},
    "/v1/operator/isolate": {"addresses": [ALICE_TEXT]},
}


def validate(value: Any, schema: dict[str, Any], place: str = "answer") -> None:
    """Check a value against the part of JSON Schema that `openapi.py` writes."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        validate(value, DOCUMENT["components"]["schemas"][name], f"{place}:{name}")
        return
    if "anyOf" in schema:
        fits = 0
        for option in schema["anyOf"]:
            try:
                validate(value, option, place)
                fits += 1
            except AssertionError:
                continue
        assert fits, f"{place} fits nothing: {value!r}"
        return
    if "enum" in schema:
        assert value in schema["enum"], f"{place}: {value!r}"
        return
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    if schema["type"] == "integer":
        assert type(value) is int, f"{place}: {value!r}"
        return
    assert isinstance(value, kinds[schema["type"]]), f"{place}: {value!r}"
    if "pattern" in schema:
        assert re.fullmatch(schema["pattern"], value), f"{place}: {value!r}"
    if schema["type"] == "object" and "properties" in schema:  # else whatever the terms are
        assert set(schema["required"]) <= set(value) <= set(schema["properties"]), place
        for name, item in value.items():
            validate(item, schema["properties"][name], f"{place}.{name}")
    if schema["type"] == "array":
        parts = schema.get("prefixItems") or [schema["items"]] * len(value)
        assert len(parts) == len(value), place
        for index, (item, part) in enumerate(zip(value, parts, strict=True)):
            validate(item, part, f"{place}[{index}]")


async def ask(client: httpx.AsyncClient, endpoint: Endpoint) -> httpx.Response:
    path = endpoint.path
    query = {}
    for parameter in endpoint.parameters:
        if "{" + parameter.name + "}" in path:
            path = path.replace("{" + parameter.name + "}", VALUES[parameter.name])
        elif parameter.required:
            query[parameter.name] = VALUES[parameter.name]
    headers = {"authorization": f"Bearer {TOKEN}"} if endpoint.operator else {}
    if endpoint.method == "GET":
        return await client.get(path, params=query, headers=headers)
    body = BODIES.get(endpoint.path, SIGNED) if endpoint.body is not None else None
    return await client.post(path, json=body, headers=headers)


async def test_every_answer_fits_its_schema() -> None:
    async with (
        serving(FakeService(blocks=200)) as url,
        httpx.AsyncClient(base_url=url, timeout=20) as client,
    ):
        described = (await client.get("/v1/openapi.json")).json()
        assert described["paths"].keys() == DOCUMENT["paths"].keys()
        for endpoint in ENDPOINTS:
            if isinstance(endpoint.answer, str):
                continue
            answer = await ask(client, endpoint)
            assert answer.status_code == 200, (endpoint.path, answer.text)
            operation = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            validate(answer.json(), schema, endpoint.path)


async def test_a_refusal_fits_its_schema() -> None:
    async with (
        serving(FakeService(blocks=1)) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        refusal = (await client.get("/v1/nothing")).json()
        validate(refusal, DOCUMENT["components"]["schemas"]["Error"])


def test_the_document_is_openapi_and_every_reference_resolves() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    names = re.findall(r"#/components/schemas/(\w+)", str(DOCUMENT))
    assert names
    assert set(names) <= set(DOCUMENT["components"]["schemas"])
    operations = [
        one["operationId"] for path in DOCUMENT["paths"].values() for one in path.values()
    ]
    assert len(operations) == len(set(operations))


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda item: f"{item.method} {item.path}")
def test_every_path_parameter_is_declared(endpoint: Endpoint) -> None:
    in_path = set(re.findall(r"\{(\w+)\}", endpoint.path))
    assert in_path <= {parameter.name for parameter in endpoint.parameters}


def test_candle_intervals_are_those_the_store_keeps() -> None:
    assert tuple(INTERVALS_MS.values()) == STORED_INTERVALS_MS


def test_the_reference_page_names_every_path_channel_and_error() -> None:
    page = (ROOT / "docs/reference/api.md").read_text(encoding="utf-8")
    for endpoint in ENDPOINTS:
        assert f"`{endpoint.method} {endpoint.path}`" in page, endpoint.path
    for channel in CHANNELS:
        assert f"`{channel}`" in page
    for code in CODES:
        assert f"`{code}`" in page
