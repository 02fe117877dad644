// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {
    IPrivateERC20
} from "@coti-io/coti-contracts/contracts/token/PrivateERC20/IPrivateERC20.sol";
import {
    MpcCore,
    ctUint64,
    gtBool,
    gtUint64,
    itUint64
} from "@coti-io/coti-contracts/contracts/utils/mpc/MpcCore.sol";
import {DepositRecord} from "../solidity/Deposits.sol";
import {StateWords, VaultCursor} from "../solidity/LedgerProof.sol";

/// @title A vault, as far as the door of a private token looks at it
interface ISettlement {
    /// @notice What pays the treasuries their shares.
    /// @return account the distributor
    function distributor() external view returns (address account);

    /// @notice The vault that takes over.
    /// @return vault zero if none is announced
    function successor() external view returns (address vault);

    /// @notice When it takes over.
    /// @return at seconds; zero if none is announced
    function successorAt() external view returns (uint64 at);

    /// @notice Deposits for another account.
    /// @param token a listed token
    /// @param amount atoms
    /// @param beneficiary who is credited
    /// @return id number of the deposit
    function depositFor(address token, uint256 amount, address beneficiary)
        external
        returns (uint256 id);

    /// @notice Gives an uncredited deposit back when the vault has closed.
    /// @param words of the last state root
    /// @param cursors deposits credited per vault
    /// @param record the deposit
    /// @param to whom the depositor names
    function refund(
        StateWords calldata words,
        VaultCursor[] calldata cursors,
        DepositRecord calldata record,
        address to
    ) external;
}

/// @title The door of a private token to the vault
/// @notice Holds private tokens and shows the vault a plain ERC-20 for each of them, a receipt that
/// only the vault, its distributor and their successors hold. A deposit takes private tokens and
/// puts receipts into the vault; whatever the vault pays to anybody else arrives as private tokens.
/// So checkpoints, proofs, escape and migration are those of every other token, and nobody can take
/// anything here but by them. There is no owner and no admin key.
/// @dev Amounts become public when they come in and go out; what the owner has before and after
/// does not. Tokens are refused that move without an allowance or mint by a transfer to oneself.
contract ConfidentialVault is IERC20, ReentrancyGuard {
    /// @notice The private token.
    IPrivateERC20 public immutable token;
    /// @notice The vault that deposits go to.
    ISettlement public vault;
    /// @notice Name of the receipts.
    string public name;
    /// @notice Symbol of the receipts.
    string public symbol;
    /// @notice Digits after the point, as the private token's.
    uint8 public immutable decimals;
    /// @notice Receipts in existence, atoms; as many private tokens are held for them.
    uint256 public totalSupply;
    /// @notice Receipts of a holder, atoms.
    mapping(address holder => uint256 atoms) public balanceOf;
    /// @notice What a holder lets another one take, atoms.
    mapping(address holder => mapping(address spender => uint256 atoms)) public allowance;
    /// @notice Who may hold receipts; everybody else is paid in private tokens.
    mapping(address account => bool holds) public isHolder;
    /// @notice Whose deposit it was, for a refund.
    mapping(address atVault => mapping(uint256 id => address depositor)) public depositorOf;
    /// @dev Inputs that were used, by sender and ciphertext.
    mapping(bytes32 input => bool) private _isUsed;

    /// @notice Private tokens came in for a deposit.
    event Entered(address indexed depositor, uint256 indexed id, uint256 amount);
    /// @notice Private tokens were paid.
    event Left(address indexed to, uint256 amount);
    /// @notice A vault and its distributor may hold receipts from now on; deposits go there.
    event VaultFollowed(address indexed vault);

    /// @notice An address is zero.
    error ZeroAddress();
    /// @notice The token lets anybody move anybody's tokens.
    error IgnoresAllowances();
    /// @notice The token makes new tokens by a transfer to oneself.
    error InflatesOnSelfTransfer();
    /// @notice Deposits come from the wallet that encrypted the amount, without a contract between.
    error OnlyWallets();
    /// @notice This encrypted input was used before.
    error InputUsed();
    /// @notice Nothing was to be moved.
    error NothingMoved();
    /// @notice The private token did not move exactly what it was told to.
    error WrongTransfer(uint256 moved, uint256 expected);
    /// @notice There are fewer private tokens here than receipts: somebody took some.
    error Shortfall(uint256 held, uint256 owed);
    /// @notice The holder has not so many receipts.
    error TooFewReceipts(address holder, uint256 has, uint256 needed);
    /// @notice The spender may not take so many receipts.
    error NotAllowed(address spender, uint256 allowed, uint256 needed);
    /// @notice Payments do not come back to this contract.
    error PaidToItself();
    /// @notice The vault has no successor whose time has come.
    error NoSuccessor();
    /// @notice The deposit is not one that came in here.
    error UnknownDeposit(uint256 id);

    /// @notice Opens the door of a token, after a look at how the token behaves.
    /// @dev The deployer owns at least one atom and has approved exactly one for this contract's
    /// address, which follows from its nonce. It gets the atom back.
    /// @param token_ the private token
    /// @param vault_ the vault, which lists this contract's address
    /// @param name_ name of the receipts
    /// @param symbol_ symbol of the receipts
    /// @param decimals_ digits after the point of the private token
    constructor(
        IPrivateERC20 token_,
        ISettlement vault_,
        string memory name_,
        string memory symbol_,
        uint8 decimals_
    ) {
        if (address(token_) == address(0)) revert ZeroAddress();
        token = token_;
        name = name_;
        symbol = symbol_;
        decimals = decimals_;
        _probe(token_);
        _follow(vault_);
    }

    /// @notice Deposits private tokens into the vault.
    /// @param amount encrypted and signed by the caller for this function; used once. The token is
    /// approved for at least as much.
    /// @param beneficiary who is credited on the ledger
    /// @return id number of the deposit in the vault
    function deposit(itUint64 calldata amount, address beneficiary)
        external
        nonReentrant
        returns (uint256 id)
    {
        // Inputs are bound to the transaction's sender: a contract in between could use an old one.
        // solhint-disable-next-line avoid-tx-origin
        if (msg.sender != tx.origin) revert OnlyWallets();
        bytes32 input = keccak256(abi.encode(msg.sender, ctUint64.unwrap(amount.ciphertext)));
        if (_isUsed[input]) revert InputUsed();
        _isUsed[input] = true;
        uint64 atoms = MpcCore.decrypt(MpcCore.validateCiphertext(amount));
        if (atoms == 0) revert NothingMoved();
        _pull(atoms);
        totalSupply += atoms;
        balanceOf[address(this)] += atoms;
        emit Transfer(address(0), address(this), atoms);
        _approve(address(this), address(vault), atoms);
        id = vault.depositFor(address(this), atoms, beneficiary);
        depositorOf[address(vault)][id] = msg.sender;
        emit Entered(msg.sender, id, atoms);
    }

    /// @notice Gives a deposit that a closed vault never credited back to whoever made it. Anyone
    /// may call.
    /// @param at the vault that the deposit went to
    /// @param words of its last state root
    /// @param cursors deposits credited per vault
    /// @param record the deposit
    function refund(
        ISettlement at,
        StateWords calldata words,
        VaultCursor[] calldata cursors,
        DepositRecord calldata record
    ) external {
        address depositor = depositorOf[address(at)][record.id];
        if (depositor == address(0)) revert UnknownDeposit(record.id);
        at.refund(words, cursors, record, depositor);
    }

    /// @notice Sends deposits to the vault's successor, once its time has come, and lets it hold
    /// receipts. Anyone may call.
    function followVault() external {
        address next = vault.successor();
        if (next == address(0) || block.timestamp < vault.successorAt()) revert NoSuccessor();
        _follow(ISettlement(next));
    }

    /// @inheritdoc IERC20
    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    /// @inheritdoc IERC20
    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed < amount) revert NotAllowed(msg.sender, allowed, amount);
        if (allowed != type(uint256).max) allowance[from][msg.sender] = allowed - amount;
        _move(from, to, amount);
        return true;
    }

    /// @inheritdoc IERC20
    function approve(address spender, uint256 amount) external returns (bool) {
        _approve(msg.sender, spender, amount);
        return true;
    }

    /// @dev Moves receipts between holders; pays everybody else in private tokens.
    function _move(address from, address to, uint256 amount) private {
        if (to == address(0)) revert ZeroAddress();
        if (to == address(this)) revert PaidToItself();
        uint256 has = balanceOf[from];
        if (has < amount) revert TooFewReceipts(from, has, amount);
        balanceOf[from] = has - amount;
        if (isHolder[to]) {
            balanceOf[to] += amount;
            emit Transfer(from, to, amount);
            return;
        }
        totalSupply -= amount;
        emit Transfer(from, address(0), amount);
        emit Left(to, amount);
        if (amount != 0) _push(to, uint64(amount));
    }

    /// @dev Takes the caller's private tokens; nothing but their arrival counts.
    function _pull(uint64 atoms) private {
        uint256 before = _held();
        if (before < totalSupply) revert Shortfall(before, totalSupply);
        gtUint64 value = MpcCore.setPublic64(atoms);
        gtBool done = token.transferFrom(msg.sender, address(this), value);
        uint256 arrived = _held();
        uint256 moved = arrived < before ? 0 : arrived - before;
        if (!MpcCore.decrypt(done) || moved != atoms) revert WrongTransfer(moved, atoms);
    }

    /// @dev Pays private tokens, all or nothing.
    function _push(address to, uint64 atoms) private {
        uint256 before = _held();
        gtBool done = token.transfer(to, MpcCore.setPublic64(atoms));
        uint256 left = _held();
        uint256 moved = left > before ? 0 : before - left;
        if (!MpcCore.decrypt(done) || moved != atoms) revert WrongTransfer(moved, atoms);
    }

    /// @dev Private tokens here. It tells nothing: they are the receipts and what was given away.
    function _held() private returns (uint256 atoms) {
        return MpcCore.decrypt(token.balanceOf());
    }

    /// @dev Lets a vault and its distributor hold receipts.
    function _follow(ISettlement next) private {
        vault = next;
        isHolder[address(next)] = true;
        isHolder[next.distributor()] = true;
        emit VaultFollowed(address(next));
    }

    /// @dev Sets what a spender may take.
    function _approve(address holder, address spender, uint256 amount) private {
        allowance[holder][spender] = amount;
        emit Approval(holder, spender, amount);
    }

    /// @dev Takes the approved atom, sends it to itself, gives it back and takes it again: neither
    /// the second nor the last may work.
    function _probe(IPrivateERC20 candidate) private {
        if (!_take(candidate)) revert NothingMoved();
        try candidate.transfer(address(this), MpcCore.setPublic64(1)) returns (gtBool) {} catch {}
        if (MpcCore.decrypt(candidate.balanceOf()) != 1) revert InflatesOnSelfTransfer();
        if (!MpcCore.decrypt(candidate.transfer(msg.sender, MpcCore.setPublic64(1)))) {
            revert NothingMoved();
        }
        if (_take(candidate)) revert IgnoresAllowances();
    }

    /// @dev Tries to take an atom of the deployer's.
    function _take(IPrivateERC20 candidate) private returns (bool taken) {
        try candidate.transferFrom(msg.sender, address(this), MpcCore.setPublic64(1)) returns (
            gtBool done
        ) {
            return MpcCore.decrypt(done);
        } catch {
            return false;
        }
    }
}
