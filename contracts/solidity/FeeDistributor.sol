// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {Money} from "./Money.sol";

/// @title Distribution of exchange fees
/// @notice Receives the company's 20 % and the development fund's 10 % of each checkpoint's fees
/// from its vault and keeps them until they are claimed. The validators' 70 % never comes here: it
/// is credit on the ledger, backed by the vault. Every split is published in full.
contract FeeDistributor is ReentrancyGuard {
    /// @notice The two treasuries.
    enum Treasury {
        Company,
        Development
    }

    /// @notice The vault; the only account that can report fees.
    address public immutable settlement;
    /// @notice Who is paid for each treasury.
    mapping(Treasury => address) public treasury;
    /// @notice Who may take a treasury's seat over.
    mapping(Treasury => address) public nextTreasury;
    /// @notice Atoms of a token that a treasury can claim.
    mapping(Treasury => mapping(address token => uint256)) public claimable;
    /// @notice Atoms of a token that both treasuries can claim.
    mapping(address token => uint256) public unclaimed;

    /// @notice The fees of one checkpoint in one token. The shares add up to the total exactly.
    event FeesSplit(
        uint64 indexed executedHeight,
        address indexed token,
        uint256 total,
        uint256 validators,
        uint256 company,
        uint256 development
    );
    /// @notice A treasury was paid.
    event FeesClaimed(
        Treasury indexed which, address indexed token, address indexed to, uint256 amount
    );
    /// @notice A treasury named the address that may take its seat over.
    event TreasuryProposed(Treasury indexed which, address indexed next);
    /// @notice A treasury has a new address.
    event TreasuryChanged(Treasury indexed which, address indexed current);

    /// @notice The caller is not the vault.
    error OnlySettlement();
    /// @notice The caller is neither the treasury nor its named successor.
    error OnlyTreasury();
    /// @notice An address is zero.
    error ZeroAddress();
    /// @notice The shares do not add up to the total.
    error SharesDoNotAddUp();
    /// @notice Fewer tokens arrived than were reported.
    error FeesNotReceived(uint256 held, uint256 owed);
    /// @notice The treasury has nothing to claim in this token.
    error NothingToClaim();

    /// @notice The deployer is the vault.
    /// @param company treasury of the company
    /// @param development treasury of the development fund
    constructor(address company, address development) {
        if (company == address(0) || development == address(0)) revert ZeroAddress();
        settlement = msg.sender;
        treasury[Treasury.Company] = company;
        treasury[Treasury.Development] = development;
    }

    /// @notice Takes the chain's own coin from the vault.
    receive() external payable {
        if (msg.sender != settlement) revert OnlySettlement();
    }

    /// @notice Books fees that the vault has just sent.
    /// @param executedHeight of the checkpoint that certified them
    /// @param token the fees' token
    /// @param total all fees since the last booking, atoms
    /// @param validators the validators' part, which stays in the vault
    /// @param company the company's part
    /// @param development the development fund's part
    function bookFees(
        uint64 executedHeight,
        address token,
        uint256 total,
        uint256 validators,
        uint256 company,
        uint256 development
    ) external {
        if (msg.sender != settlement) revert OnlySettlement();
        if (validators + company + development != total) revert SharesDoNotAddUp();
        uint256 owed = unclaimed[token] + company + development;
        uint256 held = Money.held(token);
        if (held < owed) revert FeesNotReceived(held, owed);
        unclaimed[token] = owed;
        claimable[Treasury.Company][token] += company;
        claimable[Treasury.Development][token] += development;
        emit FeesSplit(executedHeight, token, total, validators, company, development);
    }

    /// @notice Pays a treasury what it has in one token. Anyone may call.
    /// @param which the treasury
    /// @param token the token
    /// @return amount atoms paid
    function claim(Treasury which, address token) external nonReentrant returns (uint256 amount) {
        amount = claimable[which][token];
        if (amount == 0) revert NothingToClaim();
        claimable[which][token] = 0;
        unclaimed[token] -= amount;
        address to = treasury[which];
        emit FeesClaimed(which, token, to, amount);
        Money.send(token, to, amount);
    }

    /// @notice Names the address that may take the caller's seat over.
    /// @param which the treasury that the caller is
    /// @param next its successor
    function proposeTreasury(Treasury which, address next) external {
        if (msg.sender != treasury[which]) revert OnlyTreasury();
        nextTreasury[which] = next;
        emit TreasuryProposed(which, next);
    }

    /// @notice Takes a seat over for which the caller was named.
    /// @param which the treasury
    function acceptTreasury(Treasury which) external {
        if (msg.sender != nextTreasury[which]) revert OnlyTreasury();
        treasury[which] = msg.sender;
        nextTreasury[which] = address(0);
        emit TreasuryChanged(which, msg.sender);
    }
}
