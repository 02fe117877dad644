// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {TestToken} from "./TestToken.sol";

/// @title A token that misbehaves on transfer once it is told to
contract HostileToken is TestToken {
    /// @notice What it does on a transfer.
    enum Mode {
        Behave,
        Revert,
        BurnGas,
        Reenter,
        ReturnFalse,
        MoveNothing
    }

    /// @notice What it does now.
    Mode public mode;
    /// @notice Contract that is called back in mode Reenter.
    address public target;
    /// @notice Call that is made there.
    bytes public payload;
    /// @notice Whether the last call back succeeded.
    bool public reentered;

    constructor() TestToken("Hostile", "EVIL", 18) {}

    /// @notice Switches the behaviour.
    /// @param mode_ from now on
    /// @param target_ for Reenter
    /// @param payload_ for Reenter
    function setMode(Mode mode_, address target_, bytes calldata payload_) external {
        mode = mode_;
        target = target_;
        payload = payload_;
    }

    /// @notice Moves tokens, or does not.
    /// @param to receiver
    /// @param amount atoms
    /// @return whether it says that it did
    function transfer(address to, uint256 amount) public override returns (bool) {
        return _misbehave() && super.transfer(to, amount);
    }

    /// @notice Moves tokens, or does not.
    /// @param from owner
    /// @param to receiver
    /// @param amount atoms
    /// @return whether it says that it did
    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return _misbehave() && super.transferFrom(from, to, amount);
    }

    /// @notice Takes tokens from anybody, unasked.
    /// @param from whose
    /// @param amount atoms
    function seize(address from, uint256 amount) external {
        _burn(from, amount);
    }

    /// @dev False: say false and do nothing.
    function _misbehave() private returns (bool) {
        if (mode == Mode.Revert) revert("transfers are off");
        while (mode == Mode.BurnGas) {}
        if (mode == Mode.Reenter) (reentered,) = target.call(payload);
        if (mode == Mode.MoveNothing) {
            assembly ("memory-safe") {
                mstore(0, 1)
                return(0, 32)
            }
        }
        return mode != Mode.ReturnFalse;
    }
}
