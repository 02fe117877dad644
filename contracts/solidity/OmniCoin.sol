// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title OmniCoin (XOM), the token that validators stake and that bonds are in
/// @notice A plain ERC-20 with 18 decimals and permit (ERC-2612). The whole supply exists from the
/// first block; nobody can mint, burn another's coins, pause or upgrade.
contract OmniCoin is ERC20, ERC20Permit {
    /// @notice Creates the whole supply.
    /// @param holder receives it
    /// @param supply in atoms (1 XOM = 10^18 atoms)
    constructor(address holder, uint256 supply) ERC20("OmniCoin", "XOM") ERC20Permit("OmniCoin") {
        _mint(holder, supply);
    }
}
