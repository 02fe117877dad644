// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @title What an equivocation costs
/// @notice 5 % of the stake for each offence, and more if others are convicted at about the same
/// time: a lone fault is an accident, many together are an attack. The second part is the share of
/// all stake that the *others* convicted in the same week, or the one before or after, have; times
/// three, so that a third of the stake costs everything. It is taken as far as it is known at the
/// conviction, and raised later as others follow.
abstract contract Penalties {
    /// @notice Part of the stake that one proven equivocation costs, percent.
    uint256 public constant SLASH_PERCENT = 5;
    /// @notice Part of what is slashed that the reporter gets, percent.
    uint256 public constant REPORTER_PERCENT = 10;
    /// @notice The others' share of all stake counts this many times.
    uint256 public constant CORRELATION = 3;

    /// @notice What a validator convicted in a week had and has paid for others' offences.
    /// @param stake at its first conviction of the week, atoms
    /// @param paid by the second part of the penalty, atoms
    struct Conviction {
        uint256 stake;
        uint256 paid;
    }

    /// @notice All stakes together, atoms.
    uint256 public totalStake;
    /// @notice Stake convicted in a week, atoms.
    mapping(uint256 week => uint256) public convictedStake;
    /// @notice Greatest `totalStake` seen at a conviction of the week, atoms.
    mapping(uint256 week => uint256) public stakeOfWeek;

    mapping(uint256 week => mapping(address owner => Conviction)) private _convictions;

    /// @notice Others were convicted at about the same time: the penalty rose.
    event PenaltyRaised(
        address indexed owner, uint256 indexed week, address indexed reporter, uint256 amount
    );

    /// @notice The validator was not convicted in this week.
    error NotConvicted(address owner, uint256 week);
    /// @notice The penalty is what it has to be.
    error NothingToRaise();

    /// @notice A conviction.
    /// @param owner the validator's owner
    /// @param week seconds since 1970 divided by seven days
    /// @return what it had and has paid; all zero if it was not convicted then
    function conviction(address owner, uint256 week) external view returns (Conviction memory) {
        return _convictions[week][owner];
    }

    /// @dev Books a conviction now and returns what it costs out of `stake`.
    function _convict(address owner, uint256 stake) internal returns (uint256 amount) {
        uint256 week = block.timestamp / 1 weeks;
        Conviction storage one = _convictions[week][owner];
        if (one.stake == 0) {
            one.stake = stake;
            convictedStake[week] += stake;
            if (totalStake > stakeOfWeek[week]) stakeOfWeek[week] = totalStake;
        }
        amount = stake * SLASH_PERCENT / 100;
        amount += _takeCorrelated(one, owner, week, stake - amount);
    }

    /// @dev Returns what is still to be paid for others' offences, out of `stake`.
    function _raise(address owner, uint256 week, uint256 stake) internal returns (uint256 amount) {
        Conviction storage one = _convictions[week][owner];
        if (one.stake == 0) revert NotConvicted(owner, week);
        amount = _takeCorrelated(one, owner, week, stake);
        if (amount == 0) revert NothingToRaise();
    }

    /// @dev What is due less what was paid, as far as there is stake.
    function _takeCorrelated(Conviction storage one, address owner, uint256 week, uint256 stake)
        private
        returns (uint256 amount)
    {
        uint256 due = _correlated(one.stake, owner, week);
        if (due <= one.paid) return 0;
        amount = due - one.paid;
        if (amount > stake) amount = stake;
        one.paid += amount;
    }

    /// @dev The second part of the penalty by what is known now.
    function _correlated(uint256 stake, address owner, uint256 week)
        private
        view
        returns (uint256)
    {
        uint256 others = 0;
        uint256 total = 0;
        for (uint256 w = week - 1; w <= week + 1; ++w) {
            others += convictedStake[w] - _convictions[w][owner].stake;
            if (stakeOfWeek[w] > total) total = stakeOfWeek[w];
        }
        uint256 counted = others * CORRELATION;
        return counted >= total ? stake : stake * counted / total;
    }
}
