// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {BlockHeader} from "./BlockHeader.sol";
import {Votes} from "./Votes.sol";

/// @notice A committee member in committee order.
/// @param key address of the hot signing key
/// @param weight voting weight, at least 1
struct Member {
    address key;
    uint64 weight;
}

/// @notice Finalize votes of one block.
/// @param signers bit i is set if committee member i signed
/// @param signatures 65 bytes (r, s, v) for each set bit, lowest bit first
struct Certificate {
    uint256 signers;
    bytes signatures;
}

/// @title Verification of finality certificates
/// @notice A block is final if finalize votes of more than two thirds of its committee's weight
/// exist for it or for a descendant of it.
library Finality {
    /// @notice Most headers between a block and the certified descendant, both included.
    uint256 internal constant HEADERS_MAX = 64;
    /// @notice Most members of a committee.
    uint256 internal constant MEMBERS_MAX = 128;
    uint256 private constant SIGNATURE_BYTES = 65;

    /// @notice Not between 1 and HEADERS_MAX headers.
    error BadHeaderCount(uint256 count);
    /// @notice Not between 1 and MEMBERS_MAX members.
    error BadMemberCount(uint256 count);
    /// @notice A header belongs to another epoch than the vault's.
    error WrongEpoch(uint64 stated, uint64 expected);
    /// @notice The members, or a header, are not of the committee that the vault follows.
    error WrongCommittee(bytes32 stated, bytes32 expected);
    /// @notice Header `index` follows the last block of an epoch and is no seal of it.
    error BadSeal(uint256 index);
    /// @notice Header `index` does not name its predecessor in the list as its parent, or does not
    /// continue its height.
    error BrokenHeaderLink(uint256 index);
    /// @notice A signer bit has no member, or the signatures' length does not fit the bits.
    error MalformedCertificate();
    /// @notice The signature of member `index` is not that member's signature of this block.
    error BadSignature(uint256 index);
    /// @notice The signers weigh less than floor(2W/3) + 1.
    error TooLittleWeight(uint256 weight, uint256 quorum);

    /// @notice Proves that `headers[0]` is final, or reverts.
    /// @param domain EIP-712 separator of the network
    /// @param epoch epoch that all headers must belong to
    /// @param committeeHash committee that all headers must name and `members` must hash to
    /// @param headers from the block in question to its certified descendant (or itself)
    /// @param certificate finalize votes for the last header
    /// @param members the committee
    /// @return blockHash hash of `headers[0]`
    function verify(
        bytes32 domain,
        uint64 epoch,
        bytes32 committeeHash,
        BlockHeader[] calldata headers,
        Certificate calldata certificate,
        Member[] calldata members
    ) internal pure returns (bytes32 blockHash) {
        _requireCommittee(committeeHash, members);
        bytes32 certified;
        (blockHash, certified) = _linkHeaders(epoch, committeeHash, headers);
        Votes.Vote memory vote = Votes.Vote({
            kind: Votes.FINALIZE,
            epoch: epoch,
            viewNumber: headers[headers.length - 1].viewNumber,
            blockHash: certified,
            pendingHash: bytes32(0)
        });
        _requireQuorum(Votes.digest(domain, vote), certificate, members);
    }

    /// @notice Proves that more than two thirds of a committee's weight signed a digest, or reverts.
    /// @param digest what was signed
    /// @param committeeHash committee that `members` must hash to
    /// @param certificate the signatures
    /// @param members the committee
    function requireQuorum(
        bytes32 digest,
        bytes32 committeeHash,
        Certificate calldata certificate,
        Member[] calldata members
    ) internal pure {
        _requireCommittee(committeeHash, members);
        _requireQuorum(digest, certificate, members);
    }

    /// @notice Hash of a committee: keccak of (address, weight) words in index order.
    /// @param members between 1 and MEMBERS_MAX members
    /// @return hash as in the headers
    function hashMembers(Member[] calldata members) internal pure returns (bytes32 hash) {
        uint256 count = members.length;
        if (count == 0 || count > MEMBERS_MAX) revert BadMemberCount(count);
        // Members are static, so the calldata array is exactly the words that are hashed.
        assembly ("memory-safe") {
            let free := mload(0x40)
            let size := mul(count, 64)
            calldatacopy(free, members.offset, size)
            hash := keccak256(free, size)
        }
    }

    /// @dev The members must be the committee that the vault follows.
    function _requireCommittee(bytes32 committeeHash, Member[] calldata members) private pure {
        bytes32 membersHash = hashMembers(members);
        if (membersHash != committeeHash) revert WrongCommittee(membersHash, committeeHash);
    }

    /// @dev Hashes of the first and the last header, after checking that each names the one before
    /// and follows it as it may: an epoch's last block is followed by empty seals of it only.
    function _linkHeaders(uint64 epoch, bytes32 committeeHash, BlockHeader[] calldata headers)
        private
        pure
        returns (bytes32 first, bytes32 last)
    {
        uint256 count = headers.length;
        if (count == 0 || count > HEADERS_MAX) revert BadHeaderCount(count);
        bool isSealed = false;
        for (uint256 i = 0; i < count; ++i) {
            BlockHeader calldata header = headers[i];
            if (header.epoch != epoch) revert WrongEpoch(header.epoch, epoch);
            if (header.committeeHash != committeeHash) {
                revert WrongCommittee(header.committeeHash, committeeHash);
            }
            if (i > 0) {
                if (header.parentHash != last) revert BrokenHeaderLink(i);
                isSealed = isSealed || headers[i - 1].nextCommitteeHash != bytes32(0);
                if (isSealed) _requireSeal(headers[i - 1], header, i);
                else if (header.height != headers[i - 1].height + 1) revert BrokenHeaderLink(i);
            }
            last = keccak256(abi.encode(header));
            if (i == 0) first = last;
        }
    }

    /// @dev A seal is empty and repeats height, state and fees of the boundary that it makes final.
    function _requireSeal(BlockHeader calldata parent, BlockHeader calldata seal, uint256 index)
        private
        pure
    {
        if (
            seal.height != parent.height || seal.bundlesRoot != bytes32(0)
                || seal.executedHeight != parent.executedHeight
                || seal.stateRoot != parent.stateRoot || seal.feesRoot != parent.feesRoot
        ) revert BadSeal(index);
    }

    /// @dev Every given signature must be good and together they must reach the quorum.
    function _requireQuorum(
        bytes32 digest,
        Certificate calldata certificate,
        Member[] calldata members
    ) private pure {
        uint256 total;
        uint256 signed;
        uint256 used;
        uint256 count = members.length;
        if (certificate.signers >> count != 0) revert MalformedCertificate();
        for (uint256 i = 0; i < count; ++i) {
            uint256 weight = members[i].weight;
            total += weight;
            if ((certificate.signers >> i) & 1 == 0) continue;
            _requireSignature(digest, certificate.signatures, used, members[i].key, i);
            signed += weight;
            ++used;
        }
        if (used * SIGNATURE_BYTES != certificate.signatures.length) revert MalformedCertificate();
        uint256 quorum = (2 * total) / 3 + 1;
        if (signed < quorum) revert TooLittleWeight(signed, quorum);
    }

    /// @dev Signature number `position` must be `key`'s; high s and odd v are refused.
    function _requireSignature(
        bytes32 digest,
        bytes calldata signatures,
        uint256 position,
        address key,
        uint256 index
    ) private pure {
        uint256 start = position * SIGNATURE_BYTES;
        if (signatures.length < start + SIGNATURE_BYTES) revert MalformedCertificate();
        bytes32 r = bytes32(signatures[start:start + 32]);
        bytes32 s = bytes32(signatures[start + 32:start + 64]);
        (address signer, ECDSA.RecoverError problem,) =
            ECDSA.tryRecover(digest, uint8(signatures[start + 64]), r, s);
        if (problem != ECDSA.RecoverError.NoError || signer != key) revert BadSignature(index);
    }
}
