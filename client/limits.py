"""Bound what the SDK sends, waits for and keeps.

Rule: no other file of this room states a maximum or a waiting time.
Spec: docs/reference/api.md (Limits). Deviations: none.
"""

from __future__ import annotations

from typing import Final

ACTIONS_PER_REQUEST_MAX: Final = 100
OPS_PER_ACTION_MAX: Final = 64
FRAME_BYTES_MAX: Final = 16 << 20  # one WebSocket message from a node
ANSWER_BYTES_MAX: Final = 16 << 20  # one REST answer
EVENTS_WAITING_MAX: Final = 4_096  # events of one subscription not yet read
FRAMES_WAITING_MAX: Final = 64  # frames the WebSocket library may hold
REQUESTS_WAITING_MAX: Final = 1_024  # requests without an answer on one connection
OUTCOMES_REMEMBERED_MAX: Final = 4_096  # actions whose end a trader keeps in mind

REQUEST_TIMEOUT_S: Final = 10.0  # one REST request or one answer over WebSocket
CONNECT_TIMEOUT_S: Final = 5.0
CLOSE_TIMEOUT_S: Final = 2.0
PING_INTERVAL_S: Final = 20.0  # keeps an idle connection open and notices a dead one
RECONNECT_MS_MIN: Final = 50
RECONNECT_MS_MAX: Final = 2_000
RESYNC_PAUSE_S: Final = 0.1  # before a book or stream that went wrong begins anew
HISTORY_PAGE: Final = 500  # rows asked for at once
RECEIPT_POLL_S: Final = 1.0  # asks for a receipt should its event be lost
OUTCOME_TIMEOUT_S: Final = 30.0  # until a trader calls an outcome unknown

RELAY_WAIT_S: Final = 120.0  # for one relay, before the next is asked
RELAY_POLL_S: Final = 0.5
RELAY_SHOWN_S: Final = 20.0  # for the own EVM node to show what a relay says that it has done
SIGNED_FEE_S: Final = 3_600  # how long a signed fee or deposit can be used
RPC_ANSWER_BYTES_MAX: Final = 1 << 16  # an EVM node's answer to one view

DEADLINE_MS_DEFAULT: Final = 60_000  # an action may be executed this long after it was made
SEAL_DEADLINE_MS: Final = 10_000  # a commit not executed by then never will be
SEAL_GRACE_S: Final = 5.0  # for sealed orders not yet opened when a trader leaves
OPENINGS_MAX: Final = 5  # times an opening is sent, signed anew
OPENING_RETRY_S: Final = 0.1  # pause after a node was too busy for an opening
GRANT_MS_DEFAULT: Final = 86_400_000
GRANT_MS_WEEK: Final = 7 * 86_400_000
SALT_BYTES: Final = 32
MARKETS_RETRY_S: Final = 1.0
"""Pause before the list of markets is followed again after an error."""
MARKET_EVENTS_KEPT: Final = 50
"""Newest market events that a new listener begins with."""
