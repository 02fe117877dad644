"""Bound everything the daemon queues, caches, retries and waits for.

Rule: a number that limits memory, time or work in `node/` is named here, with its unit.
Spec: docs/spec/node.md (Limits). Deviations: none.
"""

from __future__ import annotations

from typing import Final

BUNDLE_BYTES_MAX: Final = 256 << 10  # one bundle, as the protocol allows
BUNDLE_ACTIONS_MAX: Final = 4_096  # actions in one bundle
BUNDLE_FLUSH_BYTES: Final = 128 << 10  # a bundle this large is sent without waiting for its time
BUNDLE_DEPTH_MAX: Final = 2  # arrays in arrays: the list and its pairs

BLOCK_BUNDLES_MAX: Final = 256  # bundles in one block
BLOCK_BYTES_MAX: Final = 2 << 20  # bundle bytes in one block

POOL_BUNDLES_PER_ORIGIN_MAX: Final = 512  # of one validator, waiting to be proposed
POOL_BYTES_PER_ORIGIN_MAX: Final = 16 << 20
POOL_BYTES_OF_MEMBERS_MAX: Final = 512 << 20  # of all members; a large committee shares it
POOL_BYTES_PER_OUTSIDER_MAX: Final = 512 << 10  # of a validator without a seat
POOL_BYTES_OF_OUTSIDERS_MAX: Final = 16 << 20  # of all of them together
POOL_KEPT_BYTES_MAX: Final = 128 << 20  # included ones kept in memory
POOL_AHEAD_BYTES_MAX: Final = 64 << 20  # fetched ahead of execution
POOL_KEPT_BUNDLES_MAX: Final = 2_048  # included ones kept in memory to serve stragglers

MEMPOOL_ACTIONS_MAX: Final = 20_000  # own clients' actions waiting for a bundle
MEMPOOL_BYTES_MAX: Final = 16 << 20
OPENINGS_WAITING_MAX: Final = 10_000  # openings kept until their commits are executed
OPENING_WAIT_MS_MAX: Final = 60_000  # how long one is kept
VERIFY_CACHE_ACTIONS_MAX: Final = 50_000  # verified actions remembered by the hash of their bytes
VERIFY_THREADS: Final = 2  # coincurve releases the GIL
VERIFY_BATCH_MAX: Final = 256  # actions checked in one call to a worker thread

INCLUSION_IDS_MAX: Final = 32  # ids one vote may list as pending
INCLUSION_RECENT_IDS_MAX: Final = 200_000  # ids of included actions remembered
INCLUSION_PENDING_IDS_MAX: Final = 20_000  # ids watched for inclusion
INCLUSION_RESTORED_HEIGHTS: Final = 256  # newest blocks whose ids are read again at a start

EXECUTION_QUEUE_BLOCKS_MAX: Final = 256  # final blocks waiting to be executed
FINAL_BLOCKS_WAITING_MIN: Final = 64  # final blocks that may wait, however large their bundles
FINAL_BLOCKS_WAITING_MAX: Final = 2_048  # beyond it consensus waits for execution and the store
POOL_UNEXECUTED_BYTES_MAX: Final = 512 << 20  # beyond these bytes of included bundles it does too
WITNESS_RESEND_MS: Final = 15_000  # until a word on a vault that had no effect is said again
WITNESS_LOOK_MS: Final = 30_000  # between looks whether an applied window is still on the chain
CANDIDATES_KEPT_MAX: Final = 16  # provable checkpoints that are remembered
VAULTS_LOOK_MS: Final = 1_000  # between looks whether the ledger knows another vault
ROOTS_KEPT_MAX: Final = 256  # executed heights whose roots are remembered
EPOCHS_KEPT: Final = 64  # newest epochs in memory, and as many older ones that were asked for
SNAPSHOTS_KEPT: Final = 3  # newest state snapshots on disk

SERVE_WAITING_MAX: Final = 512  # bundles that one peer asked for and that wait to be sent
FETCH_BUNDLES_MAX: Final = 64  # bundles asked for in one request
FETCH_RETRY_MS: Final = 300  # pause before the same bundle is asked of another peer
FETCH_LOOK_S: Final = 0.1  # seconds between two looks at what is missing
FETCH_OPEN_MAX: Final = 1_024  # bundles of final blocks, and as many others, being fetched
FETCH_TRIES_MAX: Final = 32  # peers asked for what no final block carries, until it is forgotten

JOURNAL_SEGMENT_BYTES: Final = 32 << 20  # a journal segment is rolled over beyond this
BUNDLE_LOG_SEGMENT_BYTES: Final = 64 << 20

EVM_TIMEOUT_MS: Final = 10_000  # one call to the EVM chain
EVM_POLL_MS_MIN: Final = 250
ATTEST_RESEND_MS: Final = 5_000  # an attestation that did not reach the chain is signed again
ATTEST_WINDOWS_AHEAD_MAX: Final = 64  # EVM windows looked at in one round
CHECKPOINT_VERIFY_MS = 60_000  # between looks whether the newest checkpoint is still accepted
CHECKPOINT_TURN_MS: Final = 4_000  # the next validator submits when the one before did not
HEADERS_PER_CHECKPOINT_MAX: Final = 64  # as Settlement accepts

SUBSCRIBER_QUEUE_MAX: Final = 1_024  # events waiting for one API subscriber
FILES_WANTED: Final = 8_192  # open files: 2,048 clients, 400 peers, databases, logs and room
SHUTDOWN_S: Final = 5  # seconds a clean stop may take before it is cut short

ATTEST_LIFETIME_MS: Final = 600_000  # deadline of an attestation after its nonce
EVM_SCAN_BLOCKS_MAX: Final = 2_000  # EVM blocks asked for deposits in one call
CHECKPOINT_SPACING_MS: Final = 5_000  # least time between two submissions by this node
SETTLED_KEPT_MAX: Final = 64  # newest accepted checkpoints shown by the API

LEVEL_ORDERS_COUNTED_MAX: Final = 1_000  # orders of one price level that a book view counts
PENDING_ACTIONS_MAX: Final = 100_000  # actions whose operations the tape sees pending
PENDING_RECEIPTS_MAX: Final = 200_000  # actions whose operations still wait for a batch
FINALITY_SAMPLES: Final = 101  # newest blocks whose finality is summed up in the status
STORE_QUEUE_BLOCKS_MAX: Final = 64  # executed blocks waiting for the disk
RANGE_REQUESTS_MAX: Final = 128  # requests for old blocks waiting: of members, and of others
CHAT_OUTBOX_MAX: Final = 1_024  # chat messages waiting to be gossiped
BITSWAP_FETCH_S_MAX: Final = 30  # seconds one block may take to come from a peer
BALANCE_PROOF_TRIES_MAX: Final = 20  # states that no header names before a proof is given up
BALANCE_PROOF_S_MAX: Final = 20  # seconds until a final header must have come
ANNOUNCE_S: Final = 60  # seconds between two announcements of our addresses
ANNOUNCE_SPACING_S: Final = 5  # least seconds between two of them
ANNOUNCE_BYTES_MAX: Final = 4_096  # one announcement
ANNOUNCE_AHEAD_MS_MAX: Final = 600_000  # how far the author's clock may be ahead
OWN_VOTES_KEPT_MAX: Final = 16_384  # own votes remembered to be found again in final blocks
RELAY_QUEUE_MAX = 64  # jobs that wait for one chain
RELAY_JOBS_KEPT_MAX = 1_024  # jobs whose end is remembered
RELAY_ATTEMPTS_MAX = 5
RELAY_RETRY_S = 2.0  # after a failure that may pass, times the number of attempts
RELAY_LOOK_S = 10.0  # between looks at the relayer's account while nothing is to do
RELAY_DEADLINE_S_MIN = 60  # for which a fee must still be good when it is taken

SYNC_ANSWER_BYTES_MAX: Final = 2 << 20  # one answer to a node that catches up
SYNC_HEADERS_MAX: Final = 256  # headers in one answer
SYNC_ROUND_S: Final = 2.0  # pause before all peers are asked again
SYNC_CALM_S: Final = 20.0  # without an answer that makes us fetch a state, replay begins
SYNC_GIVE_UP_S: Final = 600.0  # without a new chunk, replay begins if blocks are to be had
SYNC_PEERS_MAX: Final = 32  # peers asked for the same thing
SYNC_STATE_BYTES_MAX: Final = 16 << 30  # the largest state that is fetched
SYNC_BORDERS_MAX: Final = 200_000  # borders followed from the trusted one, 22 years of hours
SYNC_WATCH_S_MIN: Final = 1.0  # between two looks of a running node whether it is far behind
SYNC_WATCH_S_MAX: Final = 60.0
SYNC_REPORT_S: Final = 0.5  # between two notes of the progress
DECISIONS_MAX = 64  # open decisions about vaults that a node remembers
DECISIONS_PER_SIGNER_MAX = 16  # of them signed by one validator
BALLOTS_MAX = 8_192  # signatures of open decisions that a node reads after a restart
DECISION_DAYS_MAX = 30  # for which a decision may be open
DECISION_FRAME_BYTES_MAX = 512
DECISION_REPEAT_S = 15.0  # between two broadcasts of the signatures
GC_THRESHOLDS: Final = (50_000, 20, 50)  # full collections walk all that is remembered
