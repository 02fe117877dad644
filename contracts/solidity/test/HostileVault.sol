// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @title A successor that claims to follow any ledger and takes half of what it is given
contract HostileVault {
    /// @notice The root that it claims to have accepted.
    bytes32 public root;

    /// @notice Chooses the root.
    /// @param root_ from now on
    function setRoot(bytes32 root_) external {
        root = root_;
    }

    /// @notice Takes half.
    /// @param token approved by the caller
    /// @param amount atoms
    function fund(address token, uint256 amount) external {
        IERC20(token).transferFrom(msg.sender, address(this), amount / 2);
    }

    /// @notice Claims the chosen root for every height.
    /// @return the root
    function stateRootAt(uint64) external view returns (bytes32) {
        return root;
    }
}
