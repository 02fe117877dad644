// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Checkpoints} from "./Checkpoints.sol";
import {LedgerProof, StateWords, Withdrawal} from "./LedgerProof.sol";
import {Money} from "./Money.sol";

/// @title Withdrawals
/// @notice What the ledger recorded as withdrawn is paid once, by proof against any checkpointed
/// root, whoever brings the proof. Nothing stops this: no pause, no migration, no escape.
abstract contract Withdrawals is Checkpoints {
    mapping(uint256 word => uint256 bits) private _paid;

    /// @notice A withdrawal was paid.
    event WithdrawalPaid(
        uint32 indexed index, address indexed token, address indexed to, uint256 amount
    );

    /// @notice The words are not those of a checkpointed state root.
    error UnknownState(bytes32 root);
    /// @notice The record is not in the ledger's tree.
    error BadProof();
    /// @notice The withdrawal was paid before.
    error AlreadyPaid(uint32 index);

    /// @notice Pays a withdrawal to the address that it names. Anyone may call.
    /// @param words of any checkpointed state root at or after the withdrawal
    /// @param withdrawal what the ledger recorded
    /// @param siblings Merkle path from the withdrawal's leaf to `words.withdrawals`
    function withdraw(
        StateWords calldata words,
        Withdrawal calldata withdrawal,
        bytes32[32] calldata siblings
    ) external nonReentrant {
        bytes32 root = LedgerProof.stateRoot(words);
        if (stateRootAt[words.height] != root) revert UnknownState(root);
        bytes32 leaf = LedgerProof.withdrawalLeaf(withdrawal);
        if (LedgerProof.rootFrom(leaf, withdrawal.index, siblings) != words.withdrawals) {
            revert BadProof();
        }
        if (isPaid(withdrawal.index)) revert AlreadyPaid(withdrawal.index);
        _paid[withdrawal.index >> 8] |= 1 << (withdrawal.index & 0xff);
        _requireLiability(withdrawal.token, withdrawal.amount);
        _accounts[withdrawal.token].withdrawn += withdrawal.amount;
        emit WithdrawalPaid(
            withdrawal.index, withdrawal.token, withdrawal.to, withdrawal.amount
        );
        Money.send(withdrawal.token, withdrawal.to, withdrawal.amount);
    }

    /// @notice Whether a withdrawal has been paid.
    /// @param index its position in the ledger's tree
    /// @return true once it was paid
    function isPaid(uint32 index) public view returns (bool) {
        return (_paid[index >> 8] >> (index & 0xff)) & 1 == 1;
    }
}
