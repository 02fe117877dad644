"""Check that a node ends, refuses to start, waits and recovers as promised on a failing machine.

Rule: a real daemon on a real (or really full) disk; what is asserted is its exit code, the words it
leaves for the operator, and that the chain goes on afterwards.
Spec: docs/reference/exit-codes.md; docs/reference/errors.md. Deviations: a clock that jumps is a
library between the daemon and its clock (libfaketime), since no test may set the machine's.
"""

from __future__ import annotations

import re
import resource
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.network_file import dump_network
from tests.devnet.fair_time import FairTime
from tests.devnet.fake_clock import FakeClock, find_library
from tests.devnet.local_devnet import PATIENCE_S
from tests.devnet.lone_node import LoneNode
from tests.devnet.member import wait_s

pytestmark = pytest.mark.processes

STOP_S = 5
DISK_MB = 64
EXIT_TERM, EXIT_INT = 143, 130
CONFIG, IN_USE, GUARD, WRONG_NETWORK = 3, 4, 11, 14


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneNode]:
    node = LoneNode(tmp_path_factory.mktemp("lone") / ".devnet")
    node.start()
    try:
        yield node
    finally:
        node.remove()


@pytest.fixture(autouse=True)
def _goes_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did to the shared node, it finalizes afterwards."""
    yield
    if "node" in request.fixturenames:
        node: LoneNode = request.getfixturevalue("node")
        assert node.process is not None
        if node.process.poll() is not None:
            node.start()
        node.wait_final(node.final() + 1)


def test_a_node_without_evm_chain_is_ready_and_says_what_is_missing(node: LoneNode) -> None:
    status = node.until(lambda: node.status() if node.status()["ready"] else None, "ready")
    assert status["evm"] is False
    assert status["final"] > 0


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", EXIT_TERM), ("SIGINT", EXIT_INT)])
def test_a_signal_ends_it_in_order_and_it_goes_on_later(
    node: LoneNode, number: str, code: int
) -> None:
    reached = node.final()
    watch = FairTime(lambda: [node.pid])
    factor = watch.factor()
    assert node.process is not None
    node.process.send_signal(signal.Signals[number])
    while node.process.poll() is None and watch.elapsed_s < PATIENCE_S:
        wait_s(0.02)
        factor = max(factor, watch.factor())
    assert node.process.returncode == code
    assert watch.elapsed_s < STOP_S * factor
    assert node.text().rstrip().endswith("stopped")
    assert not node.data.api_file.exists()
    assert not node.data.is_locked()
    node.start()
    assert node.final() >= reached


def test_a_kill_leaves_nothing_that_keeps_it_from_starting(node: LoneNode) -> None:
    reached = node.final()
    assert node.end(signal.SIGKILL, PATIENCE_S) == -signal.SIGKILL
    node.start()
    assert node.final() >= reached


def test_a_second_daemon_on_the_same_data_is_refused(node: LoneNode) -> None:
    written = len(node.text())
    assert node.launch().wait(PATIENCE_S) == IN_USE
    words = node.text()[written:]
    assert "in use" in words
    assert str(node.pid) in words


def test_another_network_file_is_refused(node: LoneNode) -> None:
    assert node.end(signal.SIGTERM, PATIENCE_S) == EXIT_TERM
    good = node.data.network_file.read_bytes()
    other = LoneNode(node.folder.root.parent / "other", seed=2)
    node.data.network_file.write_bytes(dump_network(other.plan.network))
    try:
        assert node.launch().wait(PATIENCE_S) == WRONG_NETWORK
        assert "network" in node.text()[-1_000:]
        node.data.network_file.write_bytes(good[: len(good) // 2])
        assert node.launch().wait(PATIENCE_S) == CONFIG
    finally:
        node.data.network_file.write_bytes(good)
    node.start()


def test_a_taken_port_is_named(node: LoneNode) -> None:
    assert node.end(signal.SIGTERM, PATIENCE_S) == EXIT_TERM
    seat = node.plan.validators[0]
    for port in (seat.api_port, seat.p2p_port):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
            written = len(node.text())
            assert node.launch().wait(PATIENCE_S) == CONFIG
            assert str(port) in node.text()[written:]
    node.start()


def test_a_lost_signing_guard_stops_it(node: LoneNode) -> None:
    assert node.end(signal.SIGTERM, PATIENCE_S) == EXIT_TERM
    guard = node.data.signing / "signing.sqlite"
    kept = guard.with_suffix(".kept")
    guard.rename(kept)
    try:
        assert node.launch().wait(PATIENCE_S) == GUARD
        assert "signing" in node.text()[-1_000:]
    finally:
        guard.unlink(missing_ok=True)
        kept.rename(guard)
    node.start()


def test_a_disk_that_takes_no_byte_stops_duties_until_it_does(node: LoneNode) -> None:
    """No file may grow: every write fails, as on a disk that has gone bad or read-only."""
    before = resource.prlimit(node.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        node.until(lambda: "DSK001" in node.problems(), "DSK001")
        assert node.status()["ready"] is False
        assert "cannot be written" in node.problems()["DSK001"]
        stopped = settled(node)
        wait_s(3)
        assert node.final() == stopped
        fix = next(p["fix"] for p in node.status()["problems"] if p["code"] == "DSK001")
        assert "by itself" in fix
    finally:
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, before)
    node.wait_final(stopped + 2)
    node.until(lambda: not node.problems().keys() & {"DSK001", "DSK003"}, "it is over")
    assert node.status()["ready"]
    assert node.end(signal.SIGKILL, PATIENCE_S) == -signal.SIGKILL
    node.start()  # what it had written before and after fits together
    assert node.final() > stopped


def settled(node: LoneNode) -> int:
    """Wait until no further block becomes final; return the height."""
    before = node.final()
    while True:
        wait_s(1)
        now = node.final()
        if now == before:
            return now
        before = now


# A clock that jumps


@pytest.mark.fake_clock
@pytest.mark.parametrize("jump_s", [3_600, -3_600])
def test_a_clock_that_jumps_is_named_and_blocks_go_on(tmp_path: Path, jump_s: int) -> None:
    library = find_library()
    assert library is not None
    clock = FakeClock(library, tmp_path / "offset")
    node = LoneNode(tmp_path / ".devnet", seed=6, environment=clock.environment)
    node.start()
    try:
        reached = node.final()
        clock.set(jump_s)
        node.until(lambda: "CLK001" in node.problems(), "CLK001: the clock jumped")
        found = re.search(r"jumped by (-?[0-9]+) ms", node.problems()["CLK001"])
        assert found is not None
        assert abs(int(found[1]) - jump_s * 1_000) < 1_000
        node.wait_final(reached + 2)
        clock.set(0)
        node.wait_final(node.final() + 2)
        assert node.end(signal.SIGKILL, PATIENCE_S) == -signal.SIGKILL
        node.start()  # with the true clock, on blocks that are an hour ahead of it
        node.wait_final(node.final() + 2)
    finally:
        node.remove()


# A disk of its own


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = mount("-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "none", str(place))
    assert mounted.returncode == 0, mounted.stderr
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.small_disk
def test_a_full_disk_stops_duties_until_there_is_room(small_disk: Path) -> None:
    node = LoneNode(small_disk / ".devnet", seed=3)
    node.log = small_disk.parent / "node.log"
    node.start()
    ballast = small_disk / "ballast"
    try:
        fill(ballast, shutil.disk_usage(small_disk).free - (5 << 20))
        node.until(lambda: "DSK002" in node.problems(), "DSK002: nearly full")
        assert not node.status()["ready"]
        stopped = settled(node)
        fill(ballast, 64 << 20)  # to the last byte
        assert shutil.disk_usage(small_disk).free == 0
        wait_s(3)
        assert node.final() == stopped
        assert node.process is not None
        assert node.process.poll() is None
        ballast.unlink()
        node.wait_final(stopped + 2)
        node.until(lambda: not node.problems().keys() & {"DSK001", "DSK002", "DSK003"}, "over")
        assert node.end(signal.SIGTERM, PATIENCE_S) == EXIT_TERM
        node.start()
        assert node.final() > stopped
    finally:
        node.remove()


@pytest.mark.small_disk
def test_a_disk_that_fills_up_at_once_loses_nothing(small_disk: Path) -> None:
    """From much room to none between two looks: it is the writes that fail first."""
    node = LoneNode(small_disk / ".devnet", seed=4)
    node.log = small_disk.parent / "node.log"
    node.start()
    ballast = small_disk / "ballast"
    try:
        fill(ballast, 64 << 20)
        codes = {"DSK001", "DSK002", "DSK003"}
        node.until(lambda: node.problems().keys() & codes, "a problem of the disk")
        stopped = settled(node)
        assert node.end(signal.SIGKILL, PATIENCE_S) == -signal.SIGKILL
        ballast.unlink()
        node.start()
        assert node.final() >= stopped
        node.wait_final(stopped + 2)
    finally:
        node.remove()


def fill(path: Path, size_bytes: int) -> None:
    """Write until the size is reached or nothing more fits."""
    with path.open("ab", buffering=0) as file:
        try:
            while size_bytes > 0:
                size_bytes -= file.write(bytes(min(size_bytes, 1 << 20)))
        except OSError:
            pass


@pytest.mark.small_disk
def test_a_read_only_disk_is_named_at_the_start(small_disk: Path) -> None:
    node = LoneNode(small_disk / ".devnet", seed=5)
    node.log = small_disk.parent / "node.log"
    node.start()
    assert node.end(signal.SIGTERM, PATIENCE_S) == EXIT_TERM
    read_only = mount("-o", "remount,ro", str(small_disk))
    assert read_only.returncode == 0, read_only.stderr
    try:
        written = len(node.text())
        assert node.launch().wait(PATIENCE_S) == CONFIG
        words = node.text()[written:]
        assert "Read-only file system" in words
        assert "Traceback" not in words
    finally:
        mount("-o", "remount,rw", str(small_disk))
    node.start()
    node.remove()
