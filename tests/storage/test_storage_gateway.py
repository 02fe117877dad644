from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from primitives import dag_cbor
from primitives.cid import DAG_CBOR, Cid
from primitives.errors import LimitExceeded, PeerError, TransientError
from storage import car, limits
from storage.dag_walk import walk
from storage.gateway import choose_form, respond
from tests.storage.memory_blocks import MemoryBlocks

LEAVES = [Cid.raw(bytes([i])) for i in range(3)]
BLOCKS = {cid: bytes([i]) for i, cid in enumerate(LEAVES)}
NODE = dag_cbor.encode({"a": LEAVES[1], "b": [LEAVES[0], LEAVES[1]], "c": {"d": LEAVES[2]}})
ROOT = Cid.of(DAG_CBOR, NODE)
SOURCE = MemoryBlocks({**BLOCKS, ROOT: NODE})


async def get(cid=ROOT, source=SOURCE, **options):
    return await respond(source, str(cid), **options)


async def read(answer):
    if isinstance(answer.body, bytes):
        return answer.body
    return b"".join([part async for part in answer.body])


async def test_raw_block_is_the_block():
    answer = await get(form="raw")
    assert (answer.status, answer.body) == (200, NODE)
    headers = dict(answer.headers)
    assert headers["Content-Type"] == "application/vnd.ipld.raw"
    assert headers["Etag"] == f'"{ROOT}.raw"'
    assert headers["X-Ipfs-Roots"] == str(ROOT)


async def test_car_holds_the_dag_once_parents_first():
    answer = await get(form="car")
    assert dict(answer.headers)["Content-Type"].startswith("application/vnd.ipld.car; version=1")
    archive = await read(answer)
    assert car.read_roots(archive)[0] == (ROOT,)
    assert [cid for cid, _ in car.read_blocks(archive)] == [ROOT, LEAVES[1], LEAVES[0], LEAVES[2]]


async def test_car_of_one_block():
    archive = await read(await get(form="car", scope="block"))
    assert list(car.read_blocks(archive)) == [(ROOT, NODE)]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("application/vnd.ipld.raw", "raw"),
        ("text/html, application/vnd.ipld.car;q=0.5", "car"),
        ("application/vnd.ipld.car; version=1; order=dfs; dups=n", "car"),
        ("application/vnd.ipld.car; version=2, application/vnd.ipld.raw", "raw"),
        ("application/vnd.ipld.car; version=2", ""),
        ("*/*", ""),
        ("", ""),
    ],
)
async def test_accept_header_chooses_the_form(accept, form):
    assert choose_form(accept) == form
    answer = await get(headers=[("Accept", accept)])
    assert answer.status == (200 if form else 406)


async def test_query_wins_over_the_header():
    answer = await get(form="raw", headers=[("accept", "application/vnd.ipld.car")])
    assert answer.body == NODE


async def test_head_has_the_headers_without_the_body():
    full, head = await get(form="raw"), await get(form="raw", is_head=True)
    assert (head.headers, head.body) == (full.headers, b"")
    assert (await get(form="car", is_head=True)).body == b""


@pytest.mark.parametrize("tag", ['"{}.raw"', 'W/"{}.raw"', '"other", "{}.raw"', "*"])
async def test_what_the_client_has_is_not_sent_again(tag):
    headers = [("If-None-Match", tag.format(ROOT))]
    answer = await get(form="raw", headers=headers)
    assert (answer.status, answer.body) == (304, b"")


async def test_missing_block_is_404_and_412_when_only_the_cache_may_answer():
    missing = Cid.raw(b"missing")
    assert (await get(missing, form="raw")).status == 404
    headers = [("Cache-Control", "only-if-cached")]
    assert (await get(missing, form="raw", headers=headers)).status == 412


async def test_gap_in_a_car_breaks_it_off():
    source = MemoryBlocks({ROOT: NODE, LEAVES[1]: b"\1"})
    answer = await get(form="car", source=source)
    assert answer.status == 200
    with pytest.raises(TransientError, match="not here"):
        await read(answer)


@pytest.mark.parametrize("gap", [" ", "\r\n", "\t"])
async def test_white_space_in_a_cid_never_reaches_a_header(gap):
    text = "f" + ROOT.encode().hex()
    assert (await get(text, form="raw")).status == 200
    answer = await get(text[:9] + gap + text[9:], form="raw")
    assert answer.status == 400
    assert not any(text[:9] in value for _, value in answer.headers)


@given(st.text(max_size=200), st.sampled_from(["raw", "car", "html", ""]), st.text(max_size=20))
async def test_any_request_gets_an_answer(text, form, header):
    answer = await respond(
        SOURCE, text, form=form, headers=[("Accept", header), ("If-None-Match", header)]
    )
    assert answer.status in (304, 400, 404, 406)


async def test_walk_is_bounded_in_blocks_bytes_and_depth():
    async def count(**bounds):
        return len([cid async for cid, _ in walk(SOURCE, ROOT, **bounds)])

    assert await count() == 4
    with pytest.raises(LimitExceeded):
        await count(blocks_max=3)
    with pytest.raises(LimitExceeded):
        await count(bytes_max=10)
    chain, cid = {}, LEAVES[0]
    for _ in range(limits.DAG_DEPTH_MAX + 2):
        block = dag_cbor.encode([cid])
        cid = Cid.of(DAG_CBOR, block)
        chain[cid] = block
    with pytest.raises(LimitExceeded):
        async for _ in walk(MemoryBlocks({**chain, **BLOCKS}), cid):
            pass


async def test_block_that_is_not_what_its_codec_says_ends_the_walk():
    lie = Cid(DAG_CBOR, Cid.raw(b"\xff\xff").digest)
    with pytest.raises(PeerError):
        async for _ in walk(MemoryBlocks({lie: b"\xff\xff"}), lie):
            pass


@given(st.binary(max_size=120))
def test_any_bytes_are_a_car_or_a_peers_fault(data):
    try:
        list(car.read_blocks(data))
    except PeerError:
        return
    car.read_roots(data)
