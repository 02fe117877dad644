// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {FeeShares} from "./FeeShares.sol";
import {Money} from "./Money.sol";

/// @title What the vault has taken, paid and owes, token by token
/// @notice No token's account is touched by what another one does.
abstract contract TokenAccounts {
    /// @notice Running totals of one token, in atoms.
    /// @param listed whether the vault takes deposits of it
    /// @param known whether it was ever listed; what is known is paid out for ever
    /// @param movedTo a vault that was announced, once a checkpoint has said that the token went there
    /// @param movedAt executed height of the first such checkpoint
    /// @param deposited ever received
    /// @param withdrawn ever paid to withdrawals
    /// @param feesCertified cumulative fees that checkpoints have certified
    /// @param feesSettled the part of them whose treasury shares have been paid out
    /// @param released ever paid by escapes and refunds, or handed over to the successor
    /// @param owed what backs the balances at the successor, as checkpoints say
    /// @param handedOver the part of it that the successor has got
    /// @param handOverFrom end of the notice of `movedTo` when that was noted, seconds
    struct TokenAccount {
        bool listed;
        bool known;
        address movedTo;
        uint64 movedAt;
        uint256 deposited;
        uint256 withdrawn;
        uint256 feesCertified;
        uint256 feesSettled;
        uint256 released;
        uint256 owed;
        uint256 handedOver;
        uint64 handOverFrom;
    }

    /// @dev Accounts by token.
    mapping(address token => TokenAccount) internal _accounts;
    address[] private _tokens;

    /// @notice The vault takes a token, or takes no more of it.
    event TokenListed(address indexed token, bool listed);

    /// @notice An address is zero.
    error ZeroAddress();
    /// @notice The token is listed (or not listed) already.
    error ListedAlready(address token);
    /// @notice The token is not one that this vault takes.
    error UnlistedToken(address token);
    /// @notice Paying would leave the vault with less than nothing of this token.
    error InsufficientVault(uint256 available, uint256 needed);

    /// @notice Running totals of a token.
    /// @param token ERC-20, or the marker of the chain's coin
    /// @return its account; all zero if it was never listed
    function tokenAccount(address token) external view returns (TokenAccount memory) {
        return _accounts[token];
    }

    /// @notice Tokens that the vault takes or has taken.
    /// @return in the order in which they were listed first
    function listedTokens() external view returns (address[] memory) {
        return _tokens;
    }

    /// @notice What the vault owes in a token: what came in, less what went out. Its balance is
    /// never below this, unless the token itself takes it away.
    /// @param token the token
    /// @return amount atoms
    function liabilities(address token) public view returns (uint256 amount) {
        TokenAccount storage account = _accounts[token];
        (uint256 company, uint256 development) = FeeShares.ofTreasuries(account.feesSettled);
        uint256 out = account.withdrawn + account.released + company + development;
        return account.deposited - out;
    }

    /// @dev Starts or stops taking deposits of a token.
    function _list(address token, bool listed) internal {
        if (token == address(0)) revert ZeroAddress();
        TokenAccount storage account = _accounts[token];
        if (account.listed == listed) revert ListedAlready(token);
        account.listed = listed;
        if (!account.known) {
            account.known = true;
            _tokens.push(token);
        }
        emit TokenListed(token, listed);
    }

    /// @dev Pays by an escape or a refund.
    function _release(address token, address to, uint256 amount) internal {
        _requireLiability(token, amount);
        _accounts[token].released += amount;
        Money.send(token, to, amount);
    }

    /// @dev No proof and no certificate can make the vault pay more of a token than it owes.
    function _requireLiability(address token, uint256 amount) internal view {
        uint256 available = liabilities(token);
        if (amount > available) revert InsufficientVault(available, amount);
    }
}
