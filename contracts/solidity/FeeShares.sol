// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @notice Cumulative fees of one asset; the header's fees root is the keccak of all of them, in
/// order of asset ids. So the list also says which token an asset id stands for.
/// @param chainId EVM chain of the asset
/// @param vault its vault
/// @param token its ERC-20
/// @param total all fees ever charged in it, atoms
struct FeeTotal {
    uint256 chainId;
    address vault;
    address token;
    uint256 total;
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
            let size := mul(count, 128)
            calldatacopy(free, fees.offset, size)
            root := keccak256(free, size)
        }
    }
}
