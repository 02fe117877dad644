// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title A vault that gives receipts to an account, so that tests can use them as they like
contract LooseVault {
    /// @notice Who holds the receipts, called a distributor.
    address public immutable distributor;
    /// @notice The next vault.
    address public successor;
    /// @notice When it takes over.
    uint64 public successorAt;
    /// @notice Deposits so far.
    uint256 public count;

    /// @notice Opens it.
    /// @param holder who gets the receipts
    constructor(address holder) {
        distributor = holder;
    }

    /// @notice Names a next vault.
    /// @param next its address
    /// @param at when it takes over
    function announce(address next, uint64 at) external {
        (successor, successorAt) = (next, at);
    }

    /// @notice Takes receipts and hands them on.
    /// @param token the door
    /// @param amount atoms
    /// @return id number of the deposit
    function depositFor(address token, uint256 amount, address) external returns (uint256 id) {
        IERC20(token).transferFrom(msg.sender, distributor, amount);
        return count++;
    }
}
