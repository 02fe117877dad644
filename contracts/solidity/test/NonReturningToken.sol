// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @title A token whose transfers return nothing, as some old and widely held ones do
contract NonReturningToken {
    /// @notice Digits after the point.
    uint8 public constant decimals = 6;
    /// @notice Atoms of an account.
    mapping(address => uint256) public balanceOf;
    /// @notice Atoms that a spender may move for an owner.
    mapping(address => mapping(address => uint256)) public allowance;

    /// @notice Makes tokens out of nothing.
    /// @param to who gets them
    /// @param amount atoms
    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    /// @notice Lets a spender move the caller's tokens.
    /// @param spender who may
    /// @param amount atoms
    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    /// @notice Moves the caller's tokens.
    /// @param to receiver
    /// @param amount atoms
    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    /// @notice Moves an owner's tokens.
    /// @param from owner
    /// @param to receiver
    /// @param amount atoms
    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}
