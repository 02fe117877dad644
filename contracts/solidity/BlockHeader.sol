// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @notice The sixteen words of an OmniBazaar block header, in the order in which they are hashed.
/// @param epoch committee epoch, from 1
/// @param viewNumber consensus view within the epoch, from 1
/// @param height block height, from 1 (a seal block repeats its boundary's height)
/// @param parentView view of the parent
/// @param parentHash hash of the parent header
/// @param timeMs block time, milliseconds since the Unix epoch
/// @param bundlesRoot keccak of the bundle digests, or zero
/// @param executedHeight height whose execution produced the two roots below
/// @param stateRoot ledger state root after executedHeight
/// @param feesRoot keccak of the cumulative fee totals after executedHeight
/// @param attendanceRoot keccak of the parent's certificate, or zero
/// @param evidenceRoot keccak of the included evidence, or zero
/// @param committeeHash keccak of this epoch's committee words
/// @param nextCommitteeHash keccak of the next epoch's committee words at an epoch border, or zero
/// @param checkpointDigest sha2-256 digest of a snapshot manifest CID, or zero
/// @param proposer committee index of the proposer
struct BlockHeader {
    uint64 epoch;
    uint64 viewNumber;
    uint64 height;
    uint64 parentView;
    bytes32 parentHash;
    uint64 timeMs;
    bytes32 bundlesRoot;
    uint64 executedHeight;
    bytes32 stateRoot;
    bytes32 feesRoot;
    bytes32 attendanceRoot;
    bytes32 evidenceRoot;
    bytes32 committeeHash;
    bytes32 nextCommitteeHash;
    bytes32 checkpointDigest;
    uint64 proposer;
}
