// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {
    MpcCore,
    gtUint64,
    itUint64
} from "@coti-io/coti-contracts/contracts/utils/mpc/MpcCore.sol";
import {
    PrivateERC20
} from "@coti-io/coti-contracts/contracts/token/PrivateERC20/PrivateERC20.sol";
import {SoundPrivateToken} from "./SoundPrivateToken.sol";

/// @title A private token that is backed by a public one
/// @notice Anybody wraps public tokens and unwraps them again, one for one or by a fixed scale.
/// What is wrapped and unwrapped is public; what happens in between is not. There is no owner.
contract ConfidentialCoin is SoundPrivateToken, ReentrancyGuard {
    using SafeERC20 for IERC20;

    /// @notice The public token.
    IERC20 public immutable underlying;
    /// @notice Atoms of the public token per atom of this one.
    uint256 public immutable scale;
    /// @dev Digits after the point.
    uint8 private immutable _decimals;
    /// @notice Atoms of this token in existence.
    uint64 public wrapped;

    /// @notice Public tokens became private ones.
    event Wrapped(address indexed owner, uint64 amount);
    /// @notice Private tokens became public ones again.
    event Unwrapped(address indexed owner, uint64 amount);

    /// @notice Nothing, or more than 64 bits hold.
    error BadAmount(uint256 amount);
    /// @notice The public token moved another amount than it was told to.
    error WrongTransfer(uint256 moved, uint256 expected);

    /// @notice Opens a private face of a public token.
    /// @param name_ its name
    /// @param symbol_ its symbol
    /// @param decimals_ digits after the point
    /// @param underlying_ the public token
    /// @param scale_ atoms of the public token per atom of this one, at least 1
    constructor(
        string memory name_,
        string memory symbol_,
        uint8 decimals_,
        IERC20 underlying_,
        uint256 scale_
    ) PrivateERC20(name_, symbol_) {
        if (scale_ == 0) revert BadAmount(scale_);
        underlying = underlying_;
        scale = scale_;
        _decimals = decimals_;
    }

    /// @notice Makes private tokens of the caller's public ones.
    /// @param amount atoms of this token; the public token is approved for `amount * scale`
    function wrap(uint64 amount) external nonReentrant {
        if (amount == 0 || amount > type(uint64).max - wrapped) revert BadAmount(amount);
        wrapped += amount;
        uint256 before = underlying.balanceOf(address(this));
        underlying.safeTransferFrom(msg.sender, address(this), amount * scale);
        uint256 moved = underlying.balanceOf(address(this)) - before;
        if (moved != amount * scale) revert WrongTransfer(moved, amount * scale);
        emit Wrapped(msg.sender, amount);
        _mint(msg.sender, MpcCore.setPublic64(amount));
    }

    /// @notice Makes public tokens of the caller's private ones. The amount becomes public.
    /// @param amount encrypted and signed by the caller for this function
    function unwrap(itUint64 calldata amount) external nonReentrant {
        gtUint64 value = MpcCore.validateCiphertext(amount);
        uint64 atoms = MpcCore.decrypt(value);
        if (atoms == 0) revert BadAmount(atoms);
        _burn(msg.sender, value);
        wrapped -= atoms;
        emit Unwrapped(msg.sender, atoms);
        uint256 before = underlying.balanceOf(address(this));
        underlying.safeTransfer(msg.sender, atoms * scale);
        uint256 moved = before - underlying.balanceOf(address(this));
        if (moved != atoms * scale) revert WrongTransfer(moved, atoms * scale);
    }

    /// @notice Digits after the point.
    /// @return digits their number
    function decimals() public view override returns (uint8 digits) {
        return _decimals;
    }

    /// @notice Atoms in existence, which are public.
    /// @return atoms their number
    function totalSupply() public view override returns (uint256 atoms) {
        return wrapped;
    }
}
