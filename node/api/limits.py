"""Bound everything a client of the API can make the daemon hold, parse or send.

Rule: every number that limits a request, a connection, a queue or an answer is named here, with
its unit.
Spec: docs/reference/api.md (Limits). Deviations: none.
"""

from __future__ import annotations

from typing import Final

BODY_BYTES_MAX: Final = 1 << 20  # one REST request body
BODY_DRAIN_BYTES_MAX: Final = 8 << 20  # of a body that is too large, read to be polite
FRAME_BYTES_MAX: Final = 1 << 20  # one WebSocket message from a client
QUERY_BYTES_MAX: Final = 2_048  # a request target with its query
HEADER_BYTES_MAX: Final = 16 << 10  # all headers of a request

ACTIONS_PER_REQUEST_MAX: Final = 100
PAYLOAD_BYTES_MAX: Final = 64 << 10  # one signed action without its signature, as the ledger admits
SIGNATURE_BYTES: Final = 65
CHAT_PAYLOAD_BYTES_MAX: Final = 8 << 10  # one signed chat message
ROOM_NAME_CHARS_MAX: Final = 64

DEPTH_DEFAULT: Final = 20  # price levels per side
DEPTH_MAX: Final = 200
BOOK_PUSH_LEVELS: Final = 20  # price levels per side in a pushed book
L2_LEVELS_MAX: Final = 2_000  # price levels per side in a snapshot of a whole book
L3_ORDERS_MAX: Final = 5_000  # orders per side in a snapshot of all orders
PAGE_DEFAULT: Final = 50  # rows per page: trades, blocks, messages
PAGE_MAX: Final = 500
REPLAY_EVENTS_MAX: Final = 5_000  # missed events of an account one subscription may ask for
REPLAY_WAIT_S: Final = 5  # for the newest block to reach the store before it is read
CANDLES_MAX: Final = 1_000
INTEGER_MAX: Final = (1 << 63) - 1  # a height, cursor or index in a query

SOCKETS_MAX: Final = 2_048  # TCP connections of one node
SOCKETS_PER_ADDRESS_MAX: Final = 512  # of one remote address; this computer (a proxy) has all
CONNECTIONS_MAX: Final = 1_024  # WebSocket connections of one node
CONNECTIONS_PER_ADDRESS_MAX: Final = 256  # of one remote address (a home has one address for all)
SUBSCRIPTIONS_PER_CONNECTION_MAX: Final = 64
OUTPUT_BYTES_MAX: Final = 256 << 10  # waiting to be written to one connection
SUBSCRIBER_QUEUE_MESSAGES: Final = 512  # waiting for one connection; more closes it as too slow
SUBMITS_WAITING_MAX: Final = 64  # submit frames of one connection; then it is not read any more
SUBMIT_BATCH_ACTIONS_MAX: Final = 1_000  # actions of waiting frames handed to the node at once
FRAME_ERRORS_MAX: Final = 100  # unreadable frames on one connection before it is closed
REQUESTS_PER_S_MAX: Final = 2_000  # sustained, per remote address, REST
REQUESTS_BURST: Final = 4_000
L2_WEIGHT: Final = 5  # requests that asking for all levels counts as
L3_WEIGHT: Final = 20  # the same for all orders
EVENTS_WEIGHT: Final = 5  # the same for an account's past
PROOF_WEIGHT: Final = 20  # the same for a proven balance, which waits for a block
ANSWER_BYTES_PER_REQUEST: Final = 16 << 10  # a large answer counts as so many requests more
ACTIONS_PER_S_MAX: Final = 20_000  # sustained, per remote address, over REST and WebSocket
ACTIONS_BURST: Final = 40_000
RATE_BUCKETS_MAX: Final = 4_096  # remote addresses whose rate is remembered

BODY_TIMEOUT_S: Final = 10  # a request body must be complete by then
READ_STALL_S: Final = 30  # input the node could not hand on for this long ends the connection
SEND_TIMEOUT_S: Final = 10  # a client that takes nothing for this long is closed
TICK_S: Final = 1  # status, markets and validators are pushed this often
IDLE_TIMEOUT_S: Final = 120  # a WebSocket without a frame from the client and without subscription
HTTP_KEEP_ALIVE_S: Final = 30
STOP_GRACE_S: Final = 2  # open requests are given this long when the daemon stops
