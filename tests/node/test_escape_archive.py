"""An archive is named by what is in it, and nothing in it is believed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from node.settlement.escape_archive import (
    Archive,
    Parts,
    decode_archive,
    find_kept,
    keep_archive,
    read_parts,
)
from node.settlement.escape_payments import Payment, PaymentFile, read_payments, write_payments
from node.settlement.escape_replay import load_archive, rebuild
from primitives import dag_cbor
from primitives.cid import Cid
from primitives.errors import ConfigError, InvalidMessage, PeerError
from storage.block_store import BlockStore
from storage.snapshots import Snapshots
from tests.node.test_network_file import make

ROOT = b"r" * 32


def archive(**changes: Any) -> Archive:
    values: dict[str, Any] = {
        "height": 30,
        "state_root": ROOT,
        "snapshot": None,
        "blocks": (Cid.raw(b"body"),),
        "bundles": (),
    }
    return Archive(**{**values, **changes})


def test_an_archive_is_read_back_as_it_was_written() -> None:
    one = archive()
    assert decode_archive(one.encode()) == one
    assert load_archive(one.cid, {one.cid: one.encode()}.get) == one


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"height": "30"},
        {"stateRoot": b"short"},
        {"snapshot": b"no link"},
        {"blocks": [b"no link"]},
        {"bundles": None},
        {"more": 1},
    ],
)
def test_other_maps_are_no_archives(change: dict[str, Any]) -> None:
    value = {**dag_cbor.decode(archive().encode()), **change}  # type: ignore[dict-item]
    with pytest.raises(InvalidMessage):
        decode_archive(dag_cbor.encode(value))


def test_a_gateway_that_gives_other_bytes_is_noticed() -> None:
    with pytest.raises(PeerError):
        load_archive(archive().cid, lambda cid: archive(height=31).encode())
    with pytest.raises(PeerError, match="lacks"):
        load_archive(archive().cid, lambda cid: None)


def test_kept_archives_hold_their_blocks_and_push_older_ones_out(tmp_path: Any) -> None:
    store = BlockStore(tmp_path / "blocks.sqlite")
    snapshots = Snapshots(store)
    for height in (30, 60, 90):
        manifest = snapshots.write(height - 6, ROOT, [b"state %d" % height])
        bundle = b"bundle %d" % height
        parts = Parts(bodies=(b"body %d" % height,), bundles={Cid.raw(bundle).digest: bundle})
        cid = keep_archive(
            store,
            snapshots,
            chain_id=5,
            height=height,
            state_root=ROOT,
            snapshot=manifest.cid,
            parts=parts,
        )
        assert find_kept(store, 5) == (height, cid)
        snapshots.prune(1)
        found = load_archive(cid, store.get)
        for part in (*found.blocks, *found.bundles, manifest.cid, *manifest.chunks):
            assert store.is_pinned(part)
    assert not store.is_pinned(Cid.raw(b"body 30"))
    assert store.is_pinned(Cid.raw(b"body 60"))
    assert find_kept(store, 55) is None
    store.close()


def test_blocks_that_are_gone_make_no_archive() -> None:
    row = SimpleNamespace(encoded=b"body", bundles=(b"d" * 32,))
    reader: Any = SimpleNamespace(
        block=lambda height: row if height < 3 else None,
        bundle=lambda digest: SimpleNamespace(data=b"bundle"),
    )
    found = read_parts(reader, 1, 2)
    assert found is not None
    assert found.bodies == (b"body", b"body")
    assert found.bundles == {b"d" * 32: b"bundle"}
    assert read_parts(reader, 1, 3) is None
    reader.bundle = lambda digest: SimpleNamespace(data=None)
    assert read_parts(reader, 1, 2) is None


def test_a_body_that_is_no_block_is_refused() -> None:
    one = archive()
    with pytest.raises(PeerError):
        rebuild(make(), one, {Cid.raw(b"body"): b"body"}.get)


def test_a_file_of_proofs_is_checked_before_it_is_used() -> None:
    file = PaymentFile(
        network_id="0x" + "11" * 32,
        chain_id=5,
        vault="0x" + "22" * 20,
        height=30,
        state_root="0x" + ROOT.hex(),
        owner="0x" + "33" * 20,
        payments=(
            Payment(
                kind="refund", number=1, symbol="X", amount="7", to="0x" + "33" * 20, calldata="0x"
            ),
        ),
    )
    assert read_payments(write_payments(file)) == file
    for change in ({"version": 2}, {"payments": [{"kind": "gift"}]}, {"state_root": "zz"}):
        raw = {**msgspec.to_builtins(file), **change}
        with pytest.raises(ConfigError):
            read_payments(msgspec.json.encode(raw))
