// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {BlockHeader} from "./BlockHeader.sol";
import {FeeDistributor} from "./FeeDistributor.sol";
import {FeeShares, FeeTotal} from "./FeeShares.sol";
import {Certificate, Finality, Member} from "./Finality.sol";
import {ICommitteeFollower} from "./Succession.sol";
import {Money} from "./Money.sol";
import {TokenAccounts} from "./TokenAccounts.sol";
import {Votes} from "./Votes.sol";

/// @title How the vault follows the ledger
/// @notice State roots and committees are accepted by proof of finality from anyone, as long as the
/// last accepted checkpoint is not too old. If none comes for a week, anyone may give notice; if
/// none comes within two days from then, the vault closes for ever and pays by its last root.
abstract contract Checkpoints is TokenAccounts, ReentrancyGuard {
    /// @notice The newest accepted checkpoint.
    /// @param executedHeight ledger height of the state root
    /// @param blockHeight height of the block that carried it
    /// @param acceptedAt block time of acceptance, seconds
    /// @param count checkpoints accepted so far
    /// @param stateRoot the root
    /// @param blockHash hash of the block that carried it
    /// @param feesRoot keccak of the cumulative fee totals
    struct Checkpoint {
        uint64 executedHeight;
        uint64 blockHeight;
        uint64 acceptedAt;
        uint64 count;
        bytes32 stateRoot;
        bytes32 blockHash;
        bytes32 feesRoot;
    }

    /// @notice Gas that the fee payment of one token may use inside a checkpoint, so that a broken
    /// token cannot stop checkpoints. What fails is paid later by `settleFees`.
    uint256 public constant FEE_PAYMENT_GAS = 300_000;
    /// @notice Heights between a snapshot and the block that carries its digest.
    uint64 public constant SNAPSHOT_LAG = 32;
    /// @notice Silence after which notice of the escape can be given, seconds.
    uint64 public constant ESCAPE_AFTER = 7 days;
    /// @notice Time from the notice until the vault closes, seconds.
    uint64 public constant ESCAPE_NOTICE = 48 hours;
    /// @notice Silence after which no certificate counts any more, seconds: later its signers may
    /// have taken their stakes out.
    uint64 public constant CERTIFICATES_EXPIRE_AFTER = 9 days;

    /// @notice Names the network; salt of every signature's domain.
    bytes32 public immutable networkId;
    /// @notice EIP-712 domain separator of the network.
    bytes32 public immutable domainSeparator;
    /// @notice Receives the treasuries' shares of the fees.
    FeeDistributor public immutable distributor;
    /// @notice Is told of each new committee; zero where the network's registry is elsewhere.
    ICommitteeFollower public immutable registry;
    /// @notice When this vault was deployed, seconds.
    uint64 public immutable openedAt;

    /// @notice Epoch that the next checkpoint must belong to.
    uint64 public epoch;
    /// @notice When notice of the escape was given, seconds; zero if it was not or is void.
    uint64 public noticeAt;
    /// @notice Height of the newest snapshot known.
    uint64 public snapshotHeight;
    /// @notice Hash of the committee that must certify it.
    bytes32 public committeeHash;
    /// @notice sha2-256 digest of its manifest's CID (DAG-CBOR), or zero.
    bytes32 public snapshotDigest;
    /// @notice State root of every checkpointed height.
    mapping(uint64 executedHeight => bytes32) public stateRootAt;

    /// @dev The newest accepted checkpoint.
    Checkpoint internal _checkpoint;

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
    /// @notice The fee shares of a token could not be paid now; `settleFees` can be called later.
    event FeesDeferred(uint64 indexed executedHeight, address indexed token);
    /// @notice Unless a checkpoint comes before, the vault closes at this time.
    event EscapeNoticed(uint64 indexed executedHeight, uint64 closesAt);
    /// @notice A checkpoint made the notice void.
    event EscapeCancelled(uint64 indexed executedHeight);

    /// @notice The checkpoint is not newer than the last one.
    error StaleCheckpoint(uint64 executedHeight, uint64 current);
    /// @notice The fee totals are not those of the header.
    error WrongFees(bytes32 stated, bytes32 expected);
    /// @notice The header does not end an epoch, or names another next committee.
    error WrongNextCommittee(bytes32 stated, bytes32 expected);
    /// @notice The last checkpoint is so old that no certificate counts any more.
    error CertificateExpired(uint64 lastAcceptedAt);
    /// @notice The vault has closed: it only pays what its last root says.
    error VaultClosed();
    /// @notice The vault has not closed.
    error VaultOpen();
    /// @notice Notice cannot be given before this time.
    error EscapeTooEarly(uint64 possibleAt);
    /// @notice Notice has been given already.
    error EscapeNoticedAlready(uint64 at);
    /// @notice The caller is not this contract.
    error OnlySelf();

    /// @dev Starts with the committee that certifies `epoch_`.
    constructor(
        bytes32 networkId_,
        uint64 epoch_,
        bytes32 committeeHash_,
        ICommitteeFollower registry_,
        address company,
        address development
    ) {
        networkId = networkId_;
        domainSeparator = Votes.domainSeparator(networkId_);
        distributor = new FeeDistributor(company, development);
        registry = registry_;
        openedAt = uint64(block.timestamp);
        epoch = epoch_;
        committeeHash = committeeHash_;
        // A registry that is no contract would stop the first change of committees.
        if (address(registry_) != address(0)) registry_.settlement();
    }

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
        bytes32 blockHash = _verifyFinality(headers, certificate, members);
        BlockHeader calldata header = headers[0];
        uint64 current = _checkpoint.executedHeight;
        if (header.executedHeight <= current) {
            revert StaleCheckpoint(header.executedHeight, current);
        }
        bytes32 feesRoot = FeeShares.hash(fees);
        if (feesRoot != header.feesRoot) revert WrongFees(feesRoot, header.feesRoot);
        _recordCheckpoint(header, blockHash);
        _chargeFees(header.executedHeight, fees);
        _onCheckpoint();
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
        _verifyFinality(headers, certificate, members);
        bytes32 stated = headers[0].nextCommitteeHash;
        bytes32 next = Finality.hashMembers(nextMembers);
        if (stated != next) revert WrongNextCommittee(stated, next);
        committeeHash = next;
        emit EpochAdvanced(++epoch, next);
        // The registry calls nobody, so it cannot stop this; another vault's is left alone.
        if (address(registry) == address(0) || registry.settlement() != address(this)) return;
        registry.onCommittee(epoch, nextMembers);
    }

    /// @notice Gives notice that the vault is going to close, because no checkpoint has come for
    /// ESCAPE_AFTER. Anyone may call.
    function openEscape() external {
        if (noticeAt != 0) revert EscapeNoticedAlready(noticeAt);
        uint64 possibleAt = lastAcceptedAt() + ESCAPE_AFTER;
        if (block.timestamp < possibleAt) revert EscapeTooEarly(possibleAt);
        noticeAt = uint64(block.timestamp);
        emit EscapeNoticed(_checkpoint.executedHeight, closedAt());
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

    /// @notice The newest accepted checkpoint.
    /// @return the checkpoint; all zero before the first
    function checkpoint() external view returns (Checkpoint memory) {
        return _checkpoint;
    }

    /// @notice When the vault closes, or closed.
    /// @return at end of the notice, seconds; zero if no notice is given
    function closedAt() public view returns (uint64 at) {
        return noticeAt == 0 ? 0 : noticeAt + ESCAPE_NOTICE;
    }

    /// @notice Whether the vault has closed for ever and pays by its last root.
    /// @return closed true from the end of an uncancelled notice on
    function isClosed() public view returns (bool closed) {
        return noticeAt != 0 && block.timestamp >= noticeAt + ESCAPE_NOTICE;
    }

    /// @notice When the last checkpoint was accepted; before the first, when the vault was opened.
    /// @return at seconds
    function lastAcceptedAt() public view returns (uint64 at) {
        return _checkpoint.count == 0 ? openedAt : _checkpoint.acceptedAt;
    }

    /// @dev End of the notice of a vault that was ever announced as successor; zero if it was not.
    function _noticeOf(address vault) internal view virtual returns (uint64 end);

    /// @dev Called after each accepted checkpoint.
    function _onCheckpoint() internal virtual;

    /// @dev Certificates count until the vault closes, or its last checkpoint is too old.
    function _requireCurrent() internal view {
        if (isClosed()) revert VaultClosed();
        uint64 last = lastAcceptedAt();
        if (block.timestamp > last + CERTIFICATES_EXPIRE_AFTER) revert CertificateExpired(last);
    }

    /// @dev Proves that `headers[0]` is final.
    function _verifyFinality(
        BlockHeader[] calldata headers,
        Certificate calldata certificate,
        Member[] calldata members
    ) private view returns (bytes32 blockHash) {
        _requireCurrent();
        return Finality.verify(
            domainSeparator, epoch, committeeHash, headers, certificate, members
        );
    }

    /// @dev Remembers the root, the block and, if there is one, the snapshot.
    function _recordCheckpoint(BlockHeader calldata header, bytes32 blockHash) private {
        _checkpoint = Checkpoint({
            executedHeight: header.executedHeight,
            blockHeight: header.height,
            acceptedAt: uint64(block.timestamp),
            count: _checkpoint.count + 1,
            stateRoot: header.stateRoot,
            blockHash: blockHash,
            feesRoot: header.feesRoot
        });
        stateRootAt[header.executedHeight] = header.stateRoot;
        if (noticeAt != 0) {
            noticeAt = 0;
            emit EscapeCancelled(header.executedHeight);
        }
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

    /// @dev Takes over the totals of this vault's tokens and tries to pay the treasuries' shares.
    function _chargeFees(uint64 executedHeight, FeeTotal[] calldata fees) private {
        for (uint256 i = 0; i < fees.length; ++i) {
            if (fees[i].chainId != block.chainid) continue;
            address token = fees[i].token;
            TokenAccount storage account = _accounts[token];
            if (!account.known) continue;
            _noteMove(executedHeight, account, fees[i]);
            if (fees[i].vault != address(this) || fees[i].total <= account.feesCertified) continue;
            account.feesCertified = fees[i].total;
            try this.settleFeesWithinCheckpoint{gas: FEE_PAYMENT_GAS}(token) {}
            catch {
                emit FeesDeferred(executedHeight, token);
            }
        }
    }

    /// @dev Remembers what the ledger says of a token that has left this vault. Where it is counts
    /// even if that announcement was called off meanwhile: the ledger has moved. A row with something
    /// owed is one that the token has left again; it is on the way from here only behind our own.
    function _noteMove(uint64 height, TokenAccount storage account, FeeTotal calldata row)
        private
    {
        if (row.vault == address(this)) {
            if (row.owed != 0) account.owed = row.owed;
            return;
        }
        if (account.movedTo != address(0) || (row.owed != 0 && account.owed == 0)) return;
        uint64 from = _noticeOf(row.vault);
        if (from == 0) return;
        account.movedTo = row.vault;
        account.movedAt = height;
        account.handOverFrom = from;
    }

    /// @dev Pays company and development fund the increase of their cumulative shares.
    function _settleFees(address token) private {
        TokenAccount storage account = _accounts[token];
        uint256 certified = account.feesCertified;
        uint256 settled = account.feesSettled;
        if (certified == settled) return;
        (uint256 companyNow, uint256 developmentNow) = FeeShares.ofTreasuries(certified);
        (uint256 companyThen, uint256 developmentThen) = FeeShares.ofTreasuries(settled);
        uint256 company = companyNow - companyThen;
        uint256 development = developmentNow - developmentThen;
        _requireLiability(token, company + development);
        account.feesSettled = certified;
        uint256 total = certified - settled;
        if (company + development != 0) {
            Money.send(token, address(distributor), company + development);
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
}
