// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Member} from "./Finality.sol";
import {Penalties} from "./Penalties.sol";
import {ICommitteeFollower, IVault} from "./Succession.sol";
import {Votes} from "./Votes.sol";

/// @title Registry and stake of validators
/// @notice A validator is an owner (holds the stake), a hot key (signs votes), a network key
/// (proves the libp2p identity), a payout address and a set of services. Its stake is at least
/// 1,000 XOM. There is no admin: stake leaves only to its owner after unbonding, or by proof of two
/// conflicting votes. Every change emits the validator's whole new record under the next number.
contract ValidatorRegistry is Penalties, ICommitteeFollower {
    using SafeERC20 for IERC20;

    /// @notice What happened to a validator.
    enum Change {
        None,
        Registered,
        StakeAdded,
        HotKey,
        Services,
        ExitRequested,
        StakeWithdrawn,
        Slashed
    }

    /// @notice A validator as registered.
    /// @param hotKey address of the key that signs votes
    /// @param services bit mask: 1 trading, 2 chat, 4 storage
    /// @param exiting whether it asked to leave
    /// @param seatedEpoch while exiting: newest epoch in whose committee it may have been
    /// @param payout ledger account that its rewards are credited to
    /// @param networkKey Ed25519 public key of the libp2p identity
    /// @param stake in atoms of XOM
    struct Validator {
        address hotKey;
        uint32 services;
        bool exiting;
        address payout;
        uint64 seatedEpoch;
        bytes32 networkKey;
        uint256 stake;
    }

    /// @notice A member of the genesis set; its stake is paid by `addStake`.
    /// @param owner holds the stake, and is paid
    /// @param hotKey signs votes
    /// @param services offered services
    /// @param networkKey libp2p identity
    struct GenesisValidator {
        address owner;
        address hotKey;
        uint32 services;
        bytes32 networkKey;
    }

    /// @notice Least stake of an active validator, atoms.
    uint256 public constant STAKE_MIN = 1_000 ether;
    /// @notice Least addition to a stake, atoms: the ledger reads each change.
    uint256 public constant STAKE_ADDED_MIN = 1 ether;
    /// @notice Time from the first accepted committee without an exiting validator until its stake
    /// can be taken out, seconds.
    uint64 public constant UNBONDING_SECONDS = 14 days;
    /// @notice Services that there are.
    uint32 public constant SERVICES = 7;

    bytes32 private constant HOT_KEY_TYPE_HASH =
        keccak256("HotKey(address owner,address registry,uint256 chainId)");

    /// @notice Token of the stakes.
    IERC20 public immutable token;
    /// @notice EIP-712 domain separator of the network.
    bytes32 public immutable domainSeparator;
    /// @notice Receives what is slashed, less the reporter's part.
    address public immutable insurance;

    /// @notice The vault whose committees this registry follows.
    address public settlement;
    /// @notice Changes so far; also the number of the next `ValidatorChanged`.
    uint64 public changeCount;
    /// @notice Validators that asked to leave and have not taken their stake out.
    uint256 public exitingCount;
    /// @notice Owner of a hot key. Kept after rotation and exit: a key is never used twice.
    mapping(address hotKey => address) public ownerOf;
    /// @notice Whether an equivocation (hot key, epoch, view) has been punished.
    mapping(bytes32 offence => bool) public isPunished;
    /// @notice When the vault accepted the committee of an epoch, seconds; noted only while
    /// somebody is leaving.
    mapping(uint64 epoch => uint64) public acceptedAt;

    mapping(address owner => Validator) private _validators;
    mapping(address owner => uint256) private _places;
    address[] private _owners;

    /// @notice A validator has a new record. Numbers are consecutive, from 0; all values are those
    /// after the change; a validator that has left has hot key and stake zero.
    event ValidatorChanged(
        uint64 indexed number,
        address indexed owner,
        Change indexed change,
        address hotKey,
        address payout,
        bytes32 networkKey,
        uint32 services,
        uint256 stake,
        bool exiting
    );
    /// @notice A validator was convicted of two conflicting votes.
    event Slashed(
        address indexed owner,
        address indexed hotKey,
        address indexed reporter,
        uint64 epoch,
        uint64 viewNumber,
        uint256 amount
    );
    /// @notice The registry follows the successor of its vault.
    event VaultChanged(address indexed settlement);

    /// @notice An address is zero.
    error ZeroAddress();
    /// @notice The owner is registered already.
    error AlreadyRegistered(address owner);
    /// @notice The owner is not registered.
    error NotRegistered(address owner);
    /// @notice The hot key is, or was, another registration's.
    error HotKeyTaken(address hotKey);
    /// @notice The hot key has not signed this registration.
    error HotKeyNotProven();
    /// @notice A service that does not exist.
    error UnknownService(uint32 services);
    /// @notice Less than STAKE_MIN, or an addition of less than STAKE_ADDED_MIN.
    error StakeTooSmall(uint256 amount);
    /// @notice The validator is leaving.
    error Leaving();
    /// @notice The stake cannot be taken out yet; zero if the time is not known yet.
    error StillBonded(uint64 exitAt);
    /// @notice The two votes are not by one registered key, or do not conflict.
    error NoEquivocation();
    /// @notice This offence has been punished before.
    error AlreadyPunished();
    /// @notice The caller is not the vault.
    error OnlySettlement();
    /// @notice The vault has no successor whose time has come, or that follows the same epoch.
    error NoSuccessor();

    /// @notice Registers the genesis set.
    /// @param token_ XOM
    /// @param networkId names the network
    /// @param insurance_ receives what is slashed
    /// @param settlement_ the vault, which is deployed later
    /// @param genesis first validators; each is active once its stake is paid
    constructor(
        IERC20 token_,
        bytes32 networkId,
        address insurance_,
        address settlement_,
        GenesisValidator[] memory genesis
    ) {
        if (
            address(token_) == address(0) || insurance_ == address(0) || settlement_ == address(0)
        ) revert ZeroAddress();
        token = token_;
        domainSeparator = Votes.domainSeparator(networkId);
        insurance = insurance_;
        settlement = settlement_;
        for (uint256 i = 0; i < genesis.length; ++i) {
            GenesisValidator memory one = genesis[i];
            _register(one.owner, one.hotKey, one.networkKey, one.services);
            _changed(one.owner, Change.Registered);
        }
    }

    // --- validators -------------------------------------------------------------------------

    /// @notice Joins as a validator; the caller is paid until it names another account.
    /// @param amount stake in atoms, at least STAKE_MIN, approved for this contract
    /// @param hotKey key that will sign votes
    /// @param networkKey libp2p identity
    /// @param services offered services
    /// @param proof signature by the hot key over `hotKeyDigest(caller)`
    function register(
        uint256 amount,
        address hotKey,
        bytes32 networkKey,
        uint32 services,
        bytes calldata proof
    ) external {
        if (amount < STAKE_MIN) revert StakeTooSmall(amount);
        _requireProof(hotKey, proof);
        _register(msg.sender, hotKey, networkKey, services);
        _addStake(msg.sender, amount, Change.Registered);
    }

    /// @notice Adds the caller's tokens to a validator's stake.
    /// @param owner the validator's owner
    /// @param amount atoms, at least STAKE_ADDED_MIN, approved for this contract
    function addStake(address owner, uint256 amount) external {
        if (amount < STAKE_ADDED_MIN) revert StakeTooSmall(amount);
        _addStake(owner, amount, Change.StakeAdded);
    }

    /// @notice Signs with another key from now on. The old one stays punishable.
    /// @param hotKey the new key
    /// @param proof signature by it over `hotKeyDigest(caller)`
    function changeHotKey(address hotKey, bytes calldata proof) external {
        Validator storage one = _registered(msg.sender);
        _requireProof(hotKey, proof);
        _takeHotKey(msg.sender, hotKey);
        one.hotKey = hotKey;
        _changed(msg.sender, Change.HotKey);
    }

    /// @notice Has the caller's rewards credited to another ledger account.
    /// @param payout the account
    function changePayout(address payout) external {
        if (payout == address(0)) revert ZeroAddress();
        _registered(msg.sender).payout = payout;
        _changed(msg.sender, Change.Services);
    }

    /// @notice Changes the network identity and the services of the caller's validator.
    /// @param networkKey libp2p identity
    /// @param services offered services
    function changeServices(bytes32 networkKey, uint32 services) external {
        if (services > SERVICES) revert UnknownService(services);
        Validator storage one = _registered(msg.sender);
        one.networkKey = networkKey;
        one.services = services;
        _changed(msg.sender, Change.Services);
    }

    /// @notice Asks to leave. Unbonding starts when the vault accepts a committee of a later epoch
    /// in which none of the validator's keys has a seat.
    function requestExit() external {
        Validator storage one = _registered(msg.sender);
        if (one.exiting) revert Leaving();
        one.exiting = true;
        one.seatedEpoch = IVault(settlement).epoch();
        ++exitingCount;
        _changed(msg.sender, Change.ExitRequested);
    }

    /// @notice Takes the caller's stake out after unbonding. The owner may register again.
    function withdrawStake() external {
        Validator storage one = _registered(msg.sender);
        uint64 at = exitAt(msg.sender);
        if (at == 0 || block.timestamp < at) revert StillBonded(at);
        uint256 amount = one.stake;
        totalStake -= amount;
        --exitingCount;
        delete _validators[msg.sender];
        _forgetOwner(msg.sender);
        _changed(msg.sender, Change.StakeWithdrawn);
        token.safeTransfer(msg.sender, amount);
    }

    // --- committees -------------------------------------------------------------------------

    /// @inheritdoc ICommitteeFollower
    function onCommittee(uint64 epoch, Member[] calldata members) external {
        if (msg.sender != settlement) revert OnlySettlement();
        if (exitingCount == 0) return;
        acceptedAt[epoch] = uint64(block.timestamp);
        for (uint256 i = 0; i < members.length; ++i) {
            Validator storage one = _validators[ownerOf[members[i].key]];
            if (one.exiting) one.seatedEpoch = epoch;
        }
    }

    /// @notice Follows the successor of the vault, once its time has come. Anyone may call.
    function followSettlement() external {
        address next = IVault(settlement).successor();
        if (
            next == address(0) || block.timestamp < IVault(settlement).successorAt()
                || IVault(next).epoch() < IVault(settlement).epoch()
        ) revert NoSuccessor();
        settlement = next;
        emit VaultChanged(next);
    }

    // --- punishment -------------------------------------------------------------------------

    /// @notice Punishes a validator for two votes that exclude each other. Anyone may report.
    /// @param first one vote
    /// @param firstSignature its signature, 65 bytes
    /// @param second another vote of the same epoch and view
    /// @param secondSignature its signature, 65 bytes
    function reportEquivocation(
        Votes.Vote calldata first,
        bytes calldata firstSignature,
        Votes.Vote calldata second,
        bytes calldata secondSignature
    ) external {
        if (!_isConflict(first, second)) revert NoEquivocation();
        address signer = _signer(first, firstSignature);
        address owner = ownerOf[signer];
        if (owner == address(0) || signer != _signer(second, secondSignature)) {
            revert NoEquivocation();
        }
        bytes32 offence = keccak256(abi.encode(signer, first.epoch, first.viewNumber));
        if (isPunished[offence]) revert AlreadyPunished();
        isPunished[offence] = true;
        uint256 amount = _convict(owner, _registered(owner).stake);
        _take(owner, amount);
        emit Slashed(owner, signer, msg.sender, first.epoch, first.viewNumber, amount);
    }

    /// @notice Raises the penalty of a validator convicted in a week to what it is by now, after
    /// more have been convicted. Anyone may call, and gets the reporter's part.
    /// @param owner the validator's owner
    /// @param week seconds since 1970 divided by seven days
    function raisePenalty(address owner, uint256 week) external {
        uint256 stake = _registered(owner).stake;
        uint256 amount = _raise(owner, week, stake);
        _take(owner, amount);
        emit PenaltyRaised(owner, week, msg.sender, amount);
    }

    // --- views ------------------------------------------------------------------------------

    /// @notice A registered validator.
    /// @param owner its owner
    /// @return the validator; all zero if there is none
    function validator(address owner) external view returns (Validator memory) {
        return _validators[owner];
    }

    /// @notice Owners of all registered validators.
    /// @return in no particular order
    function owners() external view returns (address[] memory) {
        return _owners;
    }

    /// @notice Whether a validator is bonded and not leaving.
    /// @param owner its owner
    /// @return true if it can be given a seat
    function isActive(address owner) external view returns (bool) {
        Validator storage one = _validators[owner];
        return !one.exiting && one.stake >= STAKE_MIN;
    }

    /// @notice When a leaving validator's stake can be taken out.
    /// @param owner its owner
    /// @return at seconds; zero if it is not leaving, or may still have a seat
    function exitAt(address owner) public view returns (uint64 at) {
        Validator storage one = _validators[owner];
        if (!one.exiting) return 0;
        uint64 since = acceptedAt[one.seatedEpoch + 1];
        // A vault that has closed follows no committee any more.
        if (since == 0 && IVault(settlement).isClosed()) since = IVault(settlement).closedAt();
        return since == 0 ? 0 : since + UNBONDING_SECONDS;
    }

    /// @notice What a hot key signs to agree to serve an owner here.
    /// @param owner the owner
    /// @return digest of `HotKey(address owner,address registry,uint256 chainId)`
    function hotKeyDigest(address owner) public view returns (bytes32 digest) {
        bytes32 structHash =
            keccak256(abi.encode(HOT_KEY_TYPE_HASH, owner, address(this), block.chainid));
        return keccak256(abi.encodePacked(hex"1901", domainSeparator, structHash));
    }

    // --- internal ---------------------------------------------------------------------------

    /// @dev Takes stake from the caller.
    function _addStake(address owner, uint256 amount, Change change) private {
        Validator storage one = _registered(owner);
        if (one.exiting) revert Leaving();
        one.stake += amount;
        totalStake += amount;
        _changed(owner, change);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @dev Takes a part of the stake and shares it between the caller and the insurance fund.
    function _take(address owner, uint256 amount) private {
        uint256 reward = amount * REPORTER_PERCENT / 100;
        _validators[owner].stake -= amount;
        totalStake -= amount;
        _changed(owner, Change.Slashed);
        token.safeTransfer(msg.sender, reward);
        token.safeTransfer(insurance, amount - reward);
    }

    /// @dev Notarize or finalize votes for different blocks of one view, or nullify and finalize.
    function _isConflict(Votes.Vote calldata first, Votes.Vote calldata second)
        private
        pure
        returns (bool)
    {
        if (first.epoch != second.epoch || first.viewNumber != second.viewNumber) return false;
        if (first.kind == second.kind) {
            return (first.kind == Votes.NOTARIZE || first.kind == Votes.FINALIZE)
                && first.blockHash != second.blockHash;
        }
        return (first.kind == Votes.NULLIFY && second.kind == Votes.FINALIZE)
            || (first.kind == Votes.FINALIZE && second.kind == Votes.NULLIFY);
    }

    /// @dev Who signed a vote; reverts on a malformed signature.
    function _signer(Votes.Vote calldata vote, bytes calldata signature)
        private
        view
        returns (address)
    {
        return ECDSA.recover(Votes.digest(domainSeparator, vote), signature);
    }

    /// @dev The hot key must have agreed to serve the caller.
    function _requireProof(address hotKey, bytes calldata proof) private view {
        if (ECDSA.recover(hotKeyDigest(msg.sender), proof) != hotKey) revert HotKeyNotProven();
    }

    /// @dev Enters a new validator without stake.
    function _register(address owner, address hotKey, bytes32 networkKey, uint32 services)
        private
    {
        if (owner == address(0) || hotKey == address(0)) revert ZeroAddress();
        if (services > SERVICES) revert UnknownService(services);
        Validator storage one = _validators[owner];
        if (one.hotKey != address(0)) revert AlreadyRegistered(owner);
        _takeHotKey(owner, hotKey);
        one.hotKey = hotKey;
        one.services = services;
        one.payout = owner;
        one.networkKey = networkKey;
        _places[owner] = _owners.length;
        _owners.push(owner);
    }

    /// @dev Binds a fresh hot key to its owner for ever.
    function _takeHotKey(address owner, address hotKey) private {
        if (ownerOf[hotKey] != address(0)) revert HotKeyTaken(hotKey);
        ownerOf[hotKey] = owner;
    }

    /// @dev A validator that must exist.
    function _registered(address owner) private view returns (Validator storage one) {
        one = _validators[owner];
        if (one.hotKey == address(0)) revert NotRegistered(owner);
    }

    /// @dev Removes an owner from the list; the last one takes its place.
    function _forgetOwner(address owner) private {
        address last = _owners[_owners.length - 1];
        uint256 place = _places[owner];
        _owners[place] = last;
        _places[last] = place;
        _owners.pop();
        delete _places[owner];
    }

    /// @dev Publishes a validator's new record.
    function _changed(address owner, Change change) private {
        Validator storage one = _validators[owner];
        emit ValidatorChanged(
            changeCount++,
            owner,
            change,
            one.hotKey,
            one.payout,
            one.networkKey,
            one.services,
            one.stake,
            one.exiting
        );
    }
}
