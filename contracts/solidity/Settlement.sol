// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {BlockHeader} from "./BlockHeader.sol";
import {FeeDistributor} from "./FeeDistributor.sol";
import {Certificate, Finality, Member} from "./Finality.sol";
import {LedgerProof, StateWords, Withdrawal} from "./LedgerProof.sol";
import {Votes} from "./Votes.sol";

/// @notice Cumulative fees of one asset; the header's fees root is the keccak of all of them.
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

/// @title The vault of an OmniBazaar network on one EVM chain
/// @notice Takes deposits, follows the ledger by checkpoints whose finality it verifies itself, and
/// pays withdrawals that are proven against a checkpointed state root. There is no owner, no admin
/// key and no trusted relayer: every function may be called by anyone, and tokens leave only by a
/// proof or as the fee shares that a checkpoint certifies.
contract Settlement is ReentrancyGuard {
    using SafeERC20 for IERC20;

    /// @notice The newest accepted checkpoint.
    /// @param executedHeight ledger height of the state root
    /// @param blockHeight height of the block that carried it
    /// @param acceptedAt block time of acceptance, seconds
    /// @param count checkpoints accepted so far
    /// @param stateRoot the root
    /// @param blockHash hash of the block that carried it
    struct Checkpoint {
        uint64 executedHeight;
        uint64 blockHeight;
        uint64 acceptedAt;
        uint64 count;
        bytes32 stateRoot;
        bytes32 blockHash;
    }

    /// @notice Running totals of one token, in atoms.
    /// @param listed whether the vault takes it
    /// @param deposited ever received from depositors
    /// @param withdrawn ever paid to withdrawals
    /// @param feesCertified cumulative fees that checkpoints have certified
    /// @param feesSettled the part of them whose treasury shares have been paid out
    struct TokenAccount {
        bool listed;
        uint256 deposited;
        uint256 withdrawn;
        uint256 feesCertified;
        uint256 feesSettled;
    }

    /// @notice Company's share of the fees, percent.
    uint256 public constant COMPANY_PERCENT = 20;
    /// @notice Development fund's share of the fees, percent.
    uint256 public constant DEVELOPMENT_PERCENT = 10;
    /// @notice Largest single deposit, atoms.
    uint256 public constant DEPOSIT_MAX = type(uint128).max;
    /// @notice Gas that the fee payment of one token may use inside a checkpoint, so that a broken
    /// token cannot stop checkpoints. What fails is paid later by `settleFees`.
    uint256 public constant FEE_PAYMENT_GAS = 300_000;
    /// @notice Heights between a snapshot and the block that carries its digest.
    uint64 public constant SNAPSHOT_LAG = 32;

    /// @notice Names the network; salt of every signature's domain.
    bytes32 public immutable networkId;
    /// @notice EIP-712 domain separator of the network.
    bytes32 public immutable domainSeparator;
    /// @notice Receives the treasuries' shares of the fees.
    FeeDistributor public immutable distributor;

    /// @notice Epoch that the next checkpoint must belong to.
    uint64 public epoch;
    /// @notice Hash of the committee that must certify it.
    bytes32 public committeeHash;
    /// @notice Height of the newest snapshot known.
    uint64 public snapshotHeight;
    /// @notice sha2-256 digest of its manifest's CID (DAG-CBOR), or zero.
    bytes32 public snapshotDigest;
    /// @notice Deposits received so far; also the id of the next one.
    uint256 public depositCount;
    /// @notice keccak of (id, token, depositor, beneficiary, amount) of each deposit.
    mapping(uint256 id => bytes32) public depositHash;
    /// @notice State root of every checkpointed height.
    mapping(uint64 executedHeight => bytes32) public stateRootAt;

    Checkpoint private _checkpoint;
    mapping(address token => TokenAccount) private _accounts;
    mapping(uint256 word => uint256 bits) private _paid;
    address[] private _tokens;

    /// @notice Tokens were deposited; the ledger credits the beneficiary.
    event Deposited(
        uint256 indexed id,
        address indexed token,
        address indexed beneficiary,
        address depositor,
        uint256 amount
    );
    /// @notice A checkpoint was accepted.
    event CheckpointAccepted(
        uint64 indexed executedHeight,
        uint64 indexed blockHeight,
        bytes32 stateRoot,
        bytes32 feesRoot,
        bytes32 blockHash,
        bytes32 snapshotDigest
    );
    /// @notice The vault follows a new committee.
    event EpochAdvanced(uint64 indexed epoch, bytes32 committeeHash);
    /// @notice A withdrawal was paid.
    event WithdrawalPaid(
        uint32 indexed index, address indexed token, address indexed to, uint256 amount
    );
    /// @notice The fee shares of a token could not be paid now; `settleFees` can be called later.
    event FeesDeferred(uint64 indexed executedHeight, address indexed token);

    /// @notice An address is zero.
    error ZeroAddress();
    /// @notice A token is named twice.
    error DuplicateToken(address token);
    /// @notice The token is not one that this vault takes.
    error UnlistedToken(address token);
    /// @notice The amount is zero or above DEPOSIT_MAX.
    error BadAmount(uint256 amount);
    /// @notice The token moved another amount than it was told to.
    error WrongTransfer(uint256 moved, uint256 expected);
    /// @notice The checkpoint is not newer than the last one.
    error StaleCheckpoint(uint64 executedHeight, uint64 current);
    /// @notice The fee totals are not those of the header.
    error WrongFees(bytes32 stated, bytes32 expected);
    /// @notice The header does not end an epoch, or names another next committee.
    error WrongNextCommittee(bytes32 stated, bytes32 expected);
    /// @notice The words are not those of a checkpointed state root.
    error UnknownState(bytes32 root);
    /// @notice The withdrawal is not in the ledger's tree.
    error BadProof();
    /// @notice The withdrawal was paid before.
    error AlreadyPaid(uint32 index);
    /// @notice Paying would leave the vault with less than nothing of this token.
    error InsufficientVault(uint256 available, uint256 needed);
    /// @notice The caller is not this contract.
    error OnlySelf();

    /// @notice Opens the vault of a network.
    /// @param networkId_ names the network
    /// @param committeeHash_ hash of the committee of epoch 1
    /// @param company treasury of the company
    /// @param development treasury of the development fund
    /// @param tokens ERC-20 tokens that the vault takes
    constructor(
        bytes32 networkId_,
        bytes32 committeeHash_,
        address company,
        address development,
        address[] memory tokens
    ) {
        networkId = networkId_;
        domainSeparator = Votes.domainSeparator(networkId_);
        distributor = new FeeDistributor(company, development);
        epoch = 1;
        committeeHash = committeeHash_;
        for (uint256 i = 0; i < tokens.length; ++i) {
            if (tokens[i] == address(0)) revert ZeroAddress();
            if (_accounts[tokens[i]].listed) revert DuplicateToken(tokens[i]);
            _accounts[tokens[i]].listed = true;
        }
        _tokens = tokens;
    }

    // --- deposits ---------------------------------------------------------------------------

    /// @notice Deposits tokens for the caller.
    /// @param token a listed token, approved for this contract
    /// @param amount atoms
    /// @return id number of the deposit
    function deposit(address token, uint256 amount) external returns (uint256 id) {
        return depositFor(token, amount, msg.sender);
    }

    /// @notice Deposits the caller's tokens for another account.
    /// @param token a listed token, approved for this contract
    /// @param amount atoms; exactly this much must arrive
    /// @param beneficiary who is credited on the ledger
    /// @return id number of the deposit
    function depositFor(address token, uint256 amount, address beneficiary)
        public
        nonReentrant
        returns (uint256 id)
    {
        TokenAccount storage account = _accounts[token];
        if (!account.listed) revert UnlistedToken(token);
        if (amount == 0 || amount > DEPOSIT_MAX) revert BadAmount(amount);
        if (beneficiary == address(0)) revert ZeroAddress();
        id = depositCount++;
        account.deposited += amount;
        depositHash[id] = keccak256(abi.encode(id, token, msg.sender, beneficiary, amount));
        emit Deposited(id, token, beneficiary, msg.sender, amount);
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amount);
        uint256 moved = IERC20(token).balanceOf(address(this)) - before;
        if (moved != amount) revert WrongTransfer(moved, amount);
    }

    // --- checkpoints ------------------------------------------------------------------------

    /// @notice Accepts the state root and the fees of a final block.
    /// @param headers from the checkpoint block to the block that the certificate is for
    /// @param certificate finalize votes of more than two thirds of the committee's weight
    /// @param members the committee of the current epoch
    /// @param fees cumulative totals of all assets of the network, as in the checkpoint's fees root
    function submitCheckpoint(
        BlockHeader[] calldata headers,
        Certificate calldata certificate,
        Member[] calldata members,
        FeeTotal[] calldata fees
    ) external nonReentrant {
        bytes32 blockHash = Finality.verify(
            domainSeparator, epoch, committeeHash, headers, certificate, members
        );
        BlockHeader calldata header = headers[0];
        uint64 current = _checkpoint.executedHeight;
        if (header.executedHeight <= current) {
            revert StaleCheckpoint(header.executedHeight, current);
        }
        bytes32 feesRoot = _hashFees(fees);
        if (feesRoot != header.feesRoot) revert WrongFees(feesRoot, header.feesRoot);
        _recordCheckpoint(header, blockHash);
        _chargeFees(header.executedHeight, fees);
    }

    /// @notice Follows the committee over the border of an epoch.
    /// @param headers from the boundary block, which names the next committee, to the certified one
    /// @param certificate finalize votes of the current committee
    /// @param members the current committee
    /// @param nextMembers the next committee
    function submitBoundary(
        BlockHeader[] calldata headers,
        Certificate calldata certificate,
        Member[] calldata members,
        Member[] calldata nextMembers
    ) external nonReentrant {
        Finality.verify(domainSeparator, epoch, committeeHash, headers, certificate, members);
        bytes32 stated = headers[0].nextCommitteeHash;
        bytes32 next = Finality.hashMembers(nextMembers);
        if (stated != next) revert WrongNextCommittee(stated, next);
        committeeHash = next;
        emit EpochAdvanced(++epoch, next);
    }

    /// @notice Pays fee shares that could not be paid within their checkpoint. Anyone may call.
    /// @param token the fees' token
    function settleFees(address token) external nonReentrant {
        _settleFees(token);
    }

    /// @notice The same, called by this contract itself so that a failure can be contained.
    /// @param token the fees' token
    function settleFeesWithinCheckpoint(address token) external {
        if (msg.sender != address(this)) revert OnlySelf();
        _settleFees(token);
    }

    // --- withdrawals ------------------------------------------------------------------------

    /// @notice Pays a withdrawal to the address that it names. Anyone may call.
    /// @param words of any checkpointed state root at or after the withdrawal
    /// @param withdrawal what the ledger recorded
    /// @param siblings Merkle path from the withdrawal's leaf to `words.withdrawals`
    function withdraw(
        StateWords calldata words,
        Withdrawal calldata withdrawal,
        bytes32[32] calldata siblings
    ) external nonReentrant {
        bytes32 root = LedgerProof.stateRoot(words);
        if (stateRootAt[words.height] != root) revert UnknownState(root);
        bytes32 leaf = LedgerProof.withdrawalLeaf(withdrawal);
        if (LedgerProof.rootFrom(leaf, withdrawal.index, siblings) != words.withdrawals) {
            revert BadProof();
        }
        if (isPaid(withdrawal.index)) revert AlreadyPaid(withdrawal.index);
        _paid[withdrawal.index >> 8] |= 1 << (withdrawal.index & 0xff);
        _requireLiability(withdrawal.token, withdrawal.amount);
        _accounts[withdrawal.token].withdrawn += withdrawal.amount;
        emit WithdrawalPaid(
            withdrawal.index, withdrawal.token, withdrawal.to, withdrawal.amount
        );
        _send(withdrawal.token, withdrawal.to, withdrawal.amount);
    }

    // --- views ------------------------------------------------------------------------------

    /// @notice The newest accepted checkpoint.
    /// @return the checkpoint; all zero before the first
    function checkpoint() external view returns (Checkpoint memory) {
        return _checkpoint;
    }

    /// @notice Running totals of a token.
    /// @param token the token
    /// @return its account; all zero if it is not listed
    function tokenAccount(address token) external view returns (TokenAccount memory) {
        return _accounts[token];
    }

    /// @notice Tokens that the vault takes.
    /// @return in the order in which they were listed
    function listedTokens() external view returns (address[] memory) {
        return _tokens;
    }

    /// @notice Whether a withdrawal has been paid.
    /// @param index its position in the ledger's tree
    /// @return true once it was paid
    function isPaid(uint32 index) public view returns (bool) {
        return (_paid[index >> 8] >> (index & 0xff)) & 1 == 1;
    }

    /// @notice What the vault owes in a token: deposits less withdrawals and paid fee shares. Its
    /// balance is never below this.
    /// @param token the token
    /// @return amount atoms
    function liabilities(address token) public view returns (uint256 amount) {
        TokenAccount storage account = _accounts[token];
        (uint256 company, uint256 development) = _shares(account.feesSettled);
        return account.deposited - account.withdrawn - company - development;
    }

    // --- internal ---------------------------------------------------------------------------

    /// @dev Remembers the root, the block and, if there is one, the snapshot.
    function _recordCheckpoint(BlockHeader calldata header, bytes32 blockHash) private {
        _checkpoint = Checkpoint({
            executedHeight: header.executedHeight,
            blockHeight: header.height,
            acceptedAt: uint64(block.timestamp),
            count: _checkpoint.count + 1,
            stateRoot: header.stateRoot,
            blockHash: blockHash
        });
        stateRootAt[header.executedHeight] = header.stateRoot;
        if (header.checkpointDigest != bytes32(0)) {
            snapshotDigest = header.checkpointDigest;
            snapshotHeight = header.height > SNAPSHOT_LAG ? header.height - SNAPSHOT_LAG : 0;
        }
        emit CheckpointAccepted(
            header.executedHeight,
            header.height,
            header.stateRoot,
            header.feesRoot,
            blockHash,
            header.checkpointDigest
        );
    }

    /// @dev Fee totals are static, so the calldata array is exactly the words that are hashed.
    function _hashFees(FeeTotal[] calldata fees) private pure returns (bytes32 hash) {
        uint256 count = fees.length;
        assembly ("memory-safe") {
            let free := mload(0x40)
            let size := mul(count, 128)
            calldatacopy(free, fees.offset, size)
            hash := keccak256(free, size)
        }
    }

    /// @dev Takes over the totals of this vault's tokens and tries to pay the treasuries' shares.
    function _chargeFees(uint64 executedHeight, FeeTotal[] calldata fees) private {
        for (uint256 i = 0; i < fees.length; ++i) {
            if (fees[i].chainId != block.chainid || fees[i].vault != address(this)) continue;
            address token = fees[i].token;
            TokenAccount storage account = _accounts[token];
            if (!account.listed || fees[i].total <= account.feesCertified) continue;
            account.feesCertified = fees[i].total;
            try this.settleFeesWithinCheckpoint{gas: FEE_PAYMENT_GAS}(token) {}
            catch {
                emit FeesDeferred(executedHeight, token);
            }
        }
    }

    /// @dev Pays company and development fund the increase of their cumulative shares.
    function _settleFees(address token) private {
        TokenAccount storage account = _accounts[token];
        uint256 certified = account.feesCertified;
        uint256 settled = account.feesSettled;
        if (certified == settled) return;
        (uint256 companyNow, uint256 developmentNow) = _shares(certified);
        (uint256 companyThen, uint256 developmentThen) = _shares(settled);
        uint256 company = companyNow - companyThen;
        uint256 development = developmentNow - developmentThen;
        _requireLiability(token, company + development);
        account.feesSettled = certified;
        uint256 total = certified - settled;
        if (company + development != 0) {
            _send(token, address(distributor), company + development);
        }
        distributor.bookFees(
            _checkpoint.executedHeight,
            token,
            total,
            total - company - development,
            company,
            development
        );
    }

    /// @dev The treasuries' shares of a cumulative total.
    function _shares(uint256 total) private pure returns (uint256 company, uint256 development) {
        return (total * COMPANY_PERCENT / 100, total * DEVELOPMENT_PERCENT / 100);
    }

    /// @dev No proof and no certificate can make the vault pay more of a token than it owes.
    function _requireLiability(address token, uint256 amount) private view {
        uint256 available = liabilities(token);
        if (amount > available) revert InsufficientVault(available, amount);
    }

    /// @dev Sends tokens; the vault's balance must fall by exactly the amount.
    function _send(address token, address to, uint256 amount) private {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransfer(to, amount);
        uint256 moved = before - IERC20(token).balanceOf(address(this));
        if (moved != amount) revert WrongTransfer(moved, amount);
    }
}
