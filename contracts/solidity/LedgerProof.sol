// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @notice The seven words whose keccak is a ledger state root.
/// @param height executed height that the words describe
/// @param accounts root of the accounts tree
/// @param withdrawals root of the append-only tree of withdrawals
/// @param deposits root over the deposits credited per vault
/// @param fills running hash over all fills
/// @param effects running hash over all action statuses
/// @param rest hash of everything that is in no tree
struct StateWords {
    uint64 height;
    bytes32 accounts;
    bytes32 withdrawals;
    bytes32 deposits;
    bytes32 fills;
    bytes32 effects;
    bytes32 rest;
}

/// @notice One withdrawal as the ledger recorded it.
/// @param index position in the ledger's tree of withdrawals (all vaults share one tree)
/// @param token the ERC-20 to pay
/// @param amount in atoms
/// @param to who is paid
struct Withdrawal {
    uint32 index;
    address token;
    uint256 amount;
    address to;
}

/// @title Proofs against a ledger state root
library LedgerProof {
    /// @notice Depth of the tree of withdrawals.
    uint256 internal constant DEPTH = 32;

    /// @notice State root of seven words.
    /// @param words the words
    /// @return root their keccak
    function stateRoot(StateWords calldata words) internal pure returns (bytes32 root) {
        return keccak256(abi.encode(words));
    }

    /// @notice Leaf of a withdrawal that this vault on this chain has to pay.
    /// @param withdrawal the withdrawal
    /// @return leaf keccak of a zero byte and six words, so no inner node can pass for a leaf
    function withdrawalLeaf(Withdrawal calldata withdrawal) internal view returns (bytes32 leaf) {
        return keccak256(
            abi.encodePacked(
                bytes1(0),
                uint256(withdrawal.index),
                block.chainid,
                uint256(uint160(address(this))),
                uint256(uint160(withdrawal.token)),
                withdrawal.amount,
                uint256(uint160(withdrawal.to))
            )
        );
    }

    /// @notice Root that a leaf and its siblings lead to.
    /// @param leaf hash of the record
    /// @param index position of the leaf; bit h says whether the node at height h is a right child
    /// @param siblings from the leaf upwards
    /// @return root of the tree
    function rootFrom(bytes32 leaf, uint256 index, bytes32[DEPTH] calldata siblings)
        internal
        pure
        returns (bytes32 root)
    {
        root = leaf;
        for (uint256 h = 0; h < DEPTH; ++h) {
            bytes32 sibling = siblings[h];
            bool isRight = (index >> h) & 1 == 1;
            assembly ("memory-safe") {
                mstore(mul(iszero(isRight), 0x20), sibling)
                mstore(mul(isRight, 0x20), root)
                root := keccak256(0x00, 0x40)
            }
        }
    }
}
