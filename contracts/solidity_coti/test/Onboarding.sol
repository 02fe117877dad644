// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {AccountOnboard} from "@coti-io/coti-contracts/contracts/onboard/AccountOnboard.sol";

/// @title COTI's own onboarding contract, which its networks have at a fixed address (devnet)
contract Onboarding is AccountOnboard {}
