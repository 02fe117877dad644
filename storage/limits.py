"""Bound everything that storage reads, keeps, serves and waits for.

Rule: a number that limits memory, time or disk in `storage/` is named here, with its unit.
Spec: docs/spec/storage.md#limits
Deviations: none.
"""

from __future__ import annotations

from typing import Final

# The databases
BUSY_TIMEOUT_MS: Final = 5_000  # how long SQLite waits for another process's lock
WAL_BYTES_PER_CHECKPOINT: Final = 16 << 20  # log written before SQLite moves it into the file
WAL_BYTES_KEPT: Final = 64 << 20  # the write-ahead log is cut back to this after a checkpoint
CACHE_KIB: Final = 16 << 10  # page cache of the writing connection
READ_CACHE_KIB: Final = 4 << 10  # page cache of each reading connection
WRITE_QUEUE_MAX: Final = 256  # writes waiting for the writer thread
READERS: Final = 2  # reading connections, each used by one thread at a time
ACCOUNT_CACHE_MAX: Final = 100_000  # addresses whose row number the writer remembers

# Reading
PAGE_ROWS_MAX: Final = 1_000  # rows one range query returns
BLOCKS_PER_READ_MAX: Final = 256
ACCOUNT_BATCH_BYTES_MAX: Final = 256 << 20  # one account's events of one block

# Pruning
PRUNE_HEIGHTS_PER_STEP: Final = 256  # heights deleted in one transaction
PRUNE_PAGES_PER_STEP: Final = 2_048  # free pages given back to the disk after a step
PRUNE_STEP_PAUSE_S: Final = 0.2  # between two steps of one round
PRUNE_PAUSE_S: Final = 60.0  # between two rounds
HOME_BYTES_MAX: Final = 50 << 30  # default size of a home node's chain

# IPFS blocks
GATEWAY_REQUESTS_MAX: Final = 8  # at the same time, of a node that fetches from gateways
GATEWAY_TIMEOUT_S: Final = 20.0  # until a gateway must have sent the next bytes
GATEWAY_BLOCK_S: Final = 60.0  # in which a gateway must have sent a block
BLOCK_BYTES_MAX: Final = 2 << 20  # one IPFS block; the transfer limit of Kubo is 2 MiB
CHUNK_BYTES_MAX: Final = 1 << 20  # one chunk of a state snapshot
SNAPSHOT_CHUNKS_MAX: Final = 16_384  # 16 GiB of state
MANIFEST_BYTES_MAX: Final = 1 << 20
SNAPSHOTS_MAX: Final = 64  # snapshots kept on disk, whatever the caller asks

SNAPSHOTS_HELD_MAX: Final = 2  # snapshots kept beyond their time for peers that fetch them
SNAPSHOT_HOLD_S: Final = 600.0  # how long after the last question about one

# Gateway
CID_TEXT_MAX: Final = 128  # characters
CAR_BLOCKS_MAX: Final = 65_536  # blocks of one CAR answer
CAR_BYTES_MAX: Final = 1 << 30  # bytes of one CAR answer
DAG_DEPTH_MAX: Final = 64  # levels of one DAG walk
DAG_LINKS_MAX: Final = 16_384  # links of one block that are followed

# Bitswap
MESSAGE_BYTES_MAX: Final = 4 << 20  # one Bitswap message, as Kubo has it
WANTLIST_ENTRIES_MAX: Final = 1_024  # entries of one wantlist message
PRESENCES_MAX: Final = 4_096  # HAVE and DONT_HAVE of one message
MESSAGE_BLOCKS_MAX: Final = 1_024  # blocks of one message
MESSAGE_FIELDS_MAX: Final = 24_576  # protobuf fields of one message; all of the above fit
FIELDS_PER_S: Final = 8_192  # fields read of one peer; who sends more waits
FIELDS_AT_ONCE: Final = 2_048  # fields of one peer read without a pause
CID_BYTES_MAX: Final = 64
WANTS_PER_PEER_MAX: Final = 2_048  # wants of one peer that wait to be answered
SEND_BYTES_TARGET: Final = 512 << 10  # a message of blocks is closed beyond this
FETCHES_MAX: Final = 64  # our own wants on the wire at the same time
BITSWAP_PEERS_MAX: Final = 256  # peers with a Bitswap conversation
STREAMS_PER_PEER_MAX: Final = 4  # inbound Bitswap streams of one peer
LOOKUPS_PER_MESSAGE: Final = 512  # wants looked up for one message
UNWANTED_BLOCKS_MAX: Final = 256  # blocks of one stream that came too late or unasked
SERVE_BYTES_PER_S: Final = 32 << 20  # blocks sent to one peer
FETCH_TIMEOUT_S: Final = 10.0
WANT_RETRY_S: Final = 2.0  # a want without any answer is sent again, to the next peer
WRITE_TIMEOUT_S: Final = 10.0
OPEN_TIMEOUT_S: Final = 5.0
IDLE_TIMEOUT_S: Final = 120.0  # an inbound stream without a message is closed
MESSAGE_TIMEOUT_S: Final = 30.0  # a message that has begun must end within
READ_BYTES: Final = 1 << 18

# UnixFS and DAG-PB
NODE_FIELDS_MAX: Final = 4 * DAG_LINKS_MAX + 2  # protobuf fields of one block
FILE_BYTES_MAX: Final = 4 << 30  # one imported file
FILE_LEVELS_MAX: Final = 8

# Kubo
KUBO_TIMEOUT_S: Final = 60.0
KUBO_ANSWER_BYTES_MAX: Final = 4 << 20
