"""Bound everything that a peer, a journal or a long outage could make grow.

Rule: a number that limits size, count or time in `consensus/` is named here, with its unit.
Spec: docs/spec/consensus.md (Limits). Deviations: none.
"""

from __future__ import annotations

from typing import Final

COMMITTEE_MAX: Final = (
    128  # members of one epoch's committee; the bitmap of a certificate is 128 bits
)
OBSERVER: Final = COMMITTEE_MAX  # stands for the index of a replica without a seat
GUEST_FIRST: Final = OBSERVER + 1  # the first index given to a peer outside the committee
GUESTS_MAX: Final = 1_024  # peers outside the committee that are listened to in one epoch
WEIGHT_MAX: Final = 1 << 62  # one member's weight
SLOTS_PER_SEAT: Final = 16  # leader slots per committee member in one turn of the list

VIEWS_AHEAD: Final = 64  # votes and proposals this far ahead of my view are ignored
PENDING_IDS_MAX: Final = 32  # action ids one notarize vote may list
BUNDLES_PER_BLOCK_MAX: Final = 256  # bundle digests in one block
EVIDENCE_PER_BLOCK_MAX: Final = 4  # pairs of conflicting votes in one block

MESSAGE_BYTES_MAX: Final = 1_310_720  # one encoded consensus message (a full range reply)
RANGE_BYTES_MAX: Final = 1_048_576  # blocks in one range or block reply
RANGE_BLOCKS_MAX: Final = 128  # blocks in one range reply
ANCESTORS_PER_REPLY_MAX: Final = 8  # blocks in one answer to GET_BLOCK, at most RANGE_BYTES_MAX
RANGE_DISTANCE: Final = 16  # heights behind from which whole ranges are asked for
RANGE_EXECUTION_LAG_MAX: Final = 512  # final but unexecuted heights that pause catching up

EXECUTED_LAG_MAX: Final = 32  # heights between a block and the executed state it states
CHECKPOINT_LAG: Final = 32  # heights between a checkpoint and the header that carries its digest
FINAL_BLOCKS_KEPT: Final = 64  # newest final blocks kept in memory for peers

STANDSTILL_VIEWS: Final = 30  # oldest and newest views repeated in one standstill round, each
STANDSTILL_BYTES_MAX: Final = 262_144  # bytes of one standstill round
STANDSTILL_CAP_MS: Final = 60_000  # longest pause between two standstill rounds
BACKOFF_NUMERATOR: Final = 1_300  # each view without finality multiplies the time-outs by 1.3
BACKOFF_DENOMINATOR: Final = 1_000
BACKOFF_SLACK_VIEWS: Final = 1  # views without finality that cost nothing
TIMEOUT_CAP_MS: Final = 60_000  # longest leader or view time-out
TIME_STEP_MS: Final = 1  # least time between a block and its child, ms
CLOCK_DRIFT_MAX_MS: Final = 500  # how far a block's time may lie ahead of my clock

REQUESTS_PER_PEER_MAX: Final = 128  # requests of one peer answered within REQUEST_WINDOW_MS
REQUEST_WINDOW_MS: Final = 1_000
STRANGE_CERTIFICATES_MAX: Final = 256  # certificates of one peer checked within REQUEST_WINDOW_MS
WANTED_MAX: Final = 32  # blocks or views asked for at the same time
EARLY_GUESTS_MAX: Final = 32  # peers outside the committee whose early messages are kept
EARLY_PER_PEER_MAX: Final = 4  # messages of the next epoch kept of one peer until it begins
EPOCH_RECORD_BYTES_MAX: Final = 8_192  # an epoch with its committee in the block store
SEED_LAG_HEIGHTS: Final = 64  # heights between the block that seeds an epoch and the border
GUARD_FLOOR_STEP_VIEWS: Final = 32  # finalized views after which the guard's floor is raised
SETTLE_PASSES_MAX: Final = 10_000  # passes over the rules in one event; more is a bug of ours
