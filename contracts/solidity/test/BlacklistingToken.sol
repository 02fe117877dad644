// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {TestToken} from "./TestToken.sol";

/// @title A token that can be paused and that can bar accounts, as the large dollar tokens can
contract BlacklistingToken is TestToken {
    /// @notice Whether nobody can move it.
    bool public paused;
    /// @notice Whether an account can neither send nor receive it.
    mapping(address account => bool) public isBarred;

    /// @notice Transfers are off.
    error Paused();
    /// @notice One of the accounts is barred.
    error Barred();

    constructor() TestToken("Blacklisting", "BAR", 6) {}

    /// @notice Stops and starts all transfers.
    /// @param paused_ whether they are off
    function setPaused(bool paused_) external {
        paused = paused_;
    }

    /// @notice Bars an account, or lets it go.
    /// @param account whose transfers are concerned
    /// @param barred whether they are refused
    function setBarred(address account, bool barred) external {
        isBarred[account] = barred;
    }

    /// @dev Refuses what is switched off.
    function _update(address from, address to, uint256 value) internal override {
        if (paused) revert Paused();
        if (isBarred[from] || isBarred[to]) revert Barred();
        super._update(from, to, value);
    }
}
