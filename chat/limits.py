"""Bound everything chat takes, keeps or sends.

Rule: no other file of this room states a maximum.
Spec: docs/spec/chat.md (Limits). Deviations: none.
"""

from __future__ import annotations

from typing import Final

DOMAIN_BYTES: Final = 32
ADDRESS_BYTES: Final = 20
KEY_BYTES: Final = 32
ID_BYTES: Final = 32
SIGNATURE_BYTES: Final = 65

PAYLOAD_BYTES_MAX: Final = 8 << 10  # one signed message, as the API allows
ENVELOPE_BYTES_MAX: Final = PAYLOAD_BYTES_MAX + 128
TEXT_CHARS_MAX: Final = 2_000
TEXT_BYTES_MAX: Final = 6_000  # UTF-8
SEALED_BYTES_MAX: Final = 7_000  # header and ciphertext of one direct message
ROOM_NAME_CHARS_MAX: Final = 64
ROOMS_MAX: Final = 1_100  # the lobby and one per market

RETENTION_MS: Final = 7 * 86_400_000
CLOCK_AHEAD_MS_MAX: Final = 60_000  # an author's clock may be this much ahead of ours
POST_AGE_MS_MAX: Final = 120_000  # a message handed in by its author is at most this old
GOSSIP_AGE_MS_MAX: Final = 600_000  # older messages are not passed on, comparing brings them
LAMPORT_AHEAD_MS_MAX: Final = 120_000  # a message's Lamport time above its clock time
DELEGATION_MS_MAX: Final = 366 * 86_400_000
PREKEY_LIFETIME_MS_MAX: Final = 60 * 86_400_000
TIME_MS_MAX: Final = (1 << 48) - 1

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
AUTHOR_ROOM_MINUTE_MAX: Final = 30  # messages of one author in one room and minute
AUTHOR_DIRECT_MINUTE_MAX: Final = 60  # direct messages of one author in one minute
AUTHOR_PREKEY_MINUTE_MAX: Final = 4  # prekey bundles of one owner handed in per minute
ROOM_MESSAGES_MAX: Final = 50_000  # kept in one room; the oldest go first
AUTHOR_INBOX_MAX: Final = 500  # kept from one sender for one recipient; the oldest go first
DIRECT_MESSAGES_MAX: Final = 100_000  # kept for all recipients together
PREKEYS_MAX: Final = 100_000  # owners with a bundle
STRANGERS_SHARE_PERCENT: Final = 50  # of these two, for authors without an account in the ledger
ROOMS_MESSAGES_MAX: Final = 500_000  # kept in all rooms together; each has the same part of it

PAGE_MESSAGES_MAX: Final = 500  # rows of one history page
SYNC_FRAME_BYTES_MAX: Final = 128 << 10
SYNC_PAGE_BYTES_MAX: Final = 96 << 10  # envelopes in one page frame
SYNC_PAGE_MESSAGES_MAX: Final = 256
SYNC_HOURS_MAX: Final = 1_600  # hour digests of one feed; covers a prekey's life
SYNC_WANTS_MAX: Final = 32  # hours asked for in answer to one digest frame
DIGEST_BYTES: Final = 16
SYNC_COST_PER_S: Final = 64  # what frames of one peer may cost, see frame_rate.py
SYNC_COST_BURST: Final = 1_024
SYNC_COST_PER_S_OF_ALL: Final = 256
SYNC_COST_BURST_OF_ALL: Final = 4_096
SYNC_PEERS_MAX: Final = 512  # peers whose cost is remembered
PRUNE_STEP_MESSAGES: Final = 1_000  # messages deleted without a pause

SESSIONS_PER_PEER_MAX: Final = 4
PEERS_PER_MAILBOX_MAX: Final = 1_000
SKIPPED_PER_STEP_MAX: Final = 256  # message keys derived for gaps by one message
SKIPPED_PER_SESSION_MAX: Final = 1_024
EPHEMERALS_REMEMBERED_MAX: Final = 256  # openings of sessions per peer that may not be replayed
OWN_PREKEYS_MAX: Final = 4  # the current one and those it replaced
MAILBOX_BYTES_MAX: Final = 64 << 20
