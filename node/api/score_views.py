"""Name what the API shows of validators and their scores, part by part.

Rule: the numbers are those of the participation state, unrounded, so that anybody can compute the
score again with a pocket calculator.
Spec: docs/reference/api.md; docs/explanation/participation.md. Deviations: none.
"""

from __future__ import annotations

from node.api.views import Address, Amount, Hex, View


class Validator(View, frozen=True, kw_only=True):
    """One seat of the committee."""

    index: int
    address: Address
    payout: Address
    weight: int
    name: str  # from the network file; "" if unnamed
    connected: bool  # this node has a stream to it, or is it
    is_self: bool
    proposed: int  # final blocks since this node started
    last_proposed_height: int
    votes: int  # its notarize votes inside the newest final certificates
    votes_possible: int
    score: int  # 0–100, rounded down; 50 is what a seat requires
    parts: tuple[int | None, ...]  # last period, %: production, uptime, trading, chat, storage


class Validators(View, frozen=True, kw_only=True):
    """The committee in index order."""

    validators: tuple[Validator, ...]


class ScorePart(View, frozen=True, kw_only=True):
    """One of the five things a validator is measured by."""

    name: str  # production, uptime, trading, chat or storage
    points: int  # of a hundred
    is_offered: bool
    opportunities: int  # in the open period
    credits: int  # in it, thousandths of an opportunity
    ratio: int | None  # in the last closed period, millionths; null where it did not count


class StorageQuestion(View, frozen=True, kw_only=True):
    """Which chunk of a snapshot is asked for in this part of the period, and what was said."""

    part: int  # of scoring periods, sixteen in each, numbered from genesis
    drawn_height: int  # of the block that drew the chunk
    drawn_hash: Hex  # modulo the number of chunks it is the chunk's index
    snapshot_height: int  # 0 while nothing is asked
    is_committed: bool  # to an answer, in this part
    is_answered: bool  # what was committed to in the part before is shown


class ValidatorScore(View, frozen=True, kw_only=True):
    """Everything that decides a validator's seat, weight and share of the fees."""

    owner: Address
    address: Address  # of the hot key
    payout: Address
    network_key: Hex
    stake: Amount  # atoms of XOM
    seat: int | None  # index in the committee in office
    weight: int  # in it, 0 without a seat
    score: int  # with memory, millionths: 500,000 are the 50 points that a seat requires
    period_score: int  # of the last closed period, millionths; rewards go by it
    pay_share: int  # of the validators' fees at this moment, millionths
    votes: int  # in the newest heights, at most 1,200
    votes_possible: int
    missed_slots_in_row: int
    jailed_until_ms: int  # 0 when free
    jail_count: int
    is_convicted: bool
    is_leaving: bool
    period_ends_height: int  # scores close here
    parts: tuple[ScorePart, ...]
    storage: StorageQuestion
