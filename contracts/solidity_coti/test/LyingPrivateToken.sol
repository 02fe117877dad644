// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {
    MpcCore,
    gtBool,
    gtUint64
} from "@coti-io/coti-contracts/contracts/utils/mpc/MpcCore.sol";
import {
    PrivateERC20
} from "@coti-io/coti-contracts/contracts/token/PrivateERC20/PrivateERC20.sol";
import {SoundPrivateToken} from "../SoundPrivateToken.sol";

/// @title A private token that can be told to lie and to mint, and that lets anybody steal (tests)
contract LyingPrivateToken is SoundPrivateToken {
    /// @notice How it behaves.
    enum Mode {
        Honest,
        MovesNothing,
        SelfMints,
        FreeForAll
    }

    /// @notice How it behaves now.
    Mode public mode;

    constructor() PrivateERC20("Lying private token", "LIE") {}

    /// @notice Makes tokens.
    /// @param owner receives them
    /// @param amount atoms
    function mint(address owner, uint64 amount) external {
        _mint(owner, MpcCore.setPublic64(amount));
    }

    /// @notice Sets how it behaves from now on.
    /// @param next the new mode
    function behave(Mode next) external {
        mode = next;
    }

    /// @notice Takes tokens from anybody.
    /// @param owner who loses them
    /// @param amount atoms
    function steal(address owner, uint64 amount) external {
        _transfer(owner, msg.sender, MpcCore.setPublic64(amount));
    }

    /// @dev Asks for no allowance, if it is told to.
    function _spendAllowance(address owner, address spender, gtUint64 value) internal override {
        if (mode != Mode.FreeForAll) super._spendAllowance(owner, spender, value);
    }

    /// @dev Says that it has moved what it has not, if it is told to.
    function _update(address from, address to, gtUint64 value)
        internal
        override
        returns (gtBool)
    {
        if (mode == Mode.MovesNothing) return MpcCore.setPublic(true);
        if (mode == Mode.SelfMints && from == to) return super._update(address(0), to, value);
        return super._update(from, to, value);
    }
}
