"""Compile the exchange in a folder of its own, replay recorded input through both engines, compare.

python -m bench.compiled [--data DIR] [--events N] [--keep FOLDER]

Rule: the checkout is only read. The wheel is built as a user builds it; both engines run the same
files in processes of their own, and every root of every block must be equal. Exits 1 if not.
Spec: docs/how-to/compile-the-exchange.md
Deviations: none.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.recorded_flows import record_mix, record_venue
from bench.recording import write_recording

ROOT: Final = Path(__file__).resolve().parent.parent
VENUES: Final = ("bitstamp_btcusd", "lobster_aapl", "cme_es_mbo")
SOURCES: Final = ("exchange", "primitives", "bench")
LOOPS: Final = "bench/bare_book.py bench/full_matching.py"
"""Loops of measurements, compiled with the rest so that they do not cost more than it does."""
BUILD_SECONDS_MAX: Final = 3_600
"""By the clock; the compiler takes minutes of CPU for one file of 20 MB on a quiet machine."""


def build_engine(folder: Path, level: str = "3", *, loops: bool = False) -> Path:
    """Build the wheel with the compiled exchange and unpack that; returns the folder to import.

    Raises CalledProcessError if there is no compiler or a module cannot be compiled.
    """
    source = folder / "source"
    for room in SOURCES:
        shutil.copytree(
            ROOT / room, source / room, ignore=shutil.ignore_patterns("*.so", "__pycache__")
        )
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    environment = {
        **os.environ,
        "OMNIBAZAAR_COMPILE": "require",
        "OMNIBAZAAR_COMPILE_LEVEL": level,
        "OMNIBAZAAR_COMPILE_ALSO": LOOPS if loops else "",
        "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
    }
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), "."]
    subprocess.run(command, cwd=source, env=environment, check=True, timeout=BUILD_SECONDS_MAX)
    engine = folder / "engine"
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(engine)
    shutil.copytree(ROOT / "bench", engine / "bench", dirs_exist_ok=True)
    return engine


@contextmanager
def build_or_reuse(kept: Path | None) -> Iterator[Path]:
    """Give the folder of a compiled engine, built now unless `kept` has one."""
    if kept is not None and (kept / "engine").is_dir():
        yield kept / "engine"
        return
    with tempfile.TemporaryDirectory(prefix="omnibazaar-compiled-") as temporary:
        folder = kept or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        yield build_engine(folder, loops=True)


def run_module(engine: Path | None, *arguments: str) -> dict[str, Any]:
    """Run `python -m …` with the compiled engine, or the checkout's own; returns its JSON line."""
    path = [str(ROOT)] if engine is None else [str(engine), str(ROOT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env=environment,
        cwd=tempfile.gettempdir(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(engine: Path, recording: Path) -> dict[str, Any]:
    """Replay a recording through both and compare all roots."""
    plain = run_module(None, "bench.replay", str(recording))
    compiled = run_module(engine, "bench.replay", str(recording))
    assert plain["engine"] == "interpreted"
    assert compiled["engine"] == "compiled"
    return {
        "recording": recording.stem,
        "blocks": plain["blocks"],
        "orders": plain["orders"],
        "fills": plain["fills"],
        "roots_equal": plain["roots"] == compiled["roots"],
        "interpreted_s": plain["cpu_s"],
        "compiled_s": compiled["cpu_s"],
        "times_faster": round(plain["cpu_s"] / compiled["cpu_s"], 2),
    }


def make_recordings(folder: Path, data: Path | None, events: int) -> list[Path]:
    """Record the mix, and every venue's flow there is."""
    flows = {"mix": record_mix(24, 600)}
    for name in VENUES if data is not None else ():
        assert data is not None
        flows[name] = record_venue(data / name, events)
    for name, recording in flows.items():
        write_recording(recording, folder / f"{name}.recording")
    return [folder / f"{name}.recording" for name in flows]


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.compiled")
    parser.add_argument("--data", type=Path, default=os.environ.get("OMNIBAZAAR_DATA"))
    parser.add_argument("--events", type=int, default=50_000, help="events of each venue")
    parser.add_argument("--keep", type=Path, help="build here, or use what was built here")
    given = parser.parse_args()
    data = None if given.data is None else Path(given.data)
    equal = True
    with build_or_reuse(given.keep) as engine, tempfile.TemporaryDirectory() as folder:
        for recording in make_recordings(Path(folder), data, given.events):
            report = compare(engine, recording)
            equal = equal and report["roots_equal"]
            print(json.dumps(report), flush=True)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
