// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Deposits, DepositRecord} from "./Deposits.sol";
import {FeeShares, FeeTotal} from "./FeeShares.sol";
import {AccountProof, EntryProof, LedgerProof, StateWords, VaultCursor} from "./LedgerProof.sol";
import {Withdrawals} from "./Withdrawals.sol";

/// @title The escape
/// @notice Once the vault has closed, everybody gets what the last accepted root says: each balance
/// entry (free and held) once, and each deposit that the ledger had not credited. Withdrawals that
/// the root knows are claimed as ever.
abstract contract Escape is Deposits, Withdrawals {
    /// @notice Whether an entry of the last root has been paid: account number · 2^16 + position.
    mapping(uint256 entry => bool) public isEscaped;

    /// @notice A balance was paid by the last root.
    event Escaped(
        address indexed owner,
        uint256 indexed asset,
        address indexed to,
        uint256 sub,
        address token,
        uint256 amount
    );
    /// @notice A deposit that the ledger had not credited was given back.
    event Refunded(
        uint256 indexed id, address indexed token, address indexed to, uint256 amount
    );

    /// @notice The asset is not one of this vault on this chain.
    error ForeignAsset(uint256 asset);
    /// @notice The entry was paid before.
    error EscapedAlready(uint32 account, uint16 position);
    /// @notice The entry is empty.
    error NothingOwed();
    /// @notice Only the owner may have it paid to somebody else.
    error OnlyOwner(address owner);
    /// @notice There is no such deposit, or it has been refunded.
    error UnknownDeposit(uint256 id);
    /// @notice The ledger has credited this deposit.
    error DepositCredited(uint256 id, uint256 credited);

    /// @notice Pays one balance entry of the last root. Anyone may call for the owner.
    /// @param words of the last accepted state root
    /// @param account the account and its path to `words.accounts`
    /// @param entry the entry and its path to the account's balances
    /// @param fees totals of the last checkpoint, which say what token the asset is
    /// @param to the owner, or whom the owner names when calling itself
    function escape(
        StateWords calldata words,
        AccountProof calldata account,
        EntryProof calldata entry,
        FeeTotal[] calldata fees,
        address to
    ) external nonReentrant {
        _requireLastState(words);
        if (LedgerProof.accountsRoot(account, entry) != words.accounts) revert BadProof();
        address token = _tokenOf(entry.asset, fees);
        uint256 key = uint256(account.number) << 16 | entry.position;
        if (isEscaped[key]) revert EscapedAlready(account.number, entry.position);
        isEscaped[key] = true;
        uint256 amount = entry.free + entry.held;
        if (amount == 0) revert NothingOwed();
        _requireReceiver(account.owner, to);
        emit Escaped(account.owner, entry.asset, to, entry.sub, token, amount);
        _release(token, to, amount);
    }

    /// @notice Gives a deposit back that the last root does not know as credited. Anyone may call.
    /// @param words of the last accepted state root; ignored if no checkpoint was ever accepted
    /// @param cursors deposits credited per vault, in the ledger's order
    /// @param record the deposit
    /// @param to the depositor, or whom the depositor names when calling itself
    function refund(
        StateWords calldata words,
        VaultCursor[] calldata cursors,
        DepositRecord calldata record,
        address to
    ) external nonReentrant {
        uint256 credited = _creditedDeposits(words, cursors);
        if (record.id < credited) revert DepositCredited(record.id, credited);
        if (depositHash[record.id] != _hashDeposit(record)) revert UnknownDeposit(record.id);
        depositHash[record.id] = bytes32(0);
        _requireReceiver(record.depositor, to);
        emit Refunded(record.id, record.token, to, record.amount);
        _release(record.token, to, record.amount);
    }

    /// @dev The words must be those of the last root of a closed vault.
    function _requireLastState(StateWords calldata words) private view {
        if (!isClosed()) revert VaultOpen();
        bytes32 root = LedgerProof.stateRoot(words);
        if (_checkpoint.count == 0 || root != _checkpoint.stateRoot) revert UnknownState(root);
    }

    /// @dev Number of deposits that the ledger had credited at the last root.
    function _creditedDeposits(StateWords calldata words, VaultCursor[] calldata cursors)
        private
        view
        returns (uint256 credited)
    {
        if (!isClosed()) revert VaultOpen();
        if (_checkpoint.count == 0) return 0;
        _requireLastState(words);
        if (LedgerProof.hashCursors(cursors) != words.deposits) revert BadProof();
        for (uint256 i = 0; i < cursors.length; ++i) {
            if (cursors[i].chainId == block.chainid && cursors[i].vault == address(this)) {
                return cursors[i].credited;
            }
        }
    }

    /// @dev The token that an asset id stands for, by the list that the last checkpoint certified.
    function _tokenOf(uint256 asset, FeeTotal[] calldata fees) private view returns (address) {
        bytes32 feesRoot = FeeShares.hash(fees);
        if (feesRoot != _checkpoint.feesRoot) revert WrongFees(feesRoot, _checkpoint.feesRoot);
        if (
            asset >= fees.length || fees[asset].chainId != block.chainid
                || fees[asset].vault != address(this)
        ) revert ForeignAsset(asset);
        return fees[asset].token;
    }

    /// @dev Who is paid: the owner, or whom it names itself.
    function _requireReceiver(address owner, address to) private view {
        if (to == address(0)) revert ZeroAddress();
        if (to != owner && msg.sender != owner) revert OnlyOwner(owner);
    }
}
