// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @notice Cumulative fees of one asset in one vault. The header's fees root is the keccak of all
/// assets' rows, in order of asset ids, and then of those that assets have left behind in other
/// vaults. So the list also says which token an asset id stands for.
/// @param chainId EVM chain of the asset
/// @param vault its vault
/// @param token its ERC-20
/// @param total all fees ever charged in it while it was in this vault, atoms
/// @param owed what backed its balances when it left this vault, atoms; zero while it is there
struct FeeTotal {
    uint256 chainId;
    address vault;
    address token;
    uint256 total;
    uint256 owed;
}

/// @title Shares of the treasuries in cumulative fees
library FeeShares {
    /// @notice Company's share of the fees, percent.
    uint256 internal constant COMPANY_PERCENT = 20;
    /// @notice Development fund's share of the fees, percent.
    uint256 internal constant DEVELOPMENT_PERCENT = 10;

    /// @notice The treasuries' shares of a cumulative total; the rest is the validators'.
    /// @param total cumulative fees, atoms
    /// @return company the company's share
    /// @return development the development fund's share
    function ofTreasuries(uint256 total) internal pure returns (uint256 company, uint256 development) {
        return (total * COMPANY_PERCENT / 100, total * DEVELOPMENT_PERCENT / 100);
    }

    /// @notice The fees root of a list of totals.
    /// @param fees all assets of the network
    /// @return root keccak of their words
    function hash(FeeTotal[] calldata fees) internal pure returns (bytes32 root) {
        uint256 count = fees.length;
        // The totals are static, so the calldata array is exactly the words that are hashed.
        assembly ("memory-safe") {
            let free := mload(0x40)
            let size := mul(count, 160)
            calldatacopy(free, fees.offset, size)
            root := keccak256(free, size)
        }
    }
}
