// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {itUint64} from "@coti-io/coti-contracts/contracts/utils/mpc/MpcCore.sol";
import {ConfidentialVault} from "../ConfidentialVault.sol";

/// @title A contract that uses an input which its caller signed for something else (tests)
contract InputReplayer {
    /// @notice Deposits in the name of whoever calls.
    /// @param door where to
    /// @param amount an input of the caller's that it has seen
    function play(ConfidentialVault door, itUint64 calldata amount) external {
        door.deposit(amount, msg.sender);
    }
}
