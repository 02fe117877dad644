// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Governance} from "./Governance.sol";
import {Money} from "./Money.sol";
import {IVault} from "./Succession.sol";

/// @title Handing the funds over to the successor
/// @notice When the ledger has moved a token to a vault that was announced, a checkpoint says so, and
/// how much backs the balances there. From then on anyone may have just that handed over, whether
/// this vault is open or closed, and whatever is announced or called off before or after; nobody chooses token, amount, time
/// or receiver. What is left is for withdrawals that have not been claimed, fee shares not paid and deposits not credited.
abstract contract Migration is Governance {
    using SafeERC20 for IERC20;

    /// @notice Funds went to the vault that owes the balances now.
    event HandedOver(address indexed token, address indexed successor, uint256 amount);

    /// @notice The height is before the move, or not both vaults have accepted the same root for it:
    /// the successor follows another ledger, or is behind.
    error SuccessorBehind(uint64 height);
    /// @notice The successor had not been announced for long enough.
    error SuccessorTooEarly(uint64 possibleAt);
    /// @notice No checkpoint has said that this token is at an announced successor.
    error NotMoved(address token);
    /// @notice All that is owed to the successor has been handed over, or the vault holds nothing.
    error NothingToHandOver(address token);

    /// @notice Hands over what backs a token's balances at the successor. Anyone may call; what the
    /// vault does not hold now, because the token itself took it, may follow later.
    /// @param token ERC-20, or the marker of the chain's coin
    /// @param height executed height since the move whose root both vaults have accepted
    function handOver(address token, uint64 height) external nonReentrant {
        TokenAccount storage account = _accounts[token];
        address next = account.movedTo;
        if (next == address(0)) revert NotMoved(token);
        if (block.timestamp < account.handOverFrom) revert SuccessorTooEarly(account.handOverFrom);
        bytes32 root = stateRootAt[height];
        if (height < account.movedAt || root == 0 || IVault(next).stateRootAt(height) != root) {
            revert SuccessorBehind(height);
        }
        uint256 amount = account.owed - account.handedOver;
        uint256 before = Money.held(token);
        if (amount > before) amount = before;
        if (amount > DEPOSIT_MAX) amount = DEPOSIT_MAX; // more than a vault takes at once follows
        if (amount == 0) revert NothingToHandOver(token);
        _requireLiability(token, amount);
        account.handedOver += amount;
        account.released += amount;
        emit HandedOver(token, next, amount);
        if (token == Money.NATIVE) {
            IVault(next).fund{value: amount}(token, amount);
        } else {
            IERC20(token).forceApprove(next, amount);
            IVault(next).fund(token, amount);
        }
        uint256 spent = before - Money.held(token);
        if (spent != amount) revert Money.WrongTransfer(spent, amount);
    }
}
