"""Name every maximum of the network.

Rule: whatever a peer can make grow is bounded by one of these; this file imports nothing heavy.
Spec: docs/spec/p2p.md §7 (Limits).
Deviations: none.
"""

from __future__ import annotations

from typing import Final

# --- frames on a lane -----------------------------------------------------------------------------

FRAME_BYTES_MAX: Final = 512 * 1024
"""Largest body of one frame that we accept, bytes."""

FRAME_BYTES_CUT: Final = 256 * 1024
"""Size at which our own messages are cut into frames, bytes."""

VOTE_MESSAGE_BYTES_MAX: Final = 512 * 1024
"""Largest message of the vote lane (a proposal with its certificates), bytes."""

BULK_MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Largest message of the bulk lane, bytes."""

WRITE_BYTES: Final = 64 * 1024
"""One write to a stream; queued frames are joined up to here and larger ones are cut, bytes."""

READ_BYTES: Final = 1 << 18
"""One read from a stream, bytes. Two small reads would cost two encrypted window frames."""

# --- queues ---------------------------------------------------------------------------------------

VOTE_QUEUE_FRAMES_MAX: Final = 2048
VOTE_QUEUE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Outbound messages waiting for one peer on the vote lane; a full queue drops the newest."""

BULK_QUEUE_FRAMES_MAX: Final = 512
BULK_QUEUE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Outbound messages waiting for one peer on the bulk lane."""

INBOX_FRAMES_MAX: Final = 2048
"""Inbound messages of one peer that wait for the application on one lane."""

INBOX_VOTE_BYTES_MAX: Final = 4 * 1024 * 1024
INBOX_BULK_BYTES_MAX: Final = 16 * 1024 * 1024
"""Their bytes; above it the newest message of that peer is dropped and counted."""

INBOX_TOTAL_BYTES_MAX: Final = 256 * 1024 * 1024
"""Bytes of all peers on one lane; from half of it on the peers that wait divide the other half."""

# --- times ----------------------------------------------------------------------------------------

HEARTBEAT_S: Final = 1.0
"""An idle lane carries an empty frame this often, seconds."""

SILENCE_S_MAX: Final = 6.0
"""A lane without any frame for so long is dead, seconds."""

WRITE_S_MAX: Final = 3.0
"""One write of at most WRITE_BYTES takes no longer, or the connection is closed, seconds."""

DIAL_S_MAX: Final = 5.0
"""One attempt to connect, secure and open a stream, seconds."""

HANDSHAKE_S_MAX: Final = 5.0
"""The proof of the validator key on one lane, seconds."""

REDIAL_S_MIN: Final = 0.25
REDIAL_S_MAX: Final = 4.0
"""Pause between attempts: doubled each time, with jitter of a half, seconds."""

REFUSED_S: Final = 5.0
"""Pause after a peer refused us or failed its proof, seconds."""

PATIENCE_S: Final = 10.0
"""The higher peer id waits so long for the lower one to dial before it dials itself, seconds."""

AWAY_S: Final = 3.0
"""Messages wait for a peer that is away this long; later ones are dropped and counted, seconds."""

CLOSE_POLL_S: Final = 0.02
CLOSE_POLLS_MAX: Final = 100
"""How often we look whether a forced close has left the swarm, seconds and times."""

# --- peers ----------------------------------------------------------------------------------------

VALIDATORS_MAX: Final = 256
"""Validators with lanes of their own."""

OBSERVERS_MAX: Final = 32
"""Connected peers that are not validators."""

CONNECTIONS_MAX: Final = 400
"""TCP connections of the host."""

PENDING_PER_IP_MAX: Final = 24
"""Inbound connections of one IP address that have not finished their handshake."""

STREAMS_PER_CONNECTION_MAX: Final = 64
"""Inbound streams of one connection that are open at once."""

STREAM_BUFFER_BYTES_MAX: Final = 1 << 20
"""Bytes of one stream that wait to be read: the window we give; more is the peer's fault."""

CONNECTION_BUFFER_BYTES_MAX: Final = 4 << 20
VALIDATOR_BUFFER_BYTES_MAX: Final = 16 << 20
"""Bytes of all streams of one connection that wait to be read, of a stranger and a validator."""

MUXED_STREAMS_MAX: Final = 512
"""Streams of one connection in the muxer, those that are half closed included."""

YAMUX_ANSWERS_MAX: Final = 1024
"""Answers of the muxer that wait for one connection; a peer that reads none of them is closed."""

STREAMS_MAX: Final = 8192
"""Streams of the host."""

ADDRESSES_PER_PEER_MAX: Final = 8
"""Multiaddrs remembered per peer."""

MULTIADDR_CHARS_MAX: Final = 256
"""Characters of one multiaddr."""

PEER_BOOK_MAX: Final = 512
"""Peers remembered on disk."""

PEER_BOOK_BYTES_MAX: Final = 2 * 1024 * 1024
"""Size of the peer book file, bytes."""

FORGET_S: Final = 10.0
"""Period at which strangers without a connection are forgotten, seconds."""

# --- scores ---------------------------------------------------------------------------------------

SCORE_PEERS_MAX: Final = 1024
"""Peers whose offences are remembered."""

BAN_MS: Final = 3_600_000
"""A ban for proven misbehaviour lasts an hour, milliseconds."""

COOL_MS: Final = 10_000
"""Wait after an offence without a ban, milliseconds; doubled per offence up to BAN_MS."""

COMPLAINTS_MAX: Final = 64
"""Refused messages of a peer within a half-life that cost it nothing."""

OFFENCE_HALF_LIFE_MS: Final = 600_000
"""One offence is forgotten per half-life, milliseconds."""

# --- gossip ---------------------------------------------------------------------------------------

GOSSIP_BYTES_MAX: Final = 64 * 1024
"""Largest gossip message, bytes. Larger bodies go by content id."""

GOSSIP_RPC_BYTES_MAX: Final = 512 * 1024
"""Largest inbound gossip RPC, bytes."""

GOSSIP_TOPICS_MAX: Final = 256
"""Topics one node subscribes to, and a remote peer may."""

GOSSIP_INBOX_MAX: Final = 1024
"""Messages of one topic that wait for their handler; a full inbox drops the newest."""

GOSSIP_OUTBOX_RPCS_MAX: Final = 256
"""RPCs waiting for one peer; at most 16 MiB of shared bytes."""

GOSSIP_DEGREE: Final = 6
"""Mesh peers per topic."""

GOSSIP_HOUSEKEEPING_S: Final = 2.0
"""Period at which the router's memories are emptied and dead streams replaced, seconds."""

GOSSIP_MESSAGES_PER_S: Final = 200
GOSSIP_BURST: Final = 1000
"""Messages accepted from one forwarding validator, per second and at once; others wait."""

GOSSIP_STRANGER_PER_S: Final = 20
GOSSIP_STRANGER_BURST: Final = 200
"""The same of a peer that is no validator."""

GOSSIP_RPC_ENTRIES_MAX: Final = 256
GOSSIP_RPC_IDS_MAX: Final = 4096
"""Messages, subscriptions and control entries of one inbound RPC, and message ids in them."""

GOSSIP_WANTED_BYTES_MAX: Final = 256 * 1024
"""Messages given for one request of a peer for what it missed, bytes."""

GOSSIP_BACKOFF_S_MAX: Final = 3600
"""Longest time for which a peer may ask us not to graft it, seconds."""

# --- requests -------------------------------------------------------------------------------------

REQUEST_BYTES_MAX: Final = 64 * 1024
"""Largest request, bytes."""

RESPONSE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Largest answer, bytes."""

REQUEST_S_MAX: Final = 10.0
"""One request with its answer, seconds."""

REQUESTS_PER_PEER_MAX: Final = 4
"""Requests of one peer served at once."""

REQUESTS_MAX: Final = 32
"""Requests served at once."""

REQUESTS_PER_S: Final = 20
REQUEST_BURST: Final = 60
"""Requests accepted from one peer that is not a validator, per second and at once."""

VALIDATOR_REQUESTS_PER_S: Final = 100
VALIDATOR_REQUEST_BURST: Final = 400
"""The same of a validator: it catches up by hundreds of questions, not by thousands a second."""
