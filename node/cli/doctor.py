"""Show what `node.doctor` finds.

Rule: any fail ends with exit 1; warnings do not.
Spec: docs/reference/cli.md (doctor). Deviations: none.
"""

from __future__ import annotations

import click

from node.cli import exits
from node.cli.context import Context, json_option
from node.cli.show import show_json

MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


@click.command()
@json_option
@click.pass_obj
def doctor(context: Context, as_json: bool) -> int:
    """Check clock, disk, ports, keys, guard and endpoints; changes nothing.

    \b
    Example:
      omnibazaar doctor --json
    """
    from node.doctor import examine

    config = context.load_config().config
    findings = []
    for finding in examine(context.data, config):
        findings.append(finding)
        if as_json:
            continue
        mark, colour = MARKS[finding.outcome]
        click.echo(f"{click.style(mark, fg=colour)}  {finding.name:<15} {finding.text}")
        if finding.fix:
            click.echo(f"{'':<22}→ {finding.fix}")
    failed = any(finding.outcome == "fail" for finding in findings)
    if as_json:
        show_json(
            {
                "ok": not failed,
                "checks": [
                    {"name": f.name, "outcome": f.outcome, "text": f.text, "fix": f.fix}
                    for f in findings
                ],
            }
        )
    return exits.ERROR if failed else exits.OK
