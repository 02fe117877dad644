"""Every `omnibazaar` command line in the how-to pages exists, with its options and arguments."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from node.cli.root import root

PAGES = sorted((Path(__file__).resolve().parents[2] / "docs" / "how-to").glob("*.md"))
BLOCK = re.compile(r"^ *```(?:sh|bash|console)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def find_commands(text: str) -> list[str]:
    lines = [line.strip() for block in BLOCK.findall(text) for line in block.splitlines()]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        line.removeprefix("$ ").split(" &&")[0].split(" #")[0]
        for line in joined.splitlines()
        if line.removeprefix("$ ").startswith("omnibazaar ")
    ]


def parse(line: str) -> None:
    """Walk down the groups; raises click.UsageError for a command or option that is not there."""
    command: click.Command = root
    words = shlex.split(line)[1:]
    context: click.Context | None = None
    while True:
        context = click.Context(command, parent=context, **command.context_settings)
        values, rest, _ = command.make_parser(context).parse_args(list(words))
        if not isinstance(command, click.Group):
            for parameter in command.params:
                if isinstance(parameter, click.Argument) and parameter.required:
                    assert isinstance(values.get(parameter.name or ""), str | tuple), line
            return
        found = command.get_command(context, rest[0])
        assert found is not None, f"{line}: there is no {rest[0]}"
        command, words = found, rest[1:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_in_how_to_pages_exist(page: Path) -> None:
    for line in find_commands(page.read_text()):
        parse(line)


def test_the_parser_notices_what_is_not_there() -> None:
    with pytest.raises(click.UsageError):
        parse("omnibazaar wallet escape file.json --no-such-option")
    with pytest.raises(AssertionError):
        parse("omnibazaar wallet evade")
    with pytest.raises(AssertionError):
        parse("omnibazaar wallet escape")
