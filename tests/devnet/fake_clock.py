"""Set the wall clock of one process, through libfaketime, while it runs.

Rule: only CLOCK_REALTIME of the child moves; its monotonic clock and every other process stay true.
Spec: docs/spec/node.md (Clock). Deviations: none.
"""

from __future__ import annotations

from pathlib import Path

LIBRARY = "faketime/libfaketimeMT.so.1"
PLACES = (Path("/usr/lib/x86_64-linux-gnu"), Path("/usr/lib/aarch64-linux-gnu"), Path("/usr/lib"))


def find_library() -> Path | None:
    """Return the preloadable library of the Debian package `libfaketime`."""
    return next((place / LIBRARY for place in PLACES if (place / LIBRARY).exists()), None)


class FakeClock:
    """A file that tells the child by how much its wall clock is wrong."""

    def __init__(self, library: Path, file: Path) -> None:
        self._library = library
        self._file = file
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        """Variables under which the child must be started."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
        }

    def set(self, offset_s: int) -> None:
        """Move the child's wall clock to true time plus the offset."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{offset_s:+d}s\n")
        draft.replace(self._file)
