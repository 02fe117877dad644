"""Public IPLD and gateway vectors: what every IPFS implementation reads, ours reads."""

from __future__ import annotations

import json
import lzma

import pytest

from primitives import dag_cbor
from primitives.cid import DAG_CBOR, DAG_PB, RAW, Cid
from primitives.errors import InvalidMessage, PeerError, TransientError
from storage import car
from storage.dag import find_links
from storage.dag_pb import decode_node, encode_node
from storage.dag_walk import walk
from storage.gateway import respond
from storage.protobuf import read_varint
from tests.storage.memory_blocks import MemoryBlocks

pytestmark = pytest.mark.data


@pytest.fixture
def conformance(data_dir):
    return data_dir / "vectors" / "gateway_conformance"


def read_all(archive):
    """Read a CAR, leaving out its header (some state no roots) and blocks of other hashes."""
    blocks = {}
    length, at = read_varint(archive, 0)
    at += length
    while at < len(archive):
        length, at = read_varint(archive, at)
        section = archive[at : at + length]
        at += length
        try:
            cid, data = Cid.decode_prefix(section)
        except InvalidMessage:
            continue
        cid.verify(data)
        blocks[cid] = data
    return blocks


def walk_slowly(cid, blocks, seen):
    """Say what depth first without repetition is."""
    if cid not in seen:
        seen.append(cid)
        for link in find_links(cid, blocks[cid]):
            walk_slowly(link, blocks, seen)
    return seen


def test_dag_pb_fixtures_are_written_as_they_were_read(data_dir):
    archive = lzma.decompress((data_dir / "vectors" / "ipld" / "fixtures.car.xz").read_bytes())
    nodes, refused = 0, []
    for cid, block in read_all(archive).items():
        if cid.codec != DAG_PB:
            continue
        try:
            node = decode_node(block)
        except InvalidMessage:
            refused.append(block)
            continue
        has_v0_links = b"\x0a\x22\x12\x20" in block
        nodes += 1
        assert has_v0_links or encode_node(node.links, node.data) == block
    assert nodes >= 9
    assert all(b"\x01\x55\x00\x05" in block for block in refused)  # links to identity hashes


def test_links_of_dag_cbor_fixtures_are_found(data_dir):
    archive = lzma.decompress((data_dir / "vectors" / "ipld" / "fixtures.car.xz").read_bytes())
    read = [
        (cid, dag_cbor.decode(block))
        for cid, block in read_all(archive).items()
        if cid.codec == DAG_CBOR and b"\x01\x55\x00\x05" not in block
    ]
    linked = [cid for cid, value in read if dag_cbor.links(value)]
    assert len(read) > 30
    assert linked


def test_what_a_dag_pb_decoder_must_refuse(data_dir):
    path = data_dir / "vectors/ipld/negative-fixtures/dag-pb/decode/edges.json"
    cases = json.loads(path.read_text())
    assert len(cases) == 9
    for case in cases:
        with pytest.raises(PeerError):
            decode_node(bytes.fromhex(case["hex"]))


async def collect(answer):
    assert answer.status == 200, answer.body
    if isinstance(answer.body, bytes):
        return answer.body
    return b"".join([part async for part in answer.body])


async def test_raw_block_of_the_conformance_fixture(conformance):
    blocks = read_all((conformance / "gateway-raw-block.car").read_bytes())
    source = MemoryBlocks(blocks)
    for cid, block in blocks.items():
        answer = await respond(source, str(cid), form="raw")
        headers = dict(answer.headers)
        assert answer.body == block
        assert headers["Content-Type"] == "application/vnd.ipld.raw"
        assert headers["Content-Length"] == str(len(block))
        assert headers["Content-Disposition"] == f'attachment; filename="{cid}.bin"'
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "immutable" in headers["Cache-Control"]
    assert len(blocks) == 3


@pytest.mark.parametrize(
    "name",
    [
        "trustless_gateway_car/dir-with-duplicate-files.car",
        "trustless_gateway_car/subdir-with-two-single-block-files.car",
        "trustless_gateway_car/subdir-with-mixed-block-files.car",
        "trustless_gateway_car/single-layer-hamt-with-multi-block-files.car",
        "trustless_gateway_car/dir-with-dag-cbor-with-links.car",
        "path_gateway_dag/dag-cbor-traversal.car",
        "gateway-raw-block.car",
    ],
)
async def test_car_of_a_fixture_holds_its_dag_once_in_depth_first_order(conformance, name):
    archive = (conformance / name).read_bytes()
    blocks = read_all(archive)
    source = MemoryBlocks(blocks)
    for root in car.read_roots(archive)[0]:
        answered = await collect(await respond(source, str(root), form="car"))
        assert car.read_roots(answered)[0] == (root,)
        got = list(car.read_blocks(answered))
        assert got[0][0] == root
        assert [cid for cid, _ in got] == walk_slowly(root, blocks, [])


async def test_car_with_a_missing_block_breaks_off(conformance):
    archive = (
        conformance / "trustless_gateway_car/file-3k-and-3-blocks-missing-block.car"
    ).read_bytes()
    blocks = read_all(archive)
    (root,) = (cid for cid in blocks if is_root(cid, blocks))
    answer = await respond(MemoryBlocks(blocks), str(root), form="car")
    parts = []

    async def read_parts():
        async for part in answer.body:
            parts.append(part)  # noqa: PERF401 - what came before the gap is looked at

    with pytest.raises(TransientError, match="not here"):
        await read_parts()
    assert len(parts) in range(2, len(blocks) + 1)


def is_root(cid, blocks):
    return not any(cid in find_links(other, block) for other, block in blocks.items())


async def test_every_fixture_can_be_walked_or_says_why_not(conformance):
    walked = 0
    for path in sorted(conformance.rglob("*.car")):
        archive = path.read_bytes()
        blocks = read_all(archive)
        for root in [cid for cid in blocks if cid.codec in (RAW, DAG_PB, DAG_CBOR)]:
            try:
                async for _ in walk(MemoryBlocks(blocks), root):
                    walked += 1
            except (PeerError, TransientError):
                continue
    assert walked > 300
