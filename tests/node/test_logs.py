"""The log: one line per event for people, one object per event for programs.

Rule: both forms carry the same fields; the file can always be turned into the readable form.
Spec: docs/reference/logs.md. Deviations: none.
"""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.config_schema import LogSettings
from node.logs import get_logger, render_line, set_up_logs

BLOCK = bytes(range(32))


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    stream = io.StringIO()
    set_up_logs(LogSettings(), file=tmp_path / "node.jsonl", stream=stream)
    yield stream
    for handler in tuple(logging.getLogger("omnibazaar").handlers):
        logging.getLogger("omnibazaar").removeHandler(handler)
        handler.close()
    logging.getLogger("omnibazaar").propagate = True
    logging.raiseExceptions = True


def lines(tmp_path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (tmp_path / "node.jsonl").read_text().splitlines()]


def test_a_line_for_people_is_short(terminal: io.StringIO) -> None:
    get_logger("head").info("final", extra={"height": 7, "block": BLOCK, "why": "two words"})
    line = terminal.getvalue().rstrip("\n")
    assert line[13:] == 'INFO  head     final  height=7 block=0x00010203…1e1f why="two words"'


def test_a_line_for_programs_is_whole(terminal: io.StringIO, tmp_path: Path) -> None:
    get_logger("guard").error("refused %s", "100%", extra={"code": "SIG001", "block": BLOCK})
    (line,) = lines(tmp_path)
    assert line["msg"] == "refused 100%"
    assert line["block"] == "0x" + BLOCK.hex()
    assert (line["level"], line["sub"], line["code"]) == ("error", "guard", "SIG001")
    assert str(line["ts"]).endswith("Z")


def test_debug_goes_to_the_file_only(terminal: io.StringIO, tmp_path: Path) -> None:
    get_logger("p2p").debug("hello")
    assert terminal.getvalue() == ""
    assert lines(tmp_path)[0]["level"] == "debug"


def test_the_file_is_rendered_as_the_terminal_saw_it(terminal: io.StringIO, tmp_path: Path) -> None:
    get_logger("evm").warning("away 50%", extra={"code": "EVM001", "fix": "wait"})
    text = (tmp_path / "node.jsonl").read_text()
    assert render_line(text, terminal) == terminal.getvalue().rstrip("\n")


@pytest.mark.parametrize("line", ["", "not json", "[]", "3", '{"ts":1}', "[" * 9_999, '{"a":"b"}'])
def test_what_is_no_log_line_comes_back_as_it_is(line: str) -> None:
    assert render_line(line + "\n", sys.stdout) == line


def test_json_on_the_terminal(tmp_path: Path) -> None:
    stream = io.StringIO()
    set_up_logs(LogSettings(format="json", level="debug"), stream=stream)
    get_logger("api").debug("x")
    assert json.loads(stream.getvalue())["sub"] == "api"
    set_up_logs(LogSettings())
    logging.getLogger("omnibazaar").handlers.clear()
    logging.getLogger("omnibazaar").propagate = True
    logging.raiseExceptions = True


def test_a_subsystem_must_be_one_of_the_few() -> None:
    with pytest.raises(AssertionError):
        get_logger("misc")
