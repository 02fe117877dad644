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

/// @notice An account of the ledger and its place in the tree of accounts.
/// @param number position in the tree
/// @param owner whose account it is
/// @param restHash hash of whatever else the account has
/// @param siblings from the account's leaf upwards
struct AccountProof {
    uint32 number;
    address owner;
    bytes32 restHash;
    bytes32[32] siblings;
}

/// @notice One balance and its place in the account's tree of balances.
/// @param position position in the tree
/// @param sub number of the sub-account
/// @param asset number of the asset
/// @param free atoms at the owner's disposal
/// @param held atoms that orders and commitments hold
/// @param siblings from the entry's leaf upwards
struct EntryProof {
    uint16 position;
    uint256 sub;
    uint256 asset;
    uint256 free;
    uint256 held;
    bytes32[16] siblings;
}

/// @notice How many deposits of a vault the ledger has credited.
/// @param chainId EVM chain of the vault
/// @param vault its address
/// @param credited deposits 0 to `credited` - 1 are on the ledger
struct VaultCursor {
    uint256 chainId;
    address vault;
    uint256 credited;
}

/// @title Proofs against a ledger state root
library LedgerProof {
    /// @notice Depth of the tree of withdrawals.
    uint256 internal constant DEPTH = 32;
    /// @notice Depth of the tree of one account's balances.
    uint256 internal constant BALANCES_DEPTH = 16;

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

    /// @notice Root of the tree of accounts that an account and one of its balances lead to.
    /// @param account the account
    /// @param entry the balance
    /// @return root of the tree
    function accountsRoot(AccountProof calldata account, EntryProof calldata entry)
        internal
        pure
        returns (bytes32 root)
    {
        root = keccak256(
            abi.encodePacked(bytes1(0), entry.sub, entry.asset, entry.free, entry.held)
        );
        for (uint256 h = 0; h < BALANCES_DEPTH; ++h) {
            root = _parent(root, entry.siblings[h], (entry.position >> h) & 1);
        }
        bytes32 owner = bytes32(uint256(uint160(account.owner)));
        root = keccak256(abi.encodePacked(bytes1(0), owner, root, account.restHash));
        return rootFrom(root, account.number, account.siblings);
    }

    /// @notice The deposits word of a state root.
    /// @param cursors of all vaults, in the ledger's order
    /// @return hash keccak of their words
    function hashCursors(VaultCursor[] calldata cursors) internal pure returns (bytes32 hash) {
        uint256 count = cursors.length;
        // Cursors are static, so the calldata array is exactly the words that are hashed.
        assembly ("memory-safe") {
            let free := mload(0x40)
            let size := mul(count, 96)
            calldatacopy(free, cursors.offset, size)
            hash := keccak256(free, size)
        }
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
            root = _parent(root, siblings[h], (index >> h) & 1);
        }
    }

    /// @dev keccak of two nodes; `right` is 1 if `node` is the right one, else 0.
    function _parent(bytes32 node, bytes32 sibling, uint256 right)
        private
        pure
        returns (bytes32 parent)
    {
        assembly ("memory-safe") {
            mstore(shl(5, iszero(right)), sibling)
            mstore(shl(5, right), node)
            parent := keccak256(0x00, 0x40)
        }
    }
}
