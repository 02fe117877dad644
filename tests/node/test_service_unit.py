"""The service unit that the documents give restarts after the right exit codes, and is sound.

Rule: the table of exit codes is the truth; the unit follows it.
Spec: docs/reference/exit-codes.md. Deviations: none.
"""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from node.cli import exits

DOCS = Path(__file__).resolve().parents[2] / "docs"
TABLE = (DOCS / "reference/exit-codes.md").read_text()
PAGE = (DOCS / "how-to/run-at-home.md").read_text()


def read_unit() -> configparser.ConfigParser:
    found = re.search(r"```ini\n(.*?)```", PAGE, re.DOTALL)
    assert found
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names are cased
    unit.read_string(found[1])
    return unit


def test_codes_after_which_a_restart_does_harm_do_not_restart() -> None:
    final = re.findall(r"^\| ([0-9]+) \| [^|]* \| \**no\** \|$", TABLE, re.MULTILINE)
    service = read_unit()["Service"]
    assert service["RestartPreventExitStatus"].split() == final
    assert f"`RestartPreventExitStatus={' '.join(final)}`" in TABLE
    assert service["Restart"] == "on-failure"
    assert service["SuccessExitStatus"] == str(exits.TERMINATED)


def test_the_unit_gives_the_password_under_the_name_that_is_read() -> None:
    service = read_unit()["Service"]
    assert service["LoadCredential"].split(":")[0] == "omnibazaar-key"
    assert service["Environment"] == "OMNIBAZAAR_HOME=/var/lib/omnibazaar"
    assert service["StateDirectory"] == "omnibazaar"
