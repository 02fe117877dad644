"""What is known of every mutant: the test that kills it, or why none can.

Rule: a record holds for one text of a source; when the source changes, nothing is claimed of it.

Spec: docs/explanation/audit.md
Deviations: comments and layout are no part of the text.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.build import COTI_SOURCES, SOURCES
from tests.contracts.mutation.project import meaning
from tests.contracts.mutation.trial import Result, Verdict

FOLDER = Path(__file__).parent
TRIED = FOLDER / "tried.json"
SURVIVORS = FOLDER / "survivors.json"
AUDIT = Path(__file__).parents[3] / "docs" / "explanation" / "audit.md"
BEGIN, END = "<!-- mutants: made by --table -->\n", "<!-- end of mutants -->\n"
ORDER = (
    "Deposits.sol",
    "Withdrawals.sol",
    "Money.sol",
    "Checkpoints.sol",
    "Finality.sol",
    "Votes.sol",
    "BlockHeader.sol",
    "LedgerProof.sol",
    "Escape.sol",
    "Succession.sol",
    "Governance.sol",
    "Migration.sol",
    "ValidatorRegistry.sol",
    "Penalties.sol",
    "FeeDistributor.sol",
    "FeeShares.sol",
    "OmniCoin.sol",
    "TokenAccounts.sol",
    "Settlement.sol",
    f"{COTI_SOURCES.name}/ConfidentialVault.sol",
    f"{COTI_SOURCES.name}/ConfidentialCoin.sol",
    f"{COTI_SOURCES.name}/SoundPrivateToken.sol",
)
"""All sources, those first whose faults cost most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One source, and what became of its mutants."""

    digest: str
    killers: dict[str, str]
    """Test by mutant; empty if the mutant does not come to an end."""
    survivors: tuple[str, ...]
    equivalent: int
    """Mutants whose code is the original's."""
    stillborn: int
    """Mutants that do not compile."""
    untried: int
    """Mutants of which nothing is claimed."""


def digest_of(source: str) -> str:
    """Digest of a source as it is in the repository."""
    folder = COTI_SOURCES.parent if "/" in source else SOURCES
    return hashlib.sha256(meaning((folder / source).read_text()).encode()).hexdigest()[:32]


def load_tried() -> dict[str, Tried]:
    """The record by source; killers are stored by test, because tests kill many."""
    stored = json.loads(TRIED.read_text())
    return {
        source: Tried(
            digest=one["digest"],
            killers={name: test for test, names in one["killers"].items() for name in names},
            survivors=tuple(one["survivors"]),
            equivalent=one["equivalent"],
            stillborn=one["stillborn"],
            untried=one["untried"],
        )
        for source, one in stored.items()
    }


def save_tried(tried: Mapping[str, Tried]) -> None:
    """Write the record."""
    stored = {}
    for source in sorted(tried):
        one = tried[source]
        by_test: dict[str, list[str]] = {}
        for name, test in sorted(one.killers.items(), key=lambda pair: (pair[1], pair[0])):
            by_test.setdefault(test, []).append(name)
        stored[source] = {
            "digest": one.digest,
            "killers": by_test,
            "survivors": sorted(one.survivors),
            "equivalent": one.equivalent,
            "stillborn": one.stillborn,
            "untried": one.untried,
        }
    TRIED.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")


def load_survivors() -> dict[str, str]:
    """Why a mutant cannot be killed, by its name."""
    reasons: dict[str, str] = json.loads(SURVIVORS.read_text())
    return reasons


def known_results(tried: Mapping[str, Tried]) -> dict[str, Result]:
    """Verdicts by mutant, of sources that are still what was tried."""
    known: dict[str, Result] = {}
    for source, one in tried.items():
        if one.digest != digest_of(source):
            continue
        for name, test in one.killers.items():
            verdict = Verdict.KILLED if test else Verdict.TIMEOUT
            known[name] = Result(verdict=verdict, killer=test)
        known |= dict.fromkeys(one.survivors, Result(verdict=Verdict.SURVIVED))
    return known


def source_of(name: str) -> str:
    """The source that a mutant's name begins with."""
    return name.split(" ")[0]


def make_tried(source: str, results: Mapping[str, Result], mutants: int) -> Tried:
    """The record of one source that has so many mutants."""
    counts = Counter(result.verdict for result in results.values())
    killed = (Verdict.KILLED, Verdict.TIMEOUT)
    return Tried(
        digest=digest_of(source),
        killers={name: one.killer for name, one in results.items() if one.verdict in killed},
        survivors=tuple(n for n, one in results.items() if one.verdict is Verdict.SURVIVED),
        equivalent=counts[Verdict.EQUIVALENT],
        stillborn=counts[Verdict.STILLBORN],
        untried=mutants - len(results) + counts[Verdict.UNTRIED],
    )


def find_faults(tried: Mapping[str, Tried], reasons: Mapping[str, str]) -> list[str]:
    """What must not be left as it is: a sentence for each."""
    faults = []
    for source, one in tried.items():
        if one.digest != digest_of(source):
            faults.append(
                f"{source} has changed since its mutants were tried:"
                f" python -m tests.contracts.mutation --file {source} --record"
            )
        faults += [
            f"no reason is given for {name}" for name in one.survivors if name not in reasons
        ]
        faults += [
            f"justified, but a test kills it: {name}" for name in one.killers if name in reasons
        ]
    survivors = {name for one in tried.values() for name in one.survivors}
    faults += [
        f"justified, but there is no such mutant: {name}"
        for name in reasons
        if name not in survivors
        and source_of(name) in tried
        and name not in tried[source_of(name)].killers
    ]
    faults += [
        f"justified, but never tried: {name}" for name in reasons if source_of(name) not in tried
    ]
    return faults


def make_table(tried: Mapping[str, Tried], reasons: Mapping[str, str]) -> str:
    """The Markdown table of all sources."""
    rows = ["| source | mutants | killed | justified | same code | do not compile | not tried |"]
    rows.append("|---|---|---|---|---|---|---|")
    sums = [0] * 6
    for source in ORDER:
        one = tried.get(source)
        if one is None:
            rows.append(f"| `{source}` | | | | | | all |")
            continue
        justified = sum(name in reasons for name in one.survivors)
        verdicts = [len(one.killers), len(one.survivors), one.equivalent, one.stillborn]
        every = sum(verdicts) + one.untried
        row = [every, len(one.killers), justified, *verdicts[2:], one.untried]
        sums = [a + b for a, b in zip(sums, row, strict=True)]
        rows.append(f"| `{source}` | " + " | ".join(map(str, row)) + " |")
    rows.append("| recorded | " + " | ".join(map(str, sums)) + " |")
    return "\n".join(rows) + "\n"


def tabulated(text: str, table: str) -> str:
    """The page with its table replaced."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}{table}{END}{after}"
