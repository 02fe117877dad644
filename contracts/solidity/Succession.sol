// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Member} from "./Finality.sol";

/// @title Who is told of committees
interface ICommitteeFollower {
    /// @notice The vault whose committees it follows.
    /// @return vault the only account that may call `onCommittee`
    function settlement() external view returns (address vault);

    /// @notice Takes note of a committee that the vault has just accepted.
    /// @param epoch the committee's epoch
    /// @param members its members
    function onCommittee(uint64 epoch, Member[] calldata members) external;
}

/// @title A vault, as far as other contracts of the network look at it
interface IVault {
    /// @notice Epoch of the committee that it follows.
    /// @return number of the epoch
    function epoch() external view returns (uint64 number);

    /// @notice When it closes, or closed.
    /// @return at seconds; zero if no notice is given
    function closedAt() external view returns (uint64 at);

    /// @notice Whether it has closed for ever.
    /// @return closed true from then on
    function isClosed() external view returns (bool closed);

    /// @notice The vault that takes over.
    /// @return vault zero if none is announced
    function successor() external view returns (address vault);

    /// @notice When it takes over.
    /// @return at seconds; zero if none is announced
    function successorAt() external view returns (uint64 at);

    /// @notice State root that it has accepted for a ledger height.
    /// @param executedHeight the height
    /// @return root zero if it has accepted none
    function stateRootAt(uint64 executedHeight) external view returns (bytes32 root);

    /// @notice Takes funds that back the ledger's credit without being anybody's deposit.
    /// @param token ERC-20 that the caller has approved, or the marker of the chain's coin
    /// @param amount atoms
    function fund(address token, uint256 amount) external payable;
}

/// @title The token that rewards are minted in
interface IRewardToken {
    /// @notice Who may mint.
    /// @return account the only one
    function minter() external view returns (address account);

    /// @notice What may be minted now.
    /// @return amount atoms
    function mintable() external view returns (uint256 amount);

    /// @notice Mints to the minter itself.
    /// @param amount atoms, at most `mintable()`
    function mint(uint256 amount) external;
}
