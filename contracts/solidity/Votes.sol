// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @title Digests of consensus votes
/// @notice EIP-712 over `Vote(uint8 kind,uint64 epoch,uint64 view,bytes32 blockHash,bytes32
/// pendingHash)` in the domain (name "OmniBazaar", version "1", salt = network id).
library Votes {
    /// @notice Vote for a block of a view.
    uint8 internal constant NOTARIZE = 1;
    /// @notice Vote to skip a view.
    uint8 internal constant NULLIFY = 2;
    /// @notice Vote that makes a notarized block final.
    uint8 internal constant FINALIZE = 3;

    bytes32 private constant DOMAIN_TYPE_HASH =
        keccak256("EIP712Domain(string name,string version,bytes32 salt)");
    bytes32 private constant VOTE_TYPE_HASH =
        keccak256("Vote(uint8 kind,uint64 epoch,uint64 view,bytes32 blockHash,bytes32 pendingHash)");

    /// @notice One vote, as it is signed.
    /// @param kind NOTARIZE, NULLIFY or FINALIZE
    /// @param epoch committee epoch
    /// @param viewNumber consensus view
    /// @param blockHash header hash, zero for NULLIFY
    /// @param pendingHash hash of the pending list of a NOTARIZE vote, otherwise zero
    struct Vote {
        uint8 kind;
        uint64 epoch;
        uint64 viewNumber;
        bytes32 blockHash;
        bytes32 pendingHash;
    }

    /// @notice The domain separator of a network.
    /// @param networkId 32 bytes that name the network
    /// @return separator that every signature of the network is made under
    function domainSeparator(bytes32 networkId) internal pure returns (bytes32 separator) {
        return keccak256(
            abi.encode(DOMAIN_TYPE_HASH, keccak256("OmniBazaar"), keccak256("1"), networkId)
        );
    }

    /// @notice The digest that a validator signs.
    /// @param domain separator of the network
    /// @param vote the vote
    /// @return what the signature covers
    function digest(bytes32 domain, Vote memory vote) internal pure returns (bytes32) {
        bytes32 structHash = keccak256(
            abi.encode(
                VOTE_TYPE_HASH,
                vote.kind,
                vote.epoch,
                vote.viewNumber,
                vote.blockHash,
                vote.pendingHash
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }
}
