"""Listen on TCP and run the application on hypercorn's trio worker, fenced against hostile clients.

Rule: whatever one connection does ends at most that connection. HTTP/2 and compression are not
offered, every write has a deadline, input nobody takes ends the connection.
Spec: docs/reference/api.md (Limits); docs/adr/0080-hypercorn-behind-a-fence.md.
Deviations: none.
"""

from __future__ import annotations

import logging
import socket
from collections import Counter
from collections.abc import Sequence
from typing import Any

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError, H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr
from starlette.types import ASGIApp

from node.api.limits import (
    FRAME_BYTES_MAX,
    HEADER_BYTES_MAX,
    HTTP_KEEP_ALIVE_S,
    OUTPUT_BYTES_MAX,
    READ_STALL_S,
    SEND_TIMEOUT_S,
    SOCKETS_MAX,
    SOCKETS_PER_ADDRESS_MAX,
    STOP_GRACE_S,
)
from primitives.errors import ConfigError

logger = logging.getLogger("omnibazaar.api")

UPGRADES_REFUSED = frozenset({b"sec-websocket-extensions", b"http2-settings"})


class FencedProtocol(H11Protocol):  # type: ignore[misc]
    """HTTP/1.1 and WebSocket, without compression (a small frame could inflate)."""

    async def _create_stream(self, request: h11.Request) -> None:
        if any(name in UPGRADES_REFUSED for name, _ in request.headers):
            request = h11.Request(
                method=request.method,
                target=request.target,
                headers=[pair for pair in request.headers if pair[0] not in UPGRADES_REFUSED],
                http_version=request.http_version,
            )
        await super()._create_stream(request)


class Connection(TCPServer):  # type: ignore[misc]
    """One TCP connection with its own cancel scope and deadlines.

    What is to be sent piles up in a bounded buffer that one task empties: many small answers then
    cost one system call.
    """

    async def run(self) -> None:
        """Serve until either side ends it. Never raises what a client can cause."""
        self._scope = trio.CancelScope()
        self._out = bytearray()
        self._has_output, self._is_drained = trio.Event(), trio.Event()
        self._is_broken = False
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    await self._serve()
                    await self._flush()
                    nursery.cancel_scope.cancel()
        except* (H2ProtocolAssumedError, H2CProtocolRequiredError):
            logger.debug("a client asked for HTTP/2, which is not offered")
        except* Exception as group:  # noqa: BLE001 - the boundary of one client
            logger.debug("a connection ended: %r", group.exceptions[0])
        finally:
            await trio.aclose_forcefully(self.stream)

    async def protocol_send(self, event: Event) -> None:
        """Buffer output, close or note idleness. Waits while too much is buffered."""
        if isinstance(event, RawData):
            if self._is_broken:
                return
            self._out += event.data
            self._has_output.set()
            if len(self._out) > OUTPUT_BYTES_MAX:
                await self._flush()
        elif isinstance(event, Closed):
            await self._flush()
            await self._close()
            await self.protocol.handle(Closed())
        elif isinstance(event, Updated):
            if event.idle:
                await self.idle_task.restart(self._task_group, self._idle_timeout)
            else:
                await self.idle_task.stop()

    async def _serve(self) -> None:
        sock = self.stream.socket
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = parse_socket_addr(sock.family, sock.getpeername())
        server = parse_socket_addr(sock.family, sock.getsockname())
        async with TaskGroup() as group:
            self._task_group = group
            self.protocol = FencedProtocol(
                self.app,
                self.config,
                self.context,
                group,
                ConnectionState(self.state),
                False,
                client,
                server,
                self.protocol_send,
            )
            await self.protocol.initiate()
            await self.idle_task.restart(group, self._idle_timeout)
            await self._read_data()
            # The client is gone; what still runs for it (an application, pings) ends soon.
            self._scope.deadline = trio.current_time() + STOP_GRACE_S

    async def _write(self) -> None:
        """Empty the buffer for ever; a write that does not finish in time ends the connection."""
        while True:
            await self._has_output.wait()
            while self._out:
                data, self._out = self._out, bytearray()
                with trio.move_on_after(SEND_TIMEOUT_S) as deadline:
                    await self._send_bytes(data)
                if deadline.cancelled_caught:
                    self._scope.cancel()
            self._has_output = trio.Event()
            self._is_drained.set()
            self._is_drained = trio.Event()

    async def _send_bytes(self, data: bytearray) -> None:
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._is_broken = True
            self._out.clear()

    async def _flush(self) -> None:
        """Wait until everything buffered is with the operating system, or never will be."""
        while self._has_output.is_set() and not self._is_broken:
            await self._is_drained.wait()

    async def _read_data(self) -> None:
        while True:
            try:
                data = await self.stream.receive_some(MAX_RECV)
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                break
            with trio.move_on_after(READ_STALL_S) as deadline:
                await self.protocol.handle(RawData(bytes(data)))
            if deadline.cancelled_caught:
                self._scope.cancel()
                return
            if data == b"":
                break
        await self.protocol.handle(Closed())


def build_config() -> Config:
    """Return hypercorn's settings; the listening itself is ours."""
    config = Config()
    config.errorlog = None
    config.accesslog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = HEADER_BYTES_MAX
    config.keep_alive_timeout = HTTP_KEEP_ALIVE_S
    config.websocket_max_message_size = FRAME_BYTES_MAX
    config.websocket_ping_interval = 20
    config.graceful_timeout = STOP_GRACE_S
    return config


async def open_listeners(host: str, port: int) -> Sequence[trio.SocketListener]:
    """Bind. Raises ConfigError when the address is taken or not ours."""
    try:
        return await trio.open_tcp_listeners(port, host=host, backlog=SOCKETS_MAX)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            code="CFG010",
            fix="stop the program that uses the port, or set api.listen to another one",
        ) from None


def listener_url(listener: trio.SocketListener) -> str:
    """Return the base URL under which a listener is reached."""
    host, port = listener.socket.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Slots:
    """How many connections there are, in all and of each remote address."""

    def __init__(self) -> None:
        self._used: Counter[str] = Counter()

    def take(self, remote: str) -> bool:
        """Count a connection; False, and it is not counted, when there are too many."""
        most = SOCKETS_MAX if is_loopback(remote) else SOCKETS_PER_ADDRESS_MAX
        if self._used[remote] >= most or self._used.total() >= SOCKETS_MAX:
            return False
        self._used[remote] += 1
        return True

    def give_back(self, remote: str) -> None:
        """Count a connection that ended."""
        self._used[remote] -= 1
        if self._used[remote] <= 0:
            del self._used[remote]


def remote_address(stream: trio.SocketStream) -> str:
    """Return where a connection comes from, empty when it has gone already."""
    try:
        return str(stream.socket.getpeername()[0])
    except OSError:
        return ""


def is_loopback(address: str) -> bool:
    """Tell whether an address is this computer's own."""
    return address == "::1" or address.removeprefix("::ffff:").startswith("127.")


async def serve(
    app: ASGIApp,
    listeners: Sequence[trio.SocketListener],
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; reports the URL when it accepts connections."""
    config, context = build_config(), WorkerContext(None)
    slots = Slots()

    async def handle(stream: trio.SocketStream) -> None:
        remote = remote_address(stream)
        if not slots.take(remote):
            await trio.aclose_forcefully(stream)
            return
        try:
            wrapped: Any = ASGIWrapper(app)
            await Connection(wrapped, config, context, ConnectionState({}), stream).run()
        finally:
            slots.give_back(remote)

    task_status.started(listener_url(listeners[0]))
    await trio.serve_listeners(handle, list(listeners))
