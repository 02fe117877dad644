// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Checkpoints} from "./Checkpoints.sol";
import {LedgerProof, StateWords, Withdrawal} from "./LedgerProof.sol";
import {Money} from "./Money.sol";

/// @title Withdrawals
/// @notice What the ledger recorded as withdrawn is paid once, by proof against any checkpointed
/// root, whoever brings the proof. Nothing stops this: no pause, no migration, no escape. The
/// receiver may promise a part of it, by signature, to whoever brings the proof.
abstract contract Withdrawals is Checkpoints {
    /// @notice Type of the promise that a receiver signs, in the network's domain.
    bytes32 public constant CLAIM_FEE_TYPE_HASH = keccak256(
        "ClaimFee(uint32 index,uint256 fee,uint256 deadline,uint256 chainId,address vault)"
    );

    mapping(uint256 word => uint256 bits) private _paid;

    /// @notice A withdrawal was paid.
    event WithdrawalPaid(
        uint32 indexed index, address indexed token, address indexed to, uint256 amount
    );

    /// @notice Whoever brought a withdrawal's proof was paid out of it.
    event ClaimFeePaid(uint32 indexed index, address indexed relayer, uint256 fee);

    /// @notice The words are not those of a checkpointed state root.
    error UnknownState(bytes32 root);
    /// @notice The record is not in the ledger's tree.
    error BadProof();
    /// @notice The withdrawal was paid before.
    error AlreadyPaid(uint32 index);
    /// @notice The receiver has not signed this fee.
    error FeeNotSigned();
    /// @notice The fee is more than the withdrawal.
    error FeeTooHigh(uint256 fee, uint256 amount);
    /// @notice The deadline of the signed fee has passed.
    error FeeExpired(uint256 deadline);

    /// @notice Pays a withdrawal to the address that it names. Anyone may call.
    /// @param words of any checkpointed state root at or after the withdrawal
    /// @param withdrawal what the ledger recorded
    /// @param siblings Merkle path from the withdrawal's leaf to `words.withdrawals`
    function withdraw(
        StateWords calldata words,
        Withdrawal calldata withdrawal,
        bytes32[32] calldata siblings
    ) external nonReentrant {
        _takeWithdrawal(words, withdrawal, siblings);
        Money.send(withdrawal.token, withdrawal.to, withdrawal.amount);
    }

    /// @notice Pays a withdrawal to the address that it names, less a fee for the caller that this
    /// address has signed.
    /// @param words of any checkpointed state root at or after the withdrawal
    /// @param withdrawal what the ledger recorded
    /// @param siblings Merkle path from the withdrawal's leaf to `words.withdrawals`
    /// @param fee atoms for the caller
    /// @param deadline last second at which the fee is promised
    /// @param signature the receiver's, 65 bytes over `claimFeeDigest(index, fee, deadline)`
    function withdrawForFee(
        StateWords calldata words,
        Withdrawal calldata withdrawal,
        bytes32[32] calldata siblings,
        uint256 fee,
        uint256 deadline,
        bytes calldata signature
    ) external nonReentrant {
        if (block.timestamp > deadline) revert FeeExpired(deadline);
        if (fee > withdrawal.amount) revert FeeTooHigh(fee, withdrawal.amount);
        bytes32 digest = claimFeeDigest(withdrawal.index, fee, deadline);
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(digest, signature);
        if (problem != ECDSA.RecoverError.NoError || signer != withdrawal.to) {
            revert FeeNotSigned();
        }
        _takeWithdrawal(words, withdrawal, siblings);
        emit ClaimFeePaid(withdrawal.index, msg.sender, fee);
        Money.send(withdrawal.token, withdrawal.to, withdrawal.amount - fee);
        Money.send(withdrawal.token, msg.sender, fee);
    }

    /// @notice What a receiver signs to have its withdrawal brought by somebody else.
    /// @param index of the withdrawal, which is paid once
    /// @param fee atoms for whoever brings it
    /// @param deadline last second at which the fee is promised
    /// @return digest in the network's domain; chain and vault are part of it
    function claimFeeDigest(uint32 index, uint256 fee, uint256 deadline)
        public
        view
        returns (bytes32 digest)
    {
        bytes32 structHash = keccak256(
            abi.encode(CLAIM_FEE_TYPE_HASH, index, fee, deadline, block.chainid, address(this))
        );
        return keccak256(abi.encodePacked(hex"1901", domainSeparator, structHash));
    }

    /// @notice Whether a withdrawal has been paid.
    /// @param index its position in the ledger's tree
    /// @return true once it was paid
    function isPaid(uint32 index) public view returns (bool) {
        return (_paid[index >> 8] >> (index & 0xff)) & 1 == 1;
    }

    /// @dev Checks a withdrawal's proof and books it as paid.
    function _takeWithdrawal(
        StateWords calldata words,
        Withdrawal calldata withdrawal,
        bytes32[32] calldata siblings
    ) private {
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
    }
}
