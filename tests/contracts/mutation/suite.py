"""The contracts' tests, collected once and run in forks against any artifacts.

Rule: a fork begins as the process was right after collection, so that nothing of one run is seen
by another; only a test that ran and failed is a failure.

Spec: docs/explanation/audit.md
Deviations: random tests repeat the same examples and do not look for a smaller one that fails.
"""

from __future__ import annotations

import gc
import inspect
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from contracts import artifact
from tests.contracts import confidential_world, harness
from tests.contracts.coverage.tracer import unlimited_code

ROOT = Path(__file__).parents[3]
TESTS = Path("tests") / "contracts"
LEFT_OUT = "not anvil and not covers_a_full_committee"
PROCESSOR_SECONDS_MAX = 120
"""A test that takes longer has no end, nor has the work before the first one."""
WAITING_SECONDS_MAX = 3_600
"""Neither has one that takes this long by the clock, on however busy a machine."""


class SuiteFailed(Exception):
    """The tests could not be run: no verdict is to be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What became of one run."""

    failed: str | None = None
    """The first test that failed, and the last that ran."""
    is_endless: bool = False


class Suite:
    """All collected tests by their names."""

    def __init__(self, items: Sequence[pytest.Item]) -> None:
        """Take what pytest collected."""
        self._items = {item.nodeid.removeprefix(f"{TESTS}/"): item for item in items}

    @property
    def names(self) -> list[str]:
        """Names as `test_file.py::test_name`, in pytest's order."""
        return list(self._items)

    def mentions(self, name: str, word: str) -> bool:
        """Whether a test's text contains a word as a string."""
        item = self._items[name]
        return isinstance(item, pytest.Function) and f'"{word}"' in _text_of(item.function)

    def run(
        self, artifacts: Path, names: Sequence[str], prepare: Callable[[], None] = lambda: None
    ) -> Run:
        """Run tests in a fork until one fails; raises SuiteFailed if the fork breaks."""

        def until_failure() -> str | None:
            reports = Reports()
            prepare()
            with self.watched(reports):
                for name, _ in self.each(names):
                    if reports.failed:
                        return name
            return None

        answer, is_endless = forked(lambda: json.dumps(until_failure()), artifacts)
        return Run(is_endless=True) if is_endless else Run(failed=json.loads(answer))

    def each(self, names: Sequence[str]) -> Iterator[tuple[str, float]]:
        """Run tests one by one in this process, yielding each name and its seconds."""
        items = [self._items[name] for name in names]
        for name, item, following in zip(names, items, [*items[1:], None], strict=True):
            started = time.process_time()
            _allow_processor_seconds(started)
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            yield name, time.process_time() - started

    @contextmanager
    def watched(self, reports: Reports) -> Iterator[None]:
        """Let `reports` hear of every test."""
        manager = next(iter(self._items.values())).config.pluginmanager
        manager.register(reports)
        try:
            yield
        finally:
            manager.unregister(reports)


@cache
def _text_of(function: Callable[..., object]) -> str:
    return inspect.getsource(function)


class Reports:
    """A pytest plugin that notes failures."""

    def __init__(self) -> None:
        """Nothing has failed yet."""
        self.failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure in any phase of a test."""
        self.failed = self.failed or report.failed


class _Collected:
    """A pytest plugin that hands the collected tests over instead of running them."""

    def __init__(self, work: Callable[[Suite], int]) -> None:
        self._work = work
        self.code = 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Before the tests are imported: their settings are made from the ones loaded."""
        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", phases=phases, derandomize=True, database=None)
        settings.load_profile("mutants")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Work with the suite; pytest runs nothing by itself."""
        if session.testsfailed:
            raise session.Failed("the tests cannot be collected")
        self.code = self._work(Suite(session.items))
        return True


def with_suite(files: Sequence[str], work: Callable[[Suite], int]) -> int:
    """Collect test files and return what `work` returns; raises SuiteFailed."""
    plugin = _Collected(work)
    os.chdir(ROOT)
    imported = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis, by this module
    options = ["-q", "-s", "--tb=no", "--no-header", "-p", "no:cacheprovider", "-W", imported]
    options += ["-k", LEFT_OUT]
    paths = [str(TESTS / f"{name}.py") for name in files]
    code = pytest.main([*options, *paths], plugins=[plugin])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SuiteFailed(f"pytest ended with {code}")
    return plugin.code


def forked(work: Callable[[], str], artifacts: Path) -> tuple[str, bool]:
    """Return what `work` returns in a fork with other artifacts, and whether it had no end."""
    sys.stdout.flush()
    reader, writer = os.pipe()
    gc.freeze()  # A collection in the child would copy all memory.
    child = os.fork()
    if child == 0:
        os.close(reader)
        _work_and_exit(work, artifacts, writer)
    os.close(writer)
    deadline = time.monotonic() + WAITING_SECONDS_MAX
    os.set_blocking(reader, False)
    parts: list[bytes] = []
    status = None
    while status is None and time.monotonic() < deadline:
        found, raw = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(raw) if found else None
        parts += _read(reader)
        time.sleep(0.005)
    if status is None:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    parts += _read(reader)
    os.close(reader)
    if status in (None, -signal.SIGXCPU):
        return "", True
    if status != 0:
        raise SuiteFailed(f"the fork ended with {status}: the tests did not run")
    return b"".join(parts).decode(), False


def in_processes(work: Callable[[int], None], processes: int) -> None:
    """Do the shares 0, 1, … of some work, each in a fork; raises SuiteFailed if one breaks."""
    children = []
    for shard in range(processes):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                work(shard)
                code = 0
            except SuiteFailed as failure:
                print(failure, file=sys.stderr, flush=True)
            finally:
                os._exit(code)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    if any(statuses):
        raise SuiteFailed("a process broke off")


def _read(descriptor: int) -> list[bytes]:
    """What can be read now."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return parts
        if not part:
            return parts
        parts.append(part)


def _work_and_exit(work: Callable[[], str], artifacts: Path, writer: int) -> None:
    """The fork's part: its own artifacts, no output, an end."""
    code = 1
    try:
        os.setpgid(0, 0)
        _allow_processor_seconds(0)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        forget_deployments()
        for cached in (artifact.load_artifact, artifact.selectors, artifact.topics):
            cached.cache_clear()
        artifact.error_names.cache_clear()
        artifact.ARTIFACTS = artifacts
        with unlimited_code():
            answer = work().encode()
        with os.fdopen(writer, "wb") as stream:
            stream.write(answer)
        code = 0
    finally:
        os._exit(code)


def _allow_processor_seconds(used: float) -> None:
    """Let the kernel end this process when it works much longer than it has until now."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + PROCESSOR_SECONDS_MAX, hard))


def forget_deployments() -> None:
    """Let the next test deploy by itself."""
    harness.DEPLOYED.clear()
    confidential_world.KEYS.clear()
