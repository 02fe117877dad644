// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Votes} from "./Votes.sol";

/// @title Registry and stake of validators
/// @notice A validator is an owner (holds the stake), a hot key (signs votes), a network key
/// (proves the libp2p identity) and a set of services. Its stake is at least 1,000 XOM. There is no
/// admin: stake leaves only to its owner after unbonding, or by proof of two conflicting votes.
contract ValidatorRegistry {
    using SafeERC20 for IERC20;

    /// @notice A validator as registered.
    /// @param hotKey address of the key that signs votes
    /// @param services bit mask: 1 trading, 2 chat, 4 storage
    /// @param exitAt when the stake can be taken out, seconds; zero while it serves
    /// @param networkKey Ed25519 public key of the libp2p identity
    /// @param stake in atoms of XOM
    struct Validator {
        address hotKey;
        uint32 services;
        uint64 exitAt;
        bytes32 networkKey;
        uint256 stake;
    }

    /// @notice A member of the genesis set; its stake is paid by `addStake`.
    /// @param owner holds the stake
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
    /// @notice Time from the request to leave until the stake can be taken out.
    uint64 public constant UNBONDING_SECONDS = 14 days;
    /// @notice Part of the stake that a proven equivocation costs, percent.
    uint256 public constant SLASH_PERCENT = 5;
    /// @notice Part of what is slashed that the reporter gets, percent.
    uint256 public constant REPORTER_PERCENT = 10;

    bytes32 private constant HOT_KEY_TYPE_HASH =
        keccak256("HotKey(address owner,address registry,uint256 chainId)");

    /// @notice Token of the stakes.
    IERC20 public immutable token;
    /// @notice EIP-712 domain separator of the network.
    bytes32 public immutable domainSeparator;
    /// @notice Receives what is slashed, less the reporter's part.
    address public immutable insurance;

    /// @notice Owner of a hot key. Kept after rotation and exit: a key is never used twice.
    mapping(address hotKey => address) public ownerOf;
    /// @notice Whether an equivocation (hot key, epoch, view) has been punished.
    mapping(bytes32 offence => bool) public isPunished;

    mapping(address owner => Validator) private _validators;
    address[] private _owners;

    /// @notice A validator joined.
    event Registered(
        address indexed owner, address indexed hotKey, bytes32 networkKey, uint32 services
    );
    /// @notice Stake was added.
    event StakeAdded(address indexed owner, address indexed from, uint256 amount, uint256 stake);
    /// @notice A validator signs with another key from now on.
    event HotKeyChanged(address indexed owner, address indexed hotKey);
    /// @notice A validator offers other services or has another network identity.
    event ServicesChanged(address indexed owner, bytes32 networkKey, uint32 services);
    /// @notice A validator asked to leave.
    event ExitRequested(address indexed owner, uint64 exitAt);
    /// @notice A validator took its stake out.
    event StakeWithdrawn(address indexed owner, uint256 amount);
    /// @notice A validator was punished for two conflicting votes.
    event Slashed(
        address indexed owner,
        address indexed hotKey,
        address indexed reporter,
        uint64 epoch,
        uint64 viewNumber,
        uint256 amount
    );

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
    /// @notice Less than STAKE_MIN.
    error StakeTooSmall(uint256 amount);
    /// @notice The validator is leaving.
    error Leaving(uint64 exitAt);
    /// @notice The stake cannot be taken out yet.
    error StillBonded(uint64 exitAt);
    /// @notice The two votes are not by one registered key, or do not conflict.
    error NoEquivocation();
    /// @notice This offence has been punished before.
    error AlreadyPunished();

    /// @notice Registers the genesis set.
    /// @param token_ XOM
    /// @param networkId names the network
    /// @param insurance_ receives what is slashed
    /// @param genesis first validators; each is active once its stake is paid
    constructor(
        IERC20 token_,
        bytes32 networkId,
        address insurance_,
        GenesisValidator[] memory genesis
    ) {
        if (address(token_) == address(0) || insurance_ == address(0)) revert ZeroAddress();
        token = token_;
        domainSeparator = Votes.domainSeparator(networkId);
        insurance = insurance_;
        for (uint256 i = 0; i < genesis.length; ++i) {
            GenesisValidator memory one = genesis[i];
            _register(one.owner, one.hotKey, one.networkKey, one.services);
        }
    }

    /// @notice Joins as a validator.
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
        addStake(msg.sender, amount);
    }

    /// @notice Adds the caller's tokens to a validator's stake.
    /// @param owner the validator's owner
    /// @param amount atoms, approved for this contract
    function addStake(address owner, uint256 amount) public {
        Validator storage one = _registered(owner);
        if (one.exitAt != 0) revert Leaving(one.exitAt);
        one.stake += amount;
        emit StakeAdded(owner, msg.sender, amount, one.stake);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Signs with another key from now on. The old one stays punishable.
    /// @param hotKey the new key
    /// @param proof signature by it over `hotKeyDigest(caller)`
    function changeHotKey(address hotKey, bytes calldata proof) external {
        Validator storage one = _registered(msg.sender);
        _requireProof(hotKey, proof);
        _takeHotKey(msg.sender, hotKey);
        one.hotKey = hotKey;
        emit HotKeyChanged(msg.sender, hotKey);
    }

    /// @notice Changes the network identity and the services of the caller's validator.
    /// @param networkKey libp2p identity
    /// @param services offered services
    function changeServices(bytes32 networkKey, uint32 services) external {
        Validator storage one = _registered(msg.sender);
        one.networkKey = networkKey;
        one.services = services;
        emit ServicesChanged(msg.sender, networkKey, services);
    }

    /// @notice Asks to leave; unbonding starts.
    function requestExit() external {
        Validator storage one = _registered(msg.sender);
        if (one.exitAt != 0) revert Leaving(one.exitAt);
        one.exitAt = uint64(block.timestamp) + UNBONDING_SECONDS;
        emit ExitRequested(msg.sender, one.exitAt);
    }

    /// @notice Takes the caller's stake out after unbonding. The owner may register again.
    function withdrawStake() external {
        Validator storage one = _registered(msg.sender);
        if (one.exitAt == 0 || block.timestamp < one.exitAt) revert StillBonded(one.exitAt);
        uint256 amount = one.stake;
        delete _validators[msg.sender];
        _forgetOwner(msg.sender);
        emit StakeWithdrawn(msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

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
        uint256 amount = _slash(owner);
        emit Slashed(owner, signer, msg.sender, first.epoch, first.viewNumber, amount);
    }

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
        return one.exitAt == 0 && one.stake >= STAKE_MIN;
    }

    /// @notice What a hot key signs to agree to serve an owner here.
    /// @param owner the owner
    /// @return digest of `HotKey(address owner,address registry,uint256 chainId)`
    function hotKeyDigest(address owner) public view returns (bytes32 digest) {
        bytes32 structHash =
            keccak256(abi.encode(HOT_KEY_TYPE_HASH, owner, address(this), block.chainid));
        return keccak256(abi.encodePacked(hex"1901", domainSeparator, structHash));
    }

    /// @dev Takes a part of the stake and shares it between the caller and the insurance fund.
    function _slash(address owner) private returns (uint256 amount) {
        Validator storage one = _registered(owner);
        amount = one.stake * SLASH_PERCENT / 100;
        uint256 reward = amount * REPORTER_PERCENT / 100;
        one.stake -= amount;
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
        if (_validators[owner].hotKey != address(0)) revert AlreadyRegistered(owner);
        _takeHotKey(owner, hotKey);
        _validators[owner] = Validator(hotKey, services, 0, networkKey, 0);
        _owners.push(owner);
        emit Registered(owner, hotKey, networkKey, services);
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
        uint256 last = _owners.length - 1;
        for (uint256 i = 0; i <= last; ++i) {
            if (_owners[i] != owner) continue;
            _owners[i] = _owners[last];
            _owners.pop();
            return;
        }
    }
}
