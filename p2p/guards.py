"""Make py-libp2p 0.8.1 survive hostile peers, and spend less doing it.

Rule: every change to the library's inside is made here, once, for exactly one version; each says
what upstream change would make it unnecessary, and each has a test in
`tests/p2p/test_p2p_traps.py`.

Guards
    contain_streams      an exception in any inbound stream handler ends the whole `trio.run`
                         (until: the swarm isolates handlers); also bounds streams per connection
    contain_tasks        an exception in any task of the swarm or of pubsub ends the service, and
                         with it `trio.run` (until: services isolate what a peer's bytes start)
    free_inbound_slots   an inbound connection keeps its slot and its task after it has closed, so
                         a node turns deaf after `max_connections` reconnects
                         (until: `_do_handle_inbound_connection` waits for the connection)
    answer_apart         the read loop of a connection writes answers (pong, stream accepted)
                         itself; when both ends do so while both send bulk, both wait for ever
                         (until: the muxer answers from a task of its own)
    bound_buffers        a peer that ignores the window fills our memory through any stream that
                         nobody reads; streams it leaves half closed are kept for ever
                         (until: the muxer closes a connection that breaks its window)
    read_rpcs_buffered   each message of a gossip RPC becomes a task at once, and each entry of its
                         control part work: half a megabyte of tiny ones takes minutes
                         (until: the library bounds the entries of one RPC and of one peer)
    dial_nobody          the auto-connector aims at the middle of the watermarks, whatever the lower
                         one is, and dials every address a peer ever told us
                         (until: a low watermark of zero means none)
    forget_absent        of identities that once connected keys, addresses and records are kept, in
                         their thousands, and identities cost nothing
                         (until: the peer store forgets peers without a connection)
    dial                 of all TCP addresses ever heard of a peer one is tried, and a peer tells
                         those it listens on, which behind a router nobody can reach
                         (until: a dial takes its addresses and tries each)
    shut_down            a cancelled swarm leaves its listeners and sockets open
                         (until: its clean-up is shielded)
    force_close          every public way to close hangs on a peer that does not read
                         (until: `close_peer` takes a deadline)
Speed-ups
    yamux window         one encrypted WINDOW_UPDATE per read (until: credit is given lazily)
    yamux write          a debug string per frame; part of `answer_apart` (until: lazy logging)
    socket read          three system calls per small frame (until: buffered upstream)
    signed peer records  verified and rebuilt per RPC (until: cached upstream)
    pubsub read          three reads per small RPC (until: buffered upstream)

Spec: docs/spec/p2p.md §8 (The library); docs/adr/0040-libp2p-guards.md.
Deviations: none.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import libp2p.pubsub.gossipsub as gossipsub_module
import libp2p.pubsub.pubsub as pubsub_module
import trio
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.swarm import Swarm
from libp2p.peer.peerinfo import PeerInfo
from libp2p.stream_muxer.yamux import yamux

from p2p.containing import attempt
from p2p.gossip_reading import read_rpcs_buffered
from p2p.limits import PENDING_PER_IP_MAX, STREAMS_PER_CONNECTION_MAX, YAMUX_ANSWERS_MAX
from p2p.stream_buffers import bound_buffers
from primitives.errors import ConfigError

log = logging.getLogger(__name__)

TESTED_VERSION: Final = "0.8.1"
_WINDOW_BYTES: Final = 1 << 20
_SOCKET_READ_BYTES: Final = 1 << 16
_RECORD_TRUST_S: Final = 600.0
_RECORD_REUSE_S: Final = 5.0
_RECORDS_MAX: Final = 1024
_LAYERS: Final = ("conn", "stream", "read_writer", "read_write_closer")
_applied = False


def apply() -> None:
    """Change the library, once per process. Raises ConfigError for an untested version."""
    global _applied
    version = importlib.metadata.version("libp2p")
    if version != TESTED_VERSION:
        raise ConfigError(
            f"libp2p {version} is installed, the guards are made for {TESTED_VERSION}",
            code="P2P003",
            fix="pip install -e . -c constraints.txt",
        )
    if _applied:
        return
    _credit_windows_lazily()
    _answer_apart()
    bound_buffers(close_connection)
    _read_sockets_buffered()
    _cache_peer_records()
    read_rpcs_buffered()
    _free_inbound_slots()
    if not os.environ.get("LIBP2P_DEBUG"):
        logging.getLogger("libp2p").setLevel(logging.CRITICAL)  # it calls a peer's absence an error
    _applied = True


# --- guards ---------------------------------------------------------------------------------------


def contain_streams(host: Any, on_fault: Callable[[str, str], None]) -> None:
    """Contain exceptions of every inbound stream: pubsub, Bitswap, identify and our own handlers.

    `on_fault(peer_id, reason)` hears of each. Call once, before the first connection.
    """
    inner: Callable[[Any], Awaitable[None]] = host._swarm_stream_handler
    open_streams: dict[int, int] = {}

    async def contained(stream: Any) -> None:
        key = id(stream.muxed_conn)
        open_streams[key] = open_streams.get(key, 0) + 1
        try:
            if open_streams[key] > STREAMS_PER_CONNECTION_MAX:
                on_fault(str(stream.muxed_conn.peer_id), "too many streams")
                await _reset(stream)
                return
            _, fault = await attempt(inner, stream)
            if fault is not None:
                on_fault(str(stream.muxed_conn.peer_id), f"stream handler: {fault!r}"[:200])
                await _reset(stream)
        finally:
            open_streams[key] -= 1
            if not open_streams[key]:
                del open_streams[key]

    host.get_network().set_stream_handler(contained)


async def _reset(stream: Any) -> None:
    """Reset a stream without trusting the peer to read: `reset` can block for ever."""
    with trio.move_on_after(1):
        await attempt(stream.reset)


def contain_tasks(service: Any, on_fault: Callable[[str, str], None]) -> None:
    """Contain exceptions of the tasks that a running service starts from now on."""
    manager = service.manager
    run_task = manager.run_task

    def run_contained(function: Any, *args: Any, **options: Any) -> None:
        async def contained() -> None:
            _, fault = await attempt(function, *args)
            if fault is not None:
                on_fault("", f"task {contained.__name__}: {fault!r}"[:200])

        contained.__name__ = getattr(function, "__name__", "task")
        run_task(contained, **options)

    manager.run_task = run_contained


def dial_nobody(swarm: Any) -> None:
    """Switch the auto-connector off: only our links dial."""

    async def nothing(*_: Any) -> None:
        await trio.lowlevel.checkpoint()

    swarm.auto_connector.maybe_connect = nothing
    swarm.auto_connector.run_background_task = nothing


def forget_absent(swarm: Any, is_known: Callable[[str], bool]) -> int:
    """Forget strangers without a connection; return how many."""
    store, connector = swarm.peerstore, swarm.auto_connector
    memories = (store.peer_data_map, store.peer_record_map, connector._recent_disconnects)
    everyone = {peer for memory in memories for peer in memory}
    absent = [p for p in everyone if not swarm.get_connections(p) and not is_known(str(p))]
    for peer in absent:
        for memory in memories:
            memory.pop(peer, None)
    return len(absent)


async def shut_down(swarm: Any) -> None:
    """Close every socket, then every listener, whatever the peers do."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
        for listener in list(swarm.listeners.values()):
            await listener.close()
        for connections in list(swarm.connections.values()):
            for connection in list(connections):
                close_connection(connection.muxed_conn)
        for _ in range(20):
            if not swarm.connections:
                break
            await trio.sleep(0.02)


async def dial(host: Any, peer: Any, addresses: Sequence[Any]) -> None:
    """Connect to a peer at the address given, and at no other. Raises what libp2p raises."""
    swarm = host.get_network()
    swarm.unblock_peer(peer)  # a failed dial would forbid the next for a minute
    host.get_peerstore().clear_addrs(peer)
    await host.connect(PeerInfo(peer, list(addresses)))


def _free_inbound_slots() -> None:
    pending: dict[str, int] = {}

    async def upgrade(swarm: Any, raw: Any, address: Any, ip: str) -> Any:
        pending[ip] = pending.get(ip, 0) + 1
        try:
            return await swarm.upgrade_inbound_raw_conn(raw, address)
        finally:
            pending[ip] -= 1
            if not pending[ip]:
                del pending[ip]

    async def handle(self: Any, stream: Any, address: Any, failure: Any) -> None:
        remote = stream.get_remote_address()
        ip = str(remote[0]) if remote else ""
        if pending.get(ip, 0) >= PENDING_PER_IP_MAX:
            await attempt(stream.close)
            return
        raw = RawConnection(stream, False)
        try:
            muxed, fault = await attempt(upgrade, self, raw, address, ip)
            if muxed is None:
                log.debug("inbound connection failed: %r", fault)
            else:
                await muxed.event_closed.wait()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await attempt(raw.close)

    Swarm._do_handle_inbound_connection = handle


def close_connection(muxed: Any) -> bool:
    """Close the TCP socket under one muxed connection; True when it was found.

    The muxer's reader then fails and the library cleans up: the connection leaves the swarm and
    pubsub drops the peer. Do not call `host.disconnect` first: it tries to send, and hangs.
    """
    layer = getattr(muxed, "secured_conn", None)
    for _ in range(8):  # secure session → noise → raw connection → TCP stream → socket
        if isinstance(layer, trio.SocketStream):
            layer.socket.close()
            return True
        layer = next((x for n in _LAYERS if (x := getattr(layer, n, None)) is not None), None)
        if layer is None:
            return False
    return False


def force_close(swarm: Any, peer: Any) -> int:
    """Close the sockets of all connections to `peer`; return how many."""
    return sum(close_connection(c.muxed_conn) for c in list(swarm.get_connections(peer)))


# --- speed-ups ------------------------------------------------------------------------------------


def _credit_windows_lazily() -> None:
    """Credit the window when a quarter is used, not at every read."""

    async def credit(self: Any, *, bytes_read: int = 0) -> None:
        self._pending_recv_release += bytes_read
        if self.epoch_start == 0.0:  # the first read opens the window once
            self.epoch_start = 1.0
            grant = _WINDOW_BYTES - yamux.DEFAULT_WINDOW_SIZE + self._pending_recv_release
        elif self._pending_recv_release >= _WINDOW_BYTES // 4:
            grant = self._pending_recv_release
        else:
            return
        self._pending_recv_release = 0
        self.recv_window += grant
        await self.send_window_update(grant)

    yamux.YamuxStream._auto_tune_and_send_window_update = credit


def _answer_apart() -> None:
    """Write a frame without a debug string; hand what the read loop writes to another task."""
    read_loop = yamux.Yamux.handle_incoming

    async def handle_incoming(self: Any) -> None:
        self._reader_task = trio.lowlevel.current_task()
        self._answers, answers = trio.open_memory_channel[bytes](YAMUX_ANSWERS_MAX)
        self._nursery.start_soon(_write_answers, self, answers)
        await read_loop(self)

    async def write(self: Any, data: bytes) -> None:
        if trio.lowlevel.current_task() is getattr(self, "_reader_task", None):
            try:
                self._answers.send_nowait(data)
            except trio.WouldBlock:  # it asks, and never reads our answers
                close_connection(self)
            return
        async with self._write_lock:
            await self.secured_conn.write(data)

    yamux.Yamux.handle_incoming = handle_incoming
    yamux.Yamux._write_frame = write


async def _write_answers(muxed: Any, answers: trio.MemoryReceiveChannel[bytes]) -> None:
    async def write() -> None:
        async for answer in answers:
            async with muxed._write_lock:
                await muxed.secured_conn.write(answer)

    _, fault = await attempt(write)  # the read loop notices the end of the connection itself
    log.debug("answering ended: %r", fault)


def _read_sockets_buffered() -> None:
    """Take what the kernel has in one call; most reads then wait for nothing."""

    async def read(self: Any, n: int | None = None) -> bytes:
        buffer: bytearray | None = getattr(self, "_received", None)
        if buffer is None:
            buffer = self._received = bytearray()
        if not buffer and n != 0:
            async with self.read_lock:
                try:
                    buffer += await self.stream.receive_some(_SOCKET_READ_BYTES)
                except trio.BrokenResourceError as error:
                    raise ConnectionClosedError(
                        f"reset by peer: {error}", transport="tcp"
                    ) from error
                except trio.ClosedResourceError:
                    return b""
        data = bytes(buffer) if n is None else bytes(buffer[:n])
        del buffer[: len(data)]
        return data

    TrioTCPStream.read = read


def _cache_peer_records() -> None:
    """Neither verify an unchanged signed peer record nor rebuild ours with every RPC."""
    verify = pubsub_module.maybe_consume_signed_record
    seen: OrderedDict[Any, tuple[bytes, float]] = OrderedDict()

    def consume(rpc: Any, host: Any, peer: Any) -> bool:
        if not rpc.HasField("senderRecord"):
            return True
        record, known = rpc.senderRecord, seen.get(peer)
        if known and known[0] == record and time.monotonic() - known[1] < _RECORD_TRUST_S:
            return True
        valid = bool(verify(rpc, host, peer))
        if valid:
            seen[peer] = (record, time.monotonic())
            seen.move_to_end(peer)
            while len(seen) > _RECORDS_MAX:
                seen.popitem(last=False)
        return valid

    build = pubsub_module.env_to_send_in_RPC

    def envelope(host: Any) -> Any:
        known: tuple[Any, float] | None = getattr(host, "_omnibazaar_record", None)
        if known and time.monotonic() - known[1] < _RECORD_REUSE_S:
            return known[0]
        built = build(host)
        host._omnibazaar_record = (built, time.monotonic())
        return built

    for module in (pubsub_module, gossipsub_module):
        module.maybe_consume_signed_record = consume
        module.env_to_send_in_RPC = envelope
