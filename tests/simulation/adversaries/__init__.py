"""What Byzantine members do on purpose, one habit per file.

Rule: an adversary uses only the keys of Byzantine members; it may see and repeat everything.
Spec: docs/spec/consensus.md (How it is proven). Deviations: none.
"""

from __future__ import annotations

from tests.simulation.adversaries.censor import Censor
from tests.simulation.adversaries.equivocator import Equivocator
from tests.simulation.adversaries.garbage import Garbage
from tests.simulation.adversaries.poisoner import SnapshotPoisoner
from tests.simulation.adversaries.replayer import Replayer
from tests.simulation.adversaries.spammer import Spammer
from tests.simulation.adversaries.withholder import Withholder

HABITS = (Censor, Replayer, Spammer, Withholder, Equivocator, Garbage, SnapshotPoisoner)
