"""Facts about blocks and their CIDs."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from consensus.block import (
    BlockBody,
    compute_block_cid,
    encode_block_node,
    make_block,
    open_block,
    tip_of,
)
from consensus.header import encode_header
from consensus.vote import Kind
from primitives import dag_cbor
from primitives.cid import DAG_CBOR, RAW, Cid
from primitives.errors import InvalidBlock
from tests.consensus.desk import Desk

BUNDLES = (b"\x01" * 32, b"\x02" * 32)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_block_survives_the_wire(desk: Desk):
    first = desk.block(1, bundles=BUNDLES)
    block = desk.block(2, first, bundles=BUNDLES)
    opened = open_block(msgspec.msgpack.decode(msgspec.msgpack.encode(block.body), type=BlockBody))
    assert (opened.hash, opened.header, opened.body) == (block.hash, block.header, block.body)


def test_a_body_that_differs_from_its_header_is_no_block(desk: Desk):
    parent = desk.block(1)
    other = desk.block(1, bundles=BUNDLES)
    block = desk.block(2, parent, bundles=BUNDLES)
    offence = msgspec.structs.replace(block.body, attendance=desk.notarization(other))
    for body in (
        msgspec.structs.replace(block.body, bundles=BUNDLES[:1]),
        msgspec.structs.replace(block.body, bundles=BUNDLES[::-1]),
        msgspec.structs.replace(block.body, attendance=None),
        offence,
        msgspec.structs.replace(block.body, header=encode_header(replace(block.header, epoch=2))),
    ):
        try:
            opened = open_block(body)
        except InvalidBlock:
            continue
        assert opened.hash != block.hash


def test_the_cid_is_a_function_of_words_bundles_and_parent(desk: Desk):
    block = desk.block(1, bundles=BUNDLES)
    cid = compute_block_cid(block, None)
    assert cid.codec == DAG_CBOR
    assert cid == compute_block_cid(open_block(block.body), None)
    child = desk.block(2, block)
    node = dag_cbor.decode(encode_block_node(child, cid))
    assert node == {"bundles": [], "header": child.body.header, "parent": cid}
    assert compute_block_cid(child, cid) != compute_block_cid(child, Cid(DAG_CBOR, bytes(32)))


def test_the_node_links_to_its_bundles(desk: Desk):
    node = dag_cbor.decode(encode_block_node(desk.block(1, bundles=BUNDLES), None))
    assert node["bundles"] == [Cid(RAW, digest) for digest in BUNDLES]
    assert node["parent"] is None


def test_attendance_with_other_votes_makes_another_block(desk: Desk):
    parent = desk.block(1)
    blocks = {
        desk.block(2, parent, attendance=desk.notarization(parent, signers)).hash
        for signers in ((0, 1, 2), (1, 2, 3), (0, 1, 2, 3))
    }
    assert len(blocks) == 3


def test_a_block_is_the_tip_of_its_children(desk: Desk):
    block = desk.block(1)
    tip = tip_of(block)
    assert (tip.hash, tip.height, tip.view) == (block.hash, 1, 1)
    assert make_block(block.header, (), None, ()).hash == block.hash
    assert desk.vote(1, Kind.NOTARIZE, 1, block.hash).block_hash == tip.hash
