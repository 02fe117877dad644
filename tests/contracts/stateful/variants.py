"""Contracts that are wrong on purpose, each in one place; the machine must notice every one.

Rule: a variant is one replacement in one committed source, which must be found there exactly once.

Spec: docs/explanation/audit.md
Deviations: none
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """A name, a source, and what of it is replaced by what."""

    name: str
    source: str
    old: str
    new: str = ""

    def apply(self, text: str) -> str:
        """The wrong source."""
        assert text.count(self.old) == 1, f"{self.name}: {text.count(self.old)} places"
        return text.replace(self.old, self.new)


TAKE = "_takeWithdrawal(words, withdrawal, siblings);\n        Money.send(withdrawal.token"
WITHDRAW = f") external nonReentrant {{\n        {TAKE}, withdrawal.to, withdrawal.amount);"
SEND = "Money.send(withdrawal.token, withdrawal.to, withdrawal.amount);"

VARIANTS = (
    Variant(
        "withdrawals are not remembered",
        "Withdrawals.sol",
        "_paid[withdrawal.index >> 8] |= 1 << (withdrawal.index & 0xff);",
    ),
    Variant(
        "withdrawals may be re-entered",
        "Withdrawals.sol",
        WITHDRAW,
        WITHDRAW.replace(" nonReentrant", ""),
    ),
    Variant(
        "withdrawals are paid before they are marked",
        "Withdrawals.sol",
        WITHDRAW,
        f") external {{\n        {SEND}\n        _takeWithdrawal(words, withdrawal, siblings);",
    ),
    Variant(
        "a claim's fee need not be signed by the receiver",
        "Withdrawals.sol",
        "problem != ECDSA.RecoverError.NoError || signer != withdrawal.to",
        "problem != ECDSA.RecoverError.NoError",
    ),
    Variant(
        "claims in flight are lost when the vault closes",
        "Withdrawals.sol",
        "bytes32 root = LedgerProof.stateRoot(words);",
        "if (isClosed()) revert VaultClosed();\n"
        "        bytes32 root = LedgerProof.stateRoot(words);",
    ),
    Variant(
        "withdrawals are paid without a proof",
        "Withdrawals.sol",
        "if (LedgerProof.rootFrom(leaf, withdrawal.index, siblings) != words.withdrawals) {",
        "if (LedgerProof.rootFrom(leaf, withdrawal.index, siblings) == leaf) {",
    ),
    Variant(
        "stale checkpoints are taken",
        "Checkpoints.sol",
        "if (header.executedHeight <= current) {",
        "if (header.executedHeight + 1000 <= current) {",
    ),
    Variant(
        "the fee totals need not be those of the header",
        "Checkpoints.sol",
        "if (feesRoot != header.feesRoot) revert WrongFees(feesRoot, header.feesRoot);",
    ),
    Variant(
        "the notice closes the vault at once",
        "Checkpoints.sol",
        "return noticeAt != 0 && block.timestamp >= noticeAt + ESCAPE_NOTICE;",
        "return noticeAt != 0;",
    ),
    Variant(
        "a checkpoint does not cancel the notice",
        "Checkpoints.sol",
        "            noticeAt = 0;\n",
    ),
    Variant(
        "notice can be given at any time",
        "Checkpoints.sol",
        "if (block.timestamp < possibleAt) revert EscapeTooEarly(possibleAt);",
    ),
    Variant(
        "certificates count for ever",
        "Checkpoints.sol",
        "if (block.timestamp > last + CERTIFICATES_EXPIRE_AFTER) revert CertificateExpired(last);",
    ),
    Variant(
        "a token that fails stops checkpoints",
        "Checkpoints.sol",
        """            try this.settleFeesWithinCheckpoint{gas: FEE_PAYMENT_GAS}(token) {}
            catch {
                emit FeesDeferred(executedHeight, token);
            }
""",
        """            executedHeight;
            this.settleFeesWithinCheckpoint{gas: FEE_PAYMENT_GAS}(token);
""",
    ),
    Variant(
        "fee shares are paid again and again",
        "Checkpoints.sol",
        "        account.feesSettled = certified;\n",
    ),
    Variant(
        "any next committee is followed",
        "Checkpoints.sol",
        "if (stated != next) revert WrongNextCommittee(stated, next);",
        "if (stated == next && next == 0) revert WrongNextCommittee(stated, next);",
    ),
    Variant(
        "no quorum is needed",
        "Finality.sol",
        "if (signed < quorum) revert TooLittleWeight(signed, quorum);",
        "if (signed > total) revert TooLittleWeight(signed, quorum);",
    ),
    Variant(
        "two thirds are a quorum",
        "Finality.sol",
        "uint256 quorum = (2 * total) / 3 + 1;",
        "uint256 quorum = (2 * total) / 3;",
    ),
    Variant(
        "signatures of anybody count",
        "Finality.sol",
        "if (problem != ECDSA.RecoverError.NoError || signer != key) revert BadSignature(index);",
        "if (problem != ECDSA.RecoverError.NoError) revert BadSignature(index);\n"
        "        signer;\n        key;",
    ),
    Variant(
        "headers of another epoch are taken",
        "Finality.sol",
        "if (header.epoch != epoch) revert WrongEpoch(header.epoch, epoch);",
    ),
    Variant(
        "headers need not be linked",
        "Finality.sol",
        "if (header.parentHash != last) revert BrokenHeaderLink(i);",
    ),
    Variant(
        "seals may change the state",
        "Finality.sol",
        "|| seal.stateRoot != parent.stateRoot || seal.feesRoot != parent.feesRoot",
    ),
    Variant(
        "what was asked for is credited, not what arrived",
        "Deposits.sol",
        "return _record(token, msg.sender, beneficiary, received);",
        "received;\n        return _record(token, msg.sender, beneficiary, amount);",
    ),
    Variant(
        "orders are carried out again", "Deposits.sol", "        isOrderDone[digest] = true;\n"
    ),
    Variant(
        "deposits are taken while the vault is leaving",
        "Deposits.sol",
        "if (depositsPaused || silent || _isLeaving()) revert DepositsClosed();",
        "if (depositsPaused || silent) revert DepositsClosed();",
    ),
    Variant(
        "deposits of unlisted tokens are taken",
        "Deposits.sol",
        "        if (!_accounts[token].listed) revert UnlistedToken(token);\n"
        "        if (amount == 0 || amount > DEPOSIT_MAX) revert BadAmount(amount);\n"
        "        if (beneficiary",
        "        if (amount == 0 || amount > DEPOSIT_MAX) revert BadAmount(amount);\n"
        "        if (beneficiary",
    ),
    Variant("balances are paid again", "Escape.sol", "        isEscaped[key] = true;\n"),
    Variant(
        "what orders hold is not paid",
        "Escape.sol",
        "uint256 amount = entry.free + entry.held;",
        "uint256 amount = entry.free;",
    ),
    Variant(
        "balances can be claimed while the vault is open",
        "Escape.sol",
        "    function _requireLastState(StateWords calldata words) private view {\n"
        "        if (!isClosed()) revert VaultOpen();\n",
        "    function _requireLastState(StateWords calldata words) private view {\n",
    ),
    Variant(
        "balances are paid to whomever the caller names",
        "Escape.sol",
        "if (to != owner && msg.sender != owner) revert OnlyOwner(owner);",
    ),
    Variant(
        "deposits are refunded again",
        "Escape.sol",
        "        depositHash[record.id] = bytes32(0);\n",
    ),
    Variant(
        "a credited deposit is refunded",
        "Escape.sol",
        "if (record.id < credited) revert DepositCredited(record.id, credited);",
        "if (record.id + 1 < credited) revert DepositCredited(record.id, credited);",
    ),
    Variant(
        "the last uncredited deposit is not refunded",
        "Escape.sol",
        "if (record.id < credited) revert DepositCredited(record.id, credited);",
        "if (record.id <= credited) revert DepositCredited(record.id, credited);",
    ),
    Variant(
        "funds are handed over again and again",
        "Migration.sol",
        "        account.handedOver += amount;\n",
    ),
    Variant(
        "funds go to a successor that the ledger does not name",
        "Checkpoints.sol",
        "        if (from == 0) return;\n",
    ),
    Variant(
        "funds go to a vault that the ledger left before",
        "Checkpoints.sol",
        " || (row.owed != 0 && account.owed == 0)",
    ),
    Variant(
        "funds go nowhere when the announcement is called off too early",
        "Governance.sol",
        "        successor = vault;\n",
        "        delete noticeOf[successor];\n        successor = vault;\n",
    ),
    Variant(
        "funds do not go to a vault that stopped deposits of the token",
        "Deposits.sol",
        "if (!_accounts[token].known) revert UnlistedToken(token);",
        "if (!_accounts[token].listed) revert UnlistedToken(token);",
    ),
    Variant(
        "what was noted of a move is not kept",
        "Checkpoints.sol",
        "            if (row.owed != 0) account.owed = row.owed;\n",
    ),
    Variant(
        "funds are handed over by a root of before the move",
        "Migration.sol",
        "height < account.movedAt || ",
    ),
    Variant(
        "decisions need no certificate",
        "Governance.sol",
        "Finality.requireQuorum(decisionDigest(decision), committeeHash, certificate, members);",
        "certificate;\n        members;",
    ),
    Variant("decisions count again", "Governance.sol", "        ++decisionCount;\n"),
    Variant(
        "a successor need not know a root of after the move",
        "Migration.sol",
        " || IVault(next).stateRootAt(height) != root",
    ),
    Variant(
        "a successor takes over at once",
        "Migration.sol",
        "if (block.timestamp < account.handOverFrom)",
        "if (block.timestamp < openedAt)",
    ),
    Variant(
        "the vault may pay more than it owes",
        "TokenAccounts.sol",
        "if (amount > available) revert InsufficientVault(available, amount);",
        "if (available > type(uint128).max) revert InsufficientVault(available, amount);",
    ),
    Variant(
        "transfers may move another amount",
        "Money.sol",
        "        uint256 moved = before - held(token);\n"
        "        if (moved != amount) revert WrongTransfer(moved, amount);\n",
        "        before;\n",
    ),
    Variant(
        "rewards are minted at every checkpoint",
        "Settlement.sol",
        "if (token == address(0) || block.timestamp < rewardedAt + REWARD_INTERVAL) return;",
        "if (token == address(0)) return;",
    ),
    Variant(
        "a treasury is paid again",
        "FeeDistributor.sol",
        "        claimable[which][token] = 0;\n",
    ),
    Variant(
        "anybody names the next treasury",
        "FeeDistributor.sol",
        "if (msg.sender != treasury[which]) revert OnlyTreasury();",
    ),
    Variant(
        "anybody takes a treasury's seat",
        "FeeDistributor.sol",
        "if (msg.sender != nextTreasury[which]) revert OnlyTreasury();",
    ),
    Variant(
        "a treasury's successor may come again",
        "FeeDistributor.sol",
        "        nextTreasury[which] = address(0);\n",
    ),
    Variant(
        "rewards are minted a second early",
        "Settlement.sol",
        "block.timestamp < rewardedAt + REWARD_INTERVAL",
        "block.timestamp + 1 < rewardedAt + REWARD_INTERVAL",
    ),
    Variant(
        "rewards are minted a second late",
        "Settlement.sol",
        "block.timestamp < rewardedAt + REWARD_INTERVAL",
        "block.timestamp <= rewardedAt + REWARD_INTERVAL",
    ),
    Variant(
        "services that do not exist are offered",
        "ValidatorRegistry.sol",
        "        if (services > SERVICES) revert UnknownService(services);\n"
        "        Validator storage one = _registered(msg.sender);",
        "        Validator storage one = _registered(msg.sender);",
    ),
    Variant(
        "rewards may go to nobody",
        "ValidatorRegistry.sol",
        "        if (payout == address(0)) revert ZeroAddress();\n",
    ),
    Variant(
        "a payout account is not changed",
        "ValidatorRegistry.sol",
        "        _registered(msg.sender).payout = payout;\n",
        "        _registered(msg.sender);\n",
    ),
    Variant(
        "stakes are taken out without unbonding",
        "ValidatorRegistry.sol",
        "if (at == 0 || block.timestamp < at) revert StillBonded(at);",
        "if (at == 0) revert StillBonded(at);",
    ),
    Variant(
        "a seat does not delay leaving",
        "ValidatorRegistry.sol",
        "            if (one.exiting) one.seatedEpoch = epoch;\n",
        "            one;\n",
    ),
    Variant(
        "an offence is punished again",
        "ValidatorRegistry.sol",
        "        isPunished[offence] = true;\n",
    ),
    Variant(
        "penalties are not taken off the sum of stakes",
        "ValidatorRegistry.sol",
        "        _validators[owner].stake -= amount;\n        totalStake -= amount;\n",
        "        _validators[owner].stake -= amount;\n",
    ),
    Variant(
        "hot keys are used twice",
        "ValidatorRegistry.sol",
        "if (ownerOf[hotKey] != address(0)) revert HotKeyTaken(hotKey);",
    ),
    Variant(
        "a raised penalty is raised again",
        "Penalties.sol",
        "        one.paid += amount;\n",
    ),
)
