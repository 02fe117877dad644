"""A chat database that fails ends neither the receiving of frames nor the node.

Spec: docs/spec/chat.md (What is kept). Deviations: none.
"""

from __future__ import annotations

import sqlite3
from typing import Any, cast

from node.chat_room import ChatRoom
from node.clock import NodeClock


class FullDisk:
    """A chat service whose database always fails."""

    def __init__(self) -> None:
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        def fail(*_: object) -> None:
            self.calls += 1
            raise sqlite3.OperationalError("database or disk is full")

        return fail


def test_frames_and_comparisons_go_on_without_a_disk() -> None:
    room, service = ChatRoom.__new__(ChatRoom), FullDisk()
    room._service, room._clock = cast(Any, service), NodeClock()
    room._on_frame(b"v" * 20, b"frame")
    room.start_sync(b"v" * 20)
    assert service.calls == 2
