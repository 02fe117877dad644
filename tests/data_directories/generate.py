"""Store the data directory that this release leaves behind, for later ones to open.

    python -m tests.data_directories.generate

Rule: run before each release, again whenever a format changes until then; what a release has stored
is never made again. The network has one validator, so the directory can be continued by itself.
Spec: docs/spec/upgrades.md (Programs). Deviations: none.
"""

from __future__ import annotations

import lzma
import shutil
import signal
import tarfile
import tempfile
from pathlib import Path

from node.version import VERSION
from tests.devnet.lone_node import LoneNode

FOLDER = Path(__file__).resolve().parent
HEIGHT = 70  # beyond a checkpoint and the header that states it
LEFT_OUT = ("logs", "run", "cache", "backups")


def generate(target: Path) -> None:
    """Run a node for a while and pack what it leaves."""
    with tempfile.TemporaryDirectory(prefix="omnibazaar-stored-") as name:
        lone = LoneNode(Path(name) / "node", seed=11)
        try:
            lone.start()
            lone.until(lambda: lone.final() > HEIGHT, f"a final block above {HEIGHT}")
            lone.end(signal.SIGTERM, 240)
        finally:
            lone.remove()
        for left_out in LEFT_OUT:
            shutil.rmtree(lone.data.root / left_out, ignore_errors=True)
        with (
            lzma.open(target, "wb", preset=9) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            archive.add(lone.data.root, "data", filter=_anonymous)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who made it and when."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry


if __name__ == "__main__":
    generate(FOLDER / f"{VERSION}.tar.xz")
