// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Checkpoints} from "./Checkpoints.sol";
import {Money} from "./Money.sol";

/// @notice A deposit that its owner has signed and anyone may bring.
/// @param depositor whose tokens are taken; gets a refund if there is one
/// @param token ERC-20 that the depositor has approved for the vault, or approves by permit
/// @param amount atoms taken from the depositor
/// @param fee part of them that goes to whoever brings the order
/// @param beneficiary who is credited with the rest
/// @param nonce any number; equal orders need different ones
/// @param deadline last second at which it can be brought
struct DepositOrder {
    address depositor;
    address token;
    uint256 amount;
    uint256 fee;
    address beneficiary;
    uint256 nonce;
    uint256 deadline;
}

/// @notice An ERC-2612 permit of the depositor for the vault. A zero `v` stands for none.
/// @param value allowance in atoms
/// @param deadline last second at which it counts
/// @param v part of the signature
/// @param r part of the signature
/// @param s part of the signature
struct Permit {
    uint256 value;
    uint256 deadline;
    uint8 v;
    bytes32 r;
    bytes32 s;
}

/// @notice A deposit as the vault remembers it, by its hash.
/// @param id its number, from 0
/// @param token what was deposited
/// @param depositor who gets a refund
/// @param beneficiary who is credited on the ledger
/// @param amount atoms that arrived
struct DepositRecord {
    uint256 id;
    address token;
    address depositor;
    address beneficiary;
    uint256 amount;
}

/// @title Deposits
/// @notice Takes listed tokens and credits what arrives, under consecutive numbers. The ledger
/// credits each number once; a number that it never credits is refunded by the escape.
abstract contract Deposits is Checkpoints {
    /// @notice Largest single deposit, atoms.
    uint256 public constant DEPOSIT_MAX = type(uint128).max;
    /// @notice Type of the order that a depositor signs, in the network's domain.
    bytes32 public constant DEPOSIT_TYPE_HASH = keccak256(
        "DepositOrder(address depositor,address token,uint256 amount,uint256 fee,address beneficiary,uint256 nonce,uint256 deadline,uint256 chainId,address vault)"
    );

    /// @notice Whether the committee has stopped deposits.
    bool public depositsPaused;
    /// @notice Deposits received so far; also the id of the next one.
    uint256 public depositCount;
    /// @notice keccak of (id, token, depositor, beneficiary, amount) of each deposit; zero once it
    /// was refunded.
    mapping(uint256 id => bytes32) public depositHash;
    /// @notice Whether a signed order has been carried out.
    mapping(bytes32 digest => bool) public isOrderDone;

    /// @notice Tokens were deposited; the ledger credits the beneficiary.
    event Deposited(
        uint256 indexed id,
        address indexed token,
        address indexed beneficiary,
        address depositor,
        uint256 amount
    );
    /// @notice Tokens came in that back the ledger's credit without being anybody's deposit.
    event Funded(address indexed token, address indexed from, uint256 amount);
    /// @notice Whoever brought a signed order was paid for it.
    event DepositFeePaid(uint256 indexed id, address indexed relayer, uint256 fee);

    /// @notice The amount is zero or above DEPOSIT_MAX, or the fee takes all of it.
    error BadAmount(uint256 amount);
    /// @notice No deposits now: they are paused, the vault moves to its successor, or checkpoints
    /// have stopped coming.
    error DepositsClosed();
    /// @notice The deadline of an order has passed.
    error OrderExpired(uint256 deadline);
    /// @notice The order is not signed by its depositor.
    error OrderNotSigned();
    /// @notice The order has been carried out before.
    error OrderDone();

    /// @notice Deposits tokens for the caller.
    /// @param token a listed token, approved for this contract
    /// @param amount atoms
    /// @return id number of the deposit
    function deposit(address token, uint256 amount) external returns (uint256 id) {
        return depositFor(token, amount, msg.sender);
    }

    /// @notice Deposits the caller's tokens for another account.
    /// @param token a listed token, approved for this contract
    /// @param amount atoms; what arrives of them is credited
    /// @param beneficiary who is credited on the ledger
    /// @return id number of the deposit
    function depositFor(address token, uint256 amount, address beneficiary)
        public
        nonReentrant
        returns (uint256 id)
    {
        _requireDeposit(token, amount, beneficiary);
        uint256 received = Money.pull(token, msg.sender, amount);
        return _record(token, msg.sender, beneficiary, received);
    }

    /// @notice Deposits the chain's own coin, if it is listed.
    /// @param beneficiary who is credited on the ledger
    /// @return id number of the deposit
    function depositNative(address beneficiary)
        external
        payable
        nonReentrant
        returns (uint256 id)
    {
        _requireDeposit(Money.NATIVE, msg.value, beneficiary);
        return _record(Money.NATIVE, msg.sender, beneficiary, msg.value);
    }

    /// @notice Deposits the caller's tokens with an ERC-2612 permit instead of an approval.
    /// @param token a listed token with permit
    /// @param amount atoms; what arrives of them is credited
    /// @param beneficiary who is credited on the ledger
    /// @param permit the caller's permit for this contract
    /// @return id number of the deposit
    function depositWithPermit(
        address token,
        uint256 amount,
        address beneficiary,
        Permit calldata permit
    ) external returns (uint256 id) {
        _permit(token, msg.sender, permit);
        return depositFor(token, amount, beneficiary);
    }

    /// @notice Carries out a deposit that its depositor signed; the caller gets the fee. Nothing of
    /// the order can be altered, and it is carried out once.
    /// @param order what was signed
    /// @param signature 65 bytes over `depositDigest(order)`
    /// @param permit allowance for this contract, if there is none yet
    /// @return id number of the deposit
    function depositBySignature(
        DepositOrder calldata order,
        bytes calldata signature,
        Permit calldata permit
    ) external nonReentrant returns (uint256 id) {
        _requireDeposit(order.token, order.amount, order.beneficiary);
        _takeOrder(order, signature);
        _permit(order.token, order.depositor, permit);
        uint256 received = Money.pull(order.token, order.depositor, order.amount);
        if (received <= order.fee) revert BadAmount(received);
        id = _record(order.token, order.depositor, order.beneficiary, received - order.fee);
        if (order.fee == 0) return id;
        emit DepositFeePaid(id, msg.sender, order.fee);
        Money.send(order.token, msg.sender, order.fee);
    }

    /// @notice Adds tokens that back the ledger's credit without being anybody's deposit: what a
    /// vault hands over to its successor, or a gift.
    /// @param token one that was ever listed, approved for this contract; or the marker of the
    /// chain's coin. What backs balances is taken even if deposits have stopped.
    /// @param amount atoms; for the coin, exactly what is sent along
    function fund(address token, uint256 amount) external payable nonReentrant {
        if (!_accounts[token].known) revert UnlistedToken(token);
        bool isNative = token == Money.NATIVE;
        if (amount == 0 || amount > DEPOSIT_MAX || msg.value != (isNative ? amount : 0)) {
            revert BadAmount(amount);
        }
        uint256 received = isNative ? amount : Money.pull(token, msg.sender, amount);
        _accounts[token].deposited += received;
        emit Funded(token, msg.sender, received);
    }

    /// @notice What the depositor of an order signs.
    /// @param order the order
    /// @return digest in the network's domain; chain and vault are part of it
    function depositDigest(DepositOrder calldata order) public view returns (bytes32 digest) {
        bytes32 structHash =
            keccak256(abi.encode(DEPOSIT_TYPE_HASH, order, block.chainid, address(this)));
        return keccak256(abi.encodePacked(hex"1901", domainSeparator, structHash));
    }

    /// @dev Whether the vault is about to move to another one.
    function _isLeaving() internal view virtual returns (bool);

    /// @dev Books a deposit that has arrived.
    function _record(address token, address depositor, address beneficiary, uint256 amount)
        internal
        returns (uint256 id)
    {
        id = depositCount++;
        _accounts[token].deposited += amount;
        depositHash[id] =
            _hashDeposit(DepositRecord(id, token, depositor, beneficiary, amount));
        emit Deposited(id, token, beneficiary, depositor, amount);
    }

    /// @dev What is remembered of a deposit.
    function _hashDeposit(DepositRecord memory record) internal pure returns (bytes32) {
        return keccak256(abi.encode(record));
    }

    /// @dev Whether a deposit may be taken.
    function _requireDeposit(address token, uint256 amount, address beneficiary) private view {
        if (!_accounts[token].listed) revert UnlistedToken(token);
        if (amount == 0 || amount > DEPOSIT_MAX) revert BadAmount(amount);
        if (beneficiary == address(0)) revert ZeroAddress();
        bool silent = block.timestamp >= lastAcceptedAt() + ESCAPE_AFTER;
        if (depositsPaused || silent || _isLeaving()) revert DepositsClosed();
    }

    /// @dev Checks who signed an order, and that it is not carried out again.
    function _takeOrder(DepositOrder calldata order, bytes calldata signature) private {
        if (block.timestamp > order.deadline) revert OrderExpired(order.deadline);
        bytes32 digest = depositDigest(order);
        if (isOrderDone[digest]) revert OrderDone();
        isOrderDone[digest] = true;
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecover(digest, signature);
        if (problem != ECDSA.RecoverError.NoError || signer != order.depositor) {
            revert OrderNotSigned();
        }
    }

    /// @dev Somebody may have used the permit already; then the allowance is there, or the transfer
    /// fails.
    function _permit(address token, address owner, Permit calldata permit) private {
        if (permit.v == 0) return;
        try IERC20Permit(token).permit(
            owner, address(this), permit.value, permit.deadline, permit.v, permit.r, permit.s
        ) {} catch {}
    }
}
