"""Try mutants of the contracts and print those that no test notices.

Rule: the exit status is 1 when a mutant survives that survivors.json does not justify, when a
justified one is killed, and when a source is not the one that was tried.

    python -m tests.contracts.mutation --all --list               # names only
    python -m tests.contracts.mutation --file Finality.sol        # all mutants of one source
    python -m tests.contracts.mutation --all --processes 2        # all mutants (see audit.md)
    python -m tests.contracts.mutation --all --untried --record   # only those without a verdict
    python -m tests.contracts.mutation --rotating 3               # three, others with each commit
    python -m tests.contracts.mutation --table                    # write the table of audit.md

`--record` writes the verdicts of sources known as a whole into tried.json; `--cache DIR` keeps
results.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.contracts.mutation.campaign import Campaign, report
from tests.contracts.mutation.project import PROJECTS, Project, all_mutants
from tests.contracts.mutation.record import (
    AUDIT,
    find_faults,
    known_results,
    load_survivors,
    load_tried,
    make_table,
    source_of,
    tabulated,
)
from tests.contracts.mutation.rotation import chosen_now
from tests.contracts.mutation.suite import with_suite
from tests.contracts.mutation.trial import Result
from tests.contracts.solc_worker import solc_worker


def main(arguments: list[str] | None = None) -> int:
    """Choose mutants and try them; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.table:
        AUDIT.write_text(tabulated(AUDIT.read_text(), make_table(load_tried(), load_survivors())))
        return 0
    judges = chosen_now(load_tried(), options.rotating) if options.rotating else None
    results: dict[str, Result] = {}
    for project in PROJECTS:
        results |= _run(project, options, judges)
    if options.list:
        return 0
    faults = find_faults(load_tried(), load_survivors())
    return report(results, faults, load_survivors())


def _run(
    project: Project, options: argparse.Namespace, judges: dict[str, str] | None
) -> dict[str, Result]:
    """Try the chosen mutants of one project; `judges` are the tests to ask, by mutant."""
    sources = {source_of(name) for name in judges or ()} | set(options.file or ())
    if sources and not any(project.owns(source) for source in sources):
        return {}
    results: dict[str, Result] = {}
    known = known_results(load_tried()) if options.untried else {}
    with ExitStack() as stack:
        worker = stack.enter_context(solc_worker(project.folder, project.root))
        chosen = [
            mutant
            for mutant in all_mutants(worker, project)
            if (not sources or mutant.source in sources)
            and (not options.name or options.name in mutant.name)
            and (judges is None or mutant.name in judges)
            and mutant.name not in known
        ]
        if options.file:
            chosen.sort(key=lambda mutant: options.file.index(mutant.source))
        if options.list:
            print("\n".join(f"{mutant.line:4} {mutant.name}" for mutant in chosen))
            return {}
        if not chosen:
            return {}
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="omnibazaar-")))
        cache = options.cache or scratch / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        campaign = Campaign(
            project=project,
            worker=worker,
            scratch=scratch,
            cache=cache,
            processes=options.processes,
            tests_max=options.tests_max,
            by_record=judges is not None,
        )
        files = project.test_files()
        if judges is not None:
            files = sorted({test.split(".py::")[0] for test in judges.values()} & set(files))
        with_suite(files, lambda suite: campaign.run(suite, chosen, results))
        if options.record and not options.name:
            campaign.record(results)
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.contracts.mutation")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every mutant of every source")
    which.add_argument(
        "--file",
        action="append",
        metavar="SOURCE",
        help="mutate this source; several in this order",
    )
    which.add_argument(
        "--rotating", type=int, metavar="N", help="N mutants of sources tried, by the commit"
    )
    which.add_argument("--table", action="store_true", help="write the table of audit.md")
    parser.add_argument("--name", metavar="PART", help="only mutants with this in their name")
    parser.add_argument("--list", action="store_true", help="print names, try nothing")
    parser.add_argument(
        "--untried", action="store_true", help="only mutants that tried.json has no verdict of"
    )
    parser.add_argument("--record", action="store_true", help="write tried.json")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep results and traces here")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--tests-max", type=int, metavar="N", help="ask N likely tests: a first look"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
