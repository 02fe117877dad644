// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title A token for devnets and tests
/// @notice Stands for USDC, WETH or WBTC on a devnet. Anyone can mint: worthless by design.
contract TestToken is ERC20, ERC20Permit {
    uint8 private immutable _decimals;

    /// @notice Names the token.
    /// @param name_ full name
    /// @param symbol_ ticker
    /// @param decimals_ digits after the point
    constructor(string memory name_, string memory symbol_, uint8 decimals_)
        ERC20(name_, symbol_)
        ERC20Permit(name_)
    {
        _decimals = decimals_;
    }

    /// @notice Makes tokens out of nothing.
    /// @param to who gets them
    /// @param amount atoms
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @notice Digits after the point.
    /// @return number of digits
    function decimals() public view override returns (uint8) {
        return _decimals;
    }
}
