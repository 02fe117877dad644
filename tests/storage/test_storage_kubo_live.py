"""A real Kubo: it pins our blocks, names files as we do, and speaks Bitswap with us."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time

import pytest
import trio

from primitives import dag_cbor
from primitives.cid import DAG_CBOR, Cid
from storage.bitswap import Bitswap
from storage.bitswap_host import HostStreams, parse_peer
from storage.kubo import Kubo
from storage.snapshots import make_manifest
from storage.unixfs import LEGACY_CID_V1, UNIXFS_V1_2025, import_bytes
from tests.storage.hosts import addresses, running_network
from tests.storage.memory_blocks import MemoryBlocks

# `Kubo` sets this filter itself, but pytest takes it away between fixture and test.
pytestmark = pytest.mark.filterwarnings("ignore:The 'strict' parameter:FutureWarning")

START_S = 60


class Daemon:
    """A Kubo on loopback that knows nobody."""

    def __init__(self, program, repo):
        self.program = program
        self.environment = {**os.environ, "IPFS_PATH": str(repo), "IPFS_TELEMETRY": "off"}
        self.run("init", "--profile=test", "--empty-repo")
        for key, value in (
            ("Addresses.Swarm", '["/ip4/127.0.0.1/tcp/0"]'),
            ("Addresses.API", '"/ip4/127.0.0.1/tcp/0"'),
            ("Addresses.Gateway", '""'),
            ("Bootstrap", "[]"),
            ("Routing.Type", '"none"'),
        ):
            self.run("config", "--json", key, value)
        self.process = subprocess.Popen(
            [program, "daemon"],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        self.kubo = Kubo(self.wait_for(repo / "api"))

    def run(self, *arguments, data=b""):
        done = subprocess.run(
            [self.program, *arguments],
            env=self.environment,
            input=data,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    def wait_for(self, file):
        deadline = time.monotonic() + START_S
        while not file.exists() or not file.read_text():
            assert self.process.poll() is None, "ipfs daemon has ended"
            assert time.monotonic() < deadline, "ipfs daemon does not come up"
            time.sleep(0.05)  # another program's start cannot be waited for in another way
        return file.read_text().strip()

    def identity(self):
        return self.kubo._client.id()

    def stop(self):
        self.kubo.close()
        self.process.terminate()
        self.process.wait(120)


@pytest.fixture(scope="module")
def daemon(kubo_program, tmp_path_factory):
    daemon = Daemon(kubo_program, tmp_path_factory.mktemp("kubo"))
    yield daemon
    daemon.stop()


def test_version_is_read(daemon):
    assert daemon.kubo.check().count(".") == 2


def test_snapshot_is_pinned_and_read_back(daemon):
    chunks = [hashlib.shake_128(bytes([i])).digest(1 << 20) for i in range(3)]
    manifest = make_manifest(100, b"r" * 32, chunks)
    blocks = [*zip(manifest.chunks, chunks, strict=True), (manifest.cid, manifest.encode())]
    sent = daemon.kubo.pin_dag(manifest.cid, blocks)
    assert sent == (3 << 20) + len(manifest.encode())
    assert manifest.cid in daemon.kubo.pins()
    assert daemon.kubo.get(manifest.cid) == manifest.encode()
    assert daemon.kubo.get(manifest.chunks[2]) == chunks[2]
    walked = daemon.run("refs", "-r", str(manifest.cid)).split()
    assert walked == [str(cid) for cid in manifest.chunks]
    daemon.kubo.pin_dag(manifest.cid, blocks)  # again is no error
    daemon.kubo.unpin(manifest.cid)
    daemon.kubo.unpin(manifest.cid)
    assert manifest.cid not in daemon.kubo.pins()


@pytest.mark.parametrize("size", [0, 1, 262_144, 262_145, 3_000_000, 48_000_000])
def test_files_have_the_same_ids(daemon, size):
    data = hashlib.shake_128(b"file").digest(size)
    options = ("add", "-Q", "-n", "--cid-version=1")
    legacy = daemon.run(*options, "--chunker=size-262144", "--max-file-links=174", data=data)
    assert str(import_bytes(data, lambda *_: None, LEGACY_CID_V1).cid) == legacy
    modern = daemon.run(*options, "--chunker=size-1048576", "--max-file-links=1024", data=data)
    assert str(import_bytes(data, lambda *_: None, UNIXFS_V1_2025).cid) == modern


async def test_bitswap_with_kubo_in_both_directions(daemon):
    theirs = [hashlib.shake_128(bytes([9, i])).digest(100_000 * i + 10) for i in range(8)]
    for data in theirs:
        daemon.kubo.put(Cid.raw(data), data)
    node = dag_cbor.encode({"block": Cid.raw(b"leaf"), "height": 7})
    ours = {Cid.of(DAG_CBOR, node): node, Cid.raw(b"leaf"): b"leaf"}
    ours |= {
        Cid.raw(d): d for d in (hashlib.shake_128(b"%d" % i).digest(1 << 20) for i in range(3))
    }
    identity = daemon.identity()
    dial = [address.split("/p2p/")[0] for address in identity["Addresses"]]
    async with running_network() as network, trio.open_nursery() as nursery:
        bitswap = Bitswap(HostStreams(network.host), MemoryBlocks(ours))
        await nursery.start(bitswap.run)
        await network.connect(identity["ID"], dial)
        for data in theirs:
            got = await bitswap.fetch(Cid.raw(data), [parse_peer(identity["ID"])], timeout_s=60)
            assert got == data
        for cid, data in ours.items():
            with trio.fail_after(60):
                assert await trio.to_thread.run_sync(daemon.kubo.get, cid) == data
        nursery.cancel_scope.cancel()


async def test_kubo_walks_our_dag_over_bitswap(daemon):
    leaves = [b"leaf %d" % i for i in range(20)]
    root = dag_cbor.encode({"leaves": [Cid.raw(leaf) for leaf in leaves]})
    cid = Cid.of(DAG_CBOR, root)
    ours = {cid: root, **{Cid.raw(leaf): leaf for leaf in leaves}}
    async with running_network() as network, trio.open_nursery() as nursery:
        bitswap = Bitswap(HostStreams(network.host), MemoryBlocks(ours))
        await nursery.start(bitswap.run)
        target = f"{addresses(network)[0]}/p2p/{network.peer_id}"
        await trio.to_thread.run_sync(daemon.run, "swarm", "connect", target)
        with trio.fail_after(60):
            await trio.to_thread.run_sync(daemon.run, "pin", "add", str(cid))
        assert cid in daemon.kubo.pins()
        nursery.cancel_scope.cancel()


def test_threads_may_share_a_client(daemon):
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(daemon.kubo.check())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 4
