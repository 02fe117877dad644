"""Write what happens: readable lines on the terminal, one JSON object per line in a file.

Rule: every WARNING and ERROR carries a stable `code`; secrets and message texts are never logged;
at most two INFO lines per height.
Spec: docs/reference/logs.md. Deviations: none.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TextIO

from node.config_schema import LogSettings

ROOT_LOGGER: Final = "omnibazaar"
ROOMS: Final = ("p2p", "storage", "chat", "contracts")
"""Rooms below this one; they know no daemon and log under their own names."""
SUBSYSTEMS: Final = (
    "node", "head", "sync", "duty", "guard", "p2p", "evm", "api", "chat", "ipfs", "store", "key",
)  # fmt: skip
STANDARD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
HASH_DIGITS_SHOWN: Final = 12
COLOURS: Final = {"DEBUG": "2", "INFO": "", "WARNING": "33", "ERROR": "31;1", "CRITICAL": "31;1"}


def get_logger(subsystem: str) -> logging.Logger:
    """Return the logger of a subsystem; further fields go in `extra`."""
    assert subsystem in SUBSYSTEMS, f"{subsystem} is no subsystem of the log"
    return logging.getLogger(f"{ROOT_LOGGER}.{subsystem}")


def set_up_logs(
    settings: LogSettings, *, file: Path | None = None, stream: TextIO | None = None
) -> None:
    """Attach the terminal and the file to the program's loggers, replacing what was attached."""
    terminal = logging.StreamHandler(stream or sys.stderr)
    terminal.setLevel(settings.level.upper())
    is_json = settings.format == "json"
    terminal.setFormatter(JsonFormatter() if is_json else HumanFormatter(terminal.stream))
    handlers: list[logging.Handler] = [terminal]
    if file is not None:
        rotating = logging.handlers.RotatingFileHandler(
            file, maxBytes=settings.file_mb << 20, backupCount=settings.files, encoding="utf-8"
        )
        rotating.setFormatter(JsonFormatter())
        handlers.append(rotating)
    _attach(ROOT_LOGGER, logging.DEBUG, handlers)
    for room in ROOMS:
        _attach(room, logging.INFO, handlers)
    logging.raiseExceptions = False  # a full disk must not stop the node through its log


def _attach(name: str, level: int, handlers: Sequence[logging.Handler]) -> None:
    logger = logging.getLogger(name)
    logger.setLevel(level)
    logger.propagate = False
    for handler in tuple(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    for handler in handlers:
        logger.addHandler(handler)


class JsonFormatter(logging.Formatter):
    """`{"ts":…,"level":…,"sub":…,"msg":…, fields}`; times are UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        seconds, ms = divmod(int(record.created * 1_000), 1_000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        line: dict[str, Any] = {
            "ts": f"{stamp}.{ms:03d}Z",
            "level": record.levelname.lower(),
            "sub": subsystem_of(record),
            "msg": record.getMessage(),
        }
        line.update((name, _plain(value)) for name, value in fields_of(record).items())
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class HumanFormatter(logging.Formatter):
    """`09:14:36.004 INFO  head     message  key=value`; long hashes are shortened."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        is_terminal = hasattr(stream, "isatty") and stream.isatty()
        self._has_colour = is_terminal and "NO_COLOR" not in os.environ
        self._has_time = "JOURNAL_STREAM" not in os.environ  # journald adds its own

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        seconds, ms = divmod(int(record.created * 1_000), 1_000)
        stamp = time.strftime("%H:%M:%S", time.localtime(seconds))
        level = "WARN" if record.levelname == "WARNING" else record.levelname
        line = f"{level:<5} {subsystem_of(record):<8} {record.getMessage()}"
        pairs = [f"{name}={_short(value)}" for name, value in fields_of(record).items()]
        if pairs:
            line += "  " + " ".join(pairs)
        if self._has_time:
            line = f"{stamp}.{ms:03d} {line}"
        colour = COLOURS.get(record.levelname, "") if self._has_colour else ""
        if colour:
            line = f"\x1b[{colour}m{line}\x1b[0m"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def subsystem_of(record: logging.LogRecord) -> str:
    """Return the tag of the third column: a subsystem of the daemon, or a room's name."""
    first, _, rest = record.name.partition(".")
    return first if first in ROOMS else rest.rpartition(".")[2] or first


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was passed as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in STANDARD_FIELDS}


def render_line(line: str, stream: TextIO) -> str:
    """Return a line of the JSON log in the human form; what is no such line comes back as it is."""
    try:
        fields = json.loads(line)
        record = logging.makeLogRecord(
            {
                "name": f"{ROOT_LOGGER}.{fields.pop('sub')}",
                "levelname": fields.pop("level").upper(),
                "msg": str(fields.pop("msg")),
                "args": None,
                "created": _parse_time(fields.pop("ts")),
            }
        )
        vars(record).update(fields)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return line.rstrip("\n")
    return HumanFormatter(stream).format(record)


def _parse_time(text: str) -> float:
    import calendar

    whole, _, ms = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + int(ms) / 1_000


def _plain(value: Any) -> Any:
    return "0x" + value.hex() if isinstance(value, bytes) else value


def _short(value: Any) -> str:
    text = str(_plain(value))
    if text.startswith("0x") and len(text) > HASH_DIGITS_SHOWN + 4:
        return f"{text[: HASH_DIGITS_SHOWN - 2]}…{text[-4:]}"
    return f'"{text}"' if " " in text else text
