// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title Moving ERC-20 tokens and the chain's own coin alike
/// @notice The coin has the address NATIVE. Whatever is sent, the sender's balance falls by exactly
/// the amount or nothing happens.
library Money {
    using SafeERC20 for IERC20;

    /// @notice Stands for the chain's own coin.
    address internal constant NATIVE = 0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE;
    /// @notice Gas that the receiver of the chain's coin may use: enough for wallets that are
    /// contracts, too little to make a claim expensive for whoever pays for it.
    uint256 internal constant NATIVE_GAS = 100_000;

    /// @notice The token moved another amount than it was told to.
    error WrongTransfer(uint256 moved, uint256 expected);
    /// @notice The receiver does not take the chain's coin.
    error NativeRefused(address to);

    /// @notice What this contract holds.
    /// @param token ERC-20 or NATIVE
    /// @return atoms its balance
    function held(address token) internal view returns (uint256 atoms) {
        return token == NATIVE ? address(this).balance : IERC20(token).balanceOf(address(this));
    }

    /// @notice Sends from this contract.
    /// @param token ERC-20 or NATIVE
    /// @param to receiver
    /// @param amount atoms
    function send(address token, address to, uint256 amount) internal {
        uint256 before = held(token);
        if (token == NATIVE) {
            _sendNative(to, amount);
        } else {
            IERC20(token).safeTransfer(to, amount);
        }
        uint256 moved = before - held(token);
        if (moved != amount) revert WrongTransfer(moved, amount);
    }

    /// @notice Takes ERC-20 tokens that `from` has approved.
    /// @param token ERC-20
    /// @param from their owner
    /// @param amount atoms asked for
    /// @return received atoms that arrived: less than asked for if the token takes a fee, never more
    function pull(address token, address from, uint256 amount)
        internal
        returns (uint256 received)
    {
        uint256 before = held(token);
        IERC20(token).safeTransferFrom(from, address(this), amount);
        received = held(token) - before;
        if (received == 0 || received > amount) revert WrongTransfer(received, amount);
    }

    /// @dev Takes no answer from the receiver, so that a long one costs nothing.
    function _sendNative(address to, uint256 amount) private {
        bool done;
        uint256 allowed = NATIVE_GAS;
        assembly ("memory-safe") {
            done := call(allowed, to, amount, 0, 0, 0, 0)
        }
        if (!done) revert NativeRefused(to);
    }
}
