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

/// @title A private token that can be told to lie, to mint, to fail, to call back and to let
/// anybody steal (tests)
contract LyingPrivateToken is SoundPrivateToken {
    /// @notice How it behaves.
    enum Mode {
        Honest,
        MovesNothing,
        SelfMints,
        FreeForAll,
        MovesLess,
        MovesMore,
        MovesBackwards,
        Denies,
        Fails,
        Reverts,
        Reenters,
        Keeps
    }

    /// @notice How it behaves now.
    Mode public mode;
    /// @notice Contract that is called back in mode Reenters.
    address public target;
    /// @notice Call that is made there.
    bytes public payload;
    /// @notice Atoms that are made for the receiver beside it.
    uint64 public extra;
    /// @notice Whether the last call back succeeded.
    bool public reentered;
    /// @notice What it returned.
    bytes public answer;

    /// @notice It was told to revert.
    error Unwilling();

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

    /// @notice Calls back from now on.
    /// @param target_ whom
    /// @param payload_ with what
    /// @param extra_ atoms to make for the receiver of each transfer
    function reenter(address target_, bytes calldata payload_, uint64 extra_) external {
        (mode, target, payload, extra) = (Mode.Reenters, target_, payload_, extra_);
    }

    /// @notice Takes tokens from anybody.
    /// @param owner who loses them
    /// @param amount atoms
    function steal(address owner, uint64 amount) external {
        _transfer(owner, msg.sender, MpcCore.setPublic64(amount));
    }

    /// @notice Moves the caller's tokens, unless it is told to keep them.
    /// @param to receiver
    /// @param value atoms
    /// @return done whether it did
    function transfer(address to, gtUint64 value) public override returns (gtBool done) {
        if (mode == Mode.Keeps) return MpcCore.setPublic(false);
        return super.transfer(to, value);
    }

    /// @dev Asks for no allowance, if it is told to.
    function _spendAllowance(address owner, address spender, gtUint64 value) internal override {
        if (mode != Mode.FreeForAll) super._spendAllowance(owner, spender, value);
    }

    /// @dev Does something else than it is asked for or says, if it is told to.
    function _update(address from, address to, gtUint64 value)
        internal
        override
        returns (gtBool)
    {
        gtUint64 one = MpcCore.setPublic64(1);
        if (mode == Mode.MovesNothing) return MpcCore.setPublic(true);
        if (mode == Mode.SelfMints && from == to) return super._update(address(0), to, value);
        if (mode == Mode.MovesLess) return super._update(from, to, MpcCore.sub(value, one));
        if (mode == Mode.MovesMore) return super._update(from, to, MpcCore.add(value, one));
        if (mode == Mode.MovesBackwards) return super._update(to, from, value);
        if (mode == Mode.Fails) return MpcCore.setPublic(false);
        if (mode == Mode.Reverts) revert Unwilling();
        if (mode == Mode.Reenters) _callBack(to);
        gtBool done = super._update(from, to, value);
        return mode == Mode.Denies ? MpcCore.setPublic(false) : done;
    }

    /// @dev Calls back once, and makes tokens for the receiver.
    function _callBack(address to) private {
        mode = Mode.Honest;
        (reentered, answer) = target.call(payload);
        if (extra != 0) super._update(address(0), to, MpcCore.setPublic64(extra));
    }
}
