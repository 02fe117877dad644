// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Checkpoints} from "./Checkpoints.sol";
import {Escape} from "./Escape.sol";
import {Migration} from "./Migration.sol";
import {ICommitteeFollower, IRewardToken} from "./Succession.sol";

/// @notice What a vault is opened with.
/// @param networkId names the network
/// @param epoch epoch of the first committee: 1, or that of the vault it takes over from
/// @param committeeHash hash of that committee
/// @param registry is told of new committees; zero if the network's registry is elsewhere
/// @param company treasury of the company
/// @param development treasury of the development fund
/// @param rewardToken what block rewards are minted in; zero if they are minted elsewhere
struct VaultConfig {
    bytes32 networkId;
    uint64 epoch;
    bytes32 committeeHash;
    ICommitteeFollower registry;
    address company;
    address development;
    IRewardToken rewardToken;
}

/// @title The vault of an OmniBazaar network on one EVM chain
/// @notice Takes deposits, follows the ledger by checkpoints whose finality it verifies itself, and
/// pays withdrawals that are proven against a checkpointed state root. There is no owner, no admin
/// key and no trusted relayer: every function may be called by anyone, and tokens leave only by a
/// proof, as the fee shares that a checkpoint certifies, or as what a checkpoint says that a
/// successor owes which the committee announced two weeks before.
contract Settlement is Escape, Migration {
    /// @notice Ledger account that block rewards are credited to; nobody has its key. The ledger
    /// shares its balance among the validators.
    address public constant REWARDS = address(uint160(uint256(keccak256("OmniBazaar rewards"))));
    /// @notice Least time between two rewards, seconds.
    uint64 public constant REWARD_INTERVAL = 1 days;

    /// @notice What block rewards are minted in; zero if they are minted elsewhere.
    IRewardToken public immutable rewardToken;
    /// @notice When the last reward was minted, or the vault was opened, seconds.
    uint64 public rewardedAt;

    /// @notice Opens the vault of a network.
    /// @param config what it is opened with
    /// @param tokens ERC-20 tokens (and the marker of the chain's coin) that the vault takes
    constructor(VaultConfig memory config, address[] memory tokens)
        Checkpoints(
            config.networkId,
            config.epoch,
            config.committeeHash,
            config.registry,
            config.company,
            config.development
        )
    {
        rewardToken = config.rewardToken;
        rewardedAt = uint64(block.timestamp);
        for (uint256 i = 0; i < tokens.length; ++i) {
            _list(tokens[i], true);
        }
    }

    /// @dev Mints what the token's own rule allows, as a deposit for the rewards account. Nobody
    /// chooses amount, time or receiver.
    function _onCheckpoint() internal override {
        address token = address(rewardToken);
        if (token == address(0) || block.timestamp < rewardedAt + REWARD_INTERVAL) return;
        if (!_accounts[token].listed || rewardToken.minter() != address(this)) return;
        uint256 amount = rewardToken.mintable();
        if (amount == 0 || amount > DEPOSIT_MAX) return;
        rewardedAt = uint64(block.timestamp);
        rewardToken.mint(amount);
        _record(token, address(this), REWARDS, amount);
    }
}
