// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Deposits} from "./Deposits.sol";
import {Certificate, Finality, Member} from "./Finality.sol";

/// @notice Something that the committee decides about the vault.
/// @param epoch the committee's epoch, which the vault must follow
/// @param nonce number of decisions carried out before
/// @param validUntil last second at which it can be carried out
/// @param kind 1 pause, 2 listing, 3 announcement of a successor
/// @param subject the token, or the successor
/// @param value on or off
struct Decision {
    uint64 epoch;
    uint64 nonce;
    uint64 validUntil;
    uint8 kind;
    address subject;
    uint256 value;
}

/// @title What the committee decides about the vault
/// @notice More than two thirds of the current committee's weight sign a decision with their hot
/// keys; anyone may bring it, once. A decision can stop and start deposits, list and delist tokens,
/// and announce a successor. It cannot stop checkpoints, withdrawals, refunds or escapes, and it
/// cannot pay anybody.
abstract contract Governance is Deposits {
    /// @notice Time between the announcement of a successor and the first hand-over, seconds.
    uint64 public constant MIGRATION_NOTICE = 14 days;
    /// @notice Stops deposits (value 1) or starts them again (value 0).
    uint8 public constant PAUSE = 1;
    /// @notice Starts (value 1) or stops (value 0) taking the token `subject`.
    uint8 public constant LIST = 2;
    /// @notice Announces the vault `subject` as successor; zero calls it off.
    uint8 public constant ANNOUNCE = 3;
    /// @notice Type of a decision, in the network's domain.
    bytes32 public constant DECISION_TYPE_HASH = keccak256(
        "Decision(uint64 epoch,uint64 nonce,uint64 validUntil,uint8 kind,address subject,uint256 value,uint256 chainId,address vault)"
    );

    /// @notice The vault that takes over; zero if none is announced.
    address public successor;
    /// @notice When it takes over, seconds; zero if none is announced.
    uint64 public successorAt;
    /// @notice End of the latest notice of each vault that was ever announced as successor, seconds.
    /// It stays when the announcement is called off: the ledger may have moved there already.
    mapping(address vault => uint64) public noticeOf;
    /// @notice Decisions carried out so far; also the nonce of the next one.
    uint64 public decisionCount;

    /// @notice A decision was carried out.
    event Decided(
        uint64 indexed nonce, uint8 indexed kind, address indexed subject, uint256 value
    );

    /// @notice The decision is of another epoch's committee.
    error WrongDecisionEpoch(uint64 stated, uint64 current);
    /// @notice The decision was carried out before, or is not the next one.
    error WrongNonce(uint64 stated, uint64 next);
    /// @notice The decision can no longer be carried out.
    error DecisionExpired(uint64 validUntil);
    /// @notice There is no such kind of decision, or its value means nothing.
    error BadDecision();
    /// @notice The successor is this vault or no contract.
    error BadSuccessor(address vault);

    /// @notice Carries out what the committee has decided. Anyone may call.
    /// @param decision what was signed
    /// @param certificate signatures over `decisionDigest(decision)`
    /// @param members the committee that the vault follows
    function decide(
        Decision calldata decision,
        Certificate calldata certificate,
        Member[] calldata members
    ) external nonReentrant {
        _requireCurrent();
        if (decision.epoch != epoch) revert WrongDecisionEpoch(decision.epoch, epoch);
        if (decision.nonce != decisionCount) revert WrongNonce(decision.nonce, decisionCount);
        if (block.timestamp > decision.validUntil) revert DecisionExpired(decision.validUntil);
        Finality.requireQuorum(decisionDigest(decision), committeeHash, certificate, members);
        ++decisionCount;
        emit Decided(decision.nonce, decision.kind, decision.subject, decision.value);
        _carryOut(decision);
    }

    /// @notice What the committee's members sign.
    /// @param decision the decision
    /// @return digest in the network's domain; chain and vault are part of it
    function decisionDigest(Decision calldata decision) public view returns (bytes32 digest) {
        bytes32 structHash =
            keccak256(abi.encode(DECISION_TYPE_HASH, decision, block.chainid, address(this)));
        return keccak256(abi.encodePacked(hex"1901", domainSeparator, structHash));
    }

    /// @dev Whom checkpoints are asked about.
    function _noticeOf(address vault) internal view override returns (uint64 end) {
        return noticeOf[vault];
    }

    /// @dev Deposits stop with the announcement.
    function _isLeaving() internal view override returns (bool) {
        return successor != address(0);
    }

    /// @dev One of the three kinds.
    function _carryOut(Decision calldata decision) private {
        if (decision.kind == ANNOUNCE && decision.value == 0) {
            _announce(decision.subject);
        } else if (decision.kind == LIST && decision.value < 2) {
            _list(decision.subject, decision.value == 1);
        } else if (decision.kind == PAUSE && decision.value < 2) {
            depositsPaused = decision.value == 1;
        } else {
            revert BadDecision();
        }
    }

    /// @dev Each announcement starts the notice anew.
    function _announce(address vault) private {
        if (vault == address(this) || (vault != address(0) && vault.code.length == 0)) {
            revert BadSuccessor(vault);
        }
        successor = vault;
        if (vault == address(0)) {
            successorAt = 0;
        } else {
            successorAt = uint64(block.timestamp) + MIGRATION_NOTICE;
            noticeOf[vault] = successorAt;
        }
    }
}
