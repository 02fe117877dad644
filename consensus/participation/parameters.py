"""Name every number of the score, the jail and the committee selection, with its unit.

Rule: a constant that moves a score, a seat or a share stands here and in the explanation page, and
nowhere else.
Spec: docs/explanation/participation.md. Deviations: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from consensus.limits import CHECKPOINT_LAG, SEED_LAG_HEIGHTS

SCORE_ONE: Final = 1_000_000  # a full score: 100 points are a million, 50 points half of it
SEAT_SCORE: Final = 500_000  # what a seat requires: 50 points
GENESIS_SCORE: Final = 500_000  # members of the genesis committee begin here
NEWCOMER_SCORE: Final = 250_000  # everybody else begins here
JAILED_SCORE: Final = 400_000  # the most a jailed validator keeps

CREDIT_ONE: Final = 1_000  # full credit for one opportunity
OPPORTUNITIES_MIN: Final = 8  # fewer in one period prove nothing
KEPT_PERIODS_MAX: Final = 3  # periods without opportunity in which a part keeps its last ratio
PERIOD_BLOCKS_MIN: Final = 320  # heights that a score is judged by; shorter epochs are put together

PRODUCTION: Final = 0
UPTIME: Final = 1
TRADING: Final = 2
CHAT: Final = 3
STORAGE: Final = 4
POINTS: Final = (30, 25, 20, 15, 10)  # of the parts above, 100 together
PART_NAMES: Final = ("production", "uptime", "trading", "chat", "storage")
SERVICE_BITS: Final = (0, 0, 1, 2, 4)  # what a validator must offer to have a part; 0 for none

DOWN_DIVISOR: Final = 4  # a worse period moves the score this part of the way
UP_DIVISOR: Final = 16  # a better one this part

VOTE_WINDOW_HEIGHTS: Final = 1_200  # newest heights that decide about jail
JAIL_VOTES_PERCENT: Final = 50  # fewer votes in a full window: jail
JAIL_SLOT_VOTES_PERCENT: Final = 70  # fewer votes after missed slots in a row: jail
JAIL_SLOTS: Final = 3  # missed leader slots in a row
JAIL_HEIGHTS_MIN: Final = 240  # heights in a record of votes before it proves anything
JAIL_FIRST_MS: Final = 600_000  # first term, doubled with every further one
JAIL_DOUBLINGS_MAX: Final = 8
JAIL_MS_MAX: Final = 86_400_000  # longest term

SEATS_MIN: Final = 4  # members that jail and low scores leave in office
SHARE_CAP_PERCENT: Final = 2  # of the weight, or an equal share if that is more
MOVE_PERCENT_MAX: Final = 10  # of the weight that may change hands at a border, or one seat
TOTAL_WEIGHT: Final = 1_000_000_000  # weights of a selected committee add up to at most this
VALIDATORS_MAX: Final = 10_000  # registrations kept; further ones enter by a later change
HEARTBEAT_SLOTS: Final = 16  # equal parts of a scoring period, one heartbeat counted in each,
# and one question about stored data asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a network fixes at genesis."""

    epoch_blocks: int  # heights of an epoch
    selection_lead: int = 64  # heights before the border at which scores close
    checkpoint_interval: int = 1_000  # heights after which the whole state is hashed again
    bond_min: int = 1_000 * 10**18  # atoms that a seat requires
    bond_cap: int = 100_000 * 10**18  # atoms beyond which a bond gives no more weight
    newcomer_score: int = NEWCOMER_SCORE  # of everybody who registers after genesis
    is_fixed: bool = False  # the committee of genesis stays in office; scores and pay go on
    period_blocks_min: int = PERIOD_BLOCKS_MIN  # heights of the shortest scoring period
    jail_first_ms: int = JAIL_FIRST_MS  # the first jail term

    def __post_init__(self) -> None:
        if not 0 < self.selection_lead < self.epoch_blocks:
            raise ValueError("scores close within the epoch, before its border")
        if self.checkpoint_interval < 1 or not 0 < self.bond_min <= self.bond_cap:
            raise ValueError("the interval and the bond are positive, the cap not below the bond")
        if not 0 <= self.newcomer_score <= SCORE_ONE:
            raise ValueError("a score lies between nothing and one")

    @property
    def period_epochs(self) -> int:
        """How many epochs make a scoring period: one, unless they are short."""
        return max(1, -(-self.period_blocks_min // self.epoch_blocks))

    @property
    def period_blocks(self) -> int:
        """Heights of a scoring period; the first one lacks the lead."""
        return self.period_epochs * self.epoch_blocks

    def is_border(self, height: int) -> bool:
        """True for the last height of an epoch."""
        return height % self.epoch_blocks == 0

    def is_seed(self, height: int) -> bool:
        """True for the height whose block seeds the next epoch (`consensus.epoch`)."""
        return (height + min(SEED_LAG_HEIGHTS, self.epoch_blocks)) % self.epoch_blocks == 0

    def is_selection(self, height: int) -> bool:
        """True for the height at which the next committee is chosen."""
        return (height + self.selection_lead) % self.epoch_blocks == 0

    def is_close(self, height: int) -> bool:
        """True for the selection height at which scores close."""
        return (height + self.selection_lead) % self.period_blocks == 0

    def compute_part(self, height: int) -> int:
        """Return the number of the part of a scoring period that a height belongs to.

        Parts are numbered on from one period to the next; the first period has the number 0 to 15.
        """
        return (height + self.selection_lead - 1) * HEARTBEAT_SLOTS // self.period_blocks

    def compute_heartbeat_slot(self, height: int) -> int:
        """Return which of its period's sixteen parts a height belongs to."""
        return self.compute_part(height) % HEARTBEAT_SLOTS

    @property
    def snapshots_needed(self) -> int:
        """How many of the newest snapshots a node keeps so that it can answer until a part ends."""
        part_blocks = -(-self.period_blocks // HEARTBEAT_SLOTS)
        return 1 - (-(CHECKPOINT_LAG + part_blocks) // self.checkpoint_interval)

    def is_part_end(self, height: int) -> bool:
        """True for the last height of a part, whose block draws the next question."""
        return self.compute_part(height) != self.compute_part(height + 1)
