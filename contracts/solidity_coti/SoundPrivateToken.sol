// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {
    PrivateERC20
} from "@coti-io/coti-contracts/contracts/token/PrivateERC20/PrivateERC20.sol";
import {
    MpcCore,
    gtBool,
    gtUint64
} from "@coti-io/coti-contracts/contracts/utils/mpc/MpcCore.sol";

/// @title COTI's private token with its holes closed
/// @notice The published token (1.0.2) moves anybody's tokens without an allowance, mints by a
/// transfer to oneself, and reports a failed transfer only by an encrypted bit. Here each of them
/// reverts. That a transfer fails is public, as any reverted transaction is; amounts are not.
abstract contract SoundPrivateToken is PrivateERC20 {
    /// @dev The allowance that is never used up.
    uint64 private constant UNLIMITED = type(uint64).max;

    /// @notice The owner has not allowed the caller to move so much.
    error AllowanceTooSmall(address owner, address spender);
    /// @notice The sender does not have so much.
    error BalanceTooSmall(address owner);
    /// @notice Sender and receiver are the same.
    error SelfTransfer(address owner);

    /// @dev Requires an allowance, and takes from it unless it is unlimited.
    function _spendAllowance(address owner, address spender, gtUint64 value)
        internal
        virtual
        override
    {
        gtUint64 allowed = _safeOnboard(allowance(owner, spender).ciphertext);
        gtBool unlimited = MpcCore.eq(allowed, MpcCore.setPublic64(UNLIMITED));
        gtBool enough = MpcCore.ge(allowed, value);
        if (!MpcCore.decrypt(enough)) revert AllowanceTooSmall(owner, spender);
        // Mux is inverted: the second value if the bit is set.
        gtUint64 left = MpcCore.mux(unlimited, MpcCore.sub(allowed, value), allowed);
        _approve(owner, spender, left);
    }

    /// @dev Moves all or reverts.
    function _update(address from, address to, gtUint64 value)
        internal
        virtual
        override
        returns (gtBool)
    {
        if (from == to) revert SelfTransfer(from);
        gtBool done = super._update(from, to, value);
        if (!MpcCore.decrypt(done)) revert BalanceTooSmall(from);
        return done;
    }
}
