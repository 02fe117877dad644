// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {MpcCore} from "@coti-io/coti-contracts/contracts/utils/mpc/MpcCore.sol";
import {
    PrivateERC20
} from "@coti-io/coti-contracts/contracts/token/PrivateERC20/PrivateERC20.sol";

/// @title COTI's private token as it is published, of which anybody may make some (tests)
contract PublishedPrivateToken is PrivateERC20 {
    constructor() PrivateERC20("Published private token", "PUB") {}

    /// @notice Makes tokens.
    /// @param owner receives them
    /// @param amount atoms
    function mint(address owner, uint64 amount) external {
        _mint(owner, MpcCore.setPublic64(amount));
    }
}
