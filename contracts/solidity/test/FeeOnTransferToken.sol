// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {TestToken} from "./TestToken.sol";

/// @title A hostile token that keeps a part of every transfer once it is told to
contract FeeOnTransferToken is TestToken {
    /// @notice Part that is burnt, percent of the amount.
    uint256 public feePercent;
    /// @notice Whether the sender pays it on top instead of the receiver.
    bool public senderPays;

    constructor() TestToken("Fee on transfer", "FEE", 18) {}

    /// @notice Switches the fee.
    /// @param percent of each transfer
    /// @param senderPays_ on top of the amount, or out of it
    function setFee(uint256 percent, bool senderPays_) external {
        feePercent = percent;
        senderPays = senderPays_;
    }

    /// @dev Burns the fee beside every transfer.
    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = value * feePercent / 100;
        if (from == address(0) || to == address(0) || fee == 0) {
            super._update(from, to, value);
            return;
        }
        super._update(from, to, senderPays ? value : value - fee);
        super._update(from, address(0), fee);
    }
}
