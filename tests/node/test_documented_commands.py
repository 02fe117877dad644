"""Every command line in the documents can be typed: its commands and options exist.

Rule: placeholders stand for values only, never for a command or an option.
Spec: docs/reference/cli.md. Deviations: ADRs and the changelog tell of their time, not of today.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from node.cli.root import root

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if "adr" not in page.relative_to(ROOT).parts
]
LINE = re.compile(r"(?:^|[`\s(])(?:\.venv/bin/)?omnibazaar ([^\n`|&;#()]+)", re.MULTILINE)
WORD = re.compile(r"[a-z][a-z0-9-]*")
MANY = 100  # command lines in the documents; fewer would mean that they are not found


def find_lines(page: Path) -> Iterator[list[str]]:
    """Return what follows the program's name, in blocks of code and in quoted code."""
    text = page.read_text()
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    quoted = re.findall(r"`([^`\n]*omnibazaar [^`\n]*)`", text)
    for piece in (*blocks, *quoted):
        for found in LINE.finditer(piece):
            yield found[1].split()


def explain(words: list[str]) -> str:
    """Return what is wrong with a command line, "" if nothing is."""
    command: click.Command = root
    context = click.Context(root)
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        if word.startswith("-"):
            name = word.split("=")[0]
            option = next((p for p in command.params if name in (*p.opts, *p.secondary_opts)), None)
            if option is None and name not in ("-h", "--help", "--version"):
                return f"{command.name} has no {name}"
            if isinstance(option, click.Option) and not option.is_flag and "=" not in word:
                place += 1
        elif isinstance(command, click.Group):
            if not WORD.fullmatch(word):
                return ""  # `wallet …`, `keys new · import`: told of the group
            inner = command.get_command(context, word)
            if inner is None:
                return f"{command.name} has no command {word}"
            command = inner
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_line_in_the_documents_can_be_typed(page: Path) -> None:
    wrong = [(" ".join(words), why) for words in find_lines(page) if (why := explain(words))]
    assert not wrong


def test_the_documents_have_command_lines() -> None:
    assert sum(1 for page in PAGES for _ in find_lines(page)) > MANY
