"""What a command says of a node that is not there, or there and silent.

Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

import socket

import pytest

from node.cli import http
from primitives.errors import NotRunning
from tests.free_ports import free_port


def test_a_node_that_is_not_there_is_to_be_started() -> None:
    with pytest.raises(NotRunning, match="no node answers") as refused:
        http.get(f"http://127.0.0.1:{free_port()}", "/v1/status")
    assert "omnibazaar run" in refused.value.fix


def test_a_silent_node_is_not_called_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT_S", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(NotRunning, match="does not answer within") as late:
            http.get(f"http://127.0.0.1:{silent.getsockname()[1]}", "/v1/status")
    assert "try again" in late.value.fix
