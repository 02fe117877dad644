// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IRewardToken, IVault} from "./Succession.sol";

/// @title OmniCoin (XOM), the token that validators stake and that bonds are in
/// @notice An ERC-20 with 18 decimals and permit (ERC-2612). The supply grows by at most 2 % of the
/// first supply a year, minted by the vault for the validators; nobody else can mint, and nobody
/// can burn another's coins, pause or upgrade.
contract OmniCoin is ERC20, ERC20Permit, IRewardToken {
    /// @notice Growth of the supply, percent of the first supply per year.
    uint256 public constant REWARD_PERCENT = 2;
    /// @notice A year, seconds.
    uint256 public constant YEAR = 365 days;

    /// @notice Supply at the start, atoms.
    uint256 public immutable firstSupply;
    /// @notice When the coin was deployed, seconds.
    uint256 public immutable startedAt;
    /// @notice The vault that may mint.
    address public minter;
    /// @notice Minted so far, atoms.
    uint256 public minted;

    /// @notice The minter's announced successor took over.
    event MinterChanged(address indexed minter);

    /// @notice The caller is not the minter.
    error OnlyMinter();
    /// @notice More than the rule allows by now.
    error TooMuch(uint256 amount, uint256 allowed);
    /// @notice The minter has no successor whose time has come.
    error NoSuccessor();

    /// @notice Creates the first supply.
    /// @param holder receives it
    /// @param supply in atoms (1 XOM = 10^18 atoms)
    /// @param minter_ the network's vault; zero for a supply that never grows
    constructor(address holder, uint256 supply, address minter_)
        ERC20("OmniCoin", "XOM")
        ERC20Permit("OmniCoin")
    {
        firstSupply = supply;
        startedAt = block.timestamp;
        minter = minter_;
        _mint(holder, supply);
    }

    /// @inheritdoc IRewardToken
    function mint(uint256 amount) external {
        if (msg.sender != minter) revert OnlyMinter();
        uint256 allowed = mintable();
        if (amount > allowed) revert TooMuch(amount, allowed);
        minted += amount;
        _mint(msg.sender, amount);
    }

    /// @notice Lets the successor of the minting vault mint instead of it, once its time has come.
    /// Anyone may call.
    function followMinter() external {
        address next = IVault(minter).successor();
        if (next == address(0) || block.timestamp < IVault(minter).successorAt()) {
            revert NoSuccessor();
        }
        minter = next;
        emit MinterChanged(next);
    }

    /// @inheritdoc IRewardToken
    function mintable() public view returns (uint256 amount) {
        uint256 elapsed = block.timestamp - startedAt;
        return firstSupply * REWARD_PERCENT * elapsed / (100 * YEAR) - minted;
    }
}
