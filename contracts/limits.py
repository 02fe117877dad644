"""Bounds of the contracts room: RPC, client, build and the devnet chain.

Rule: every size, count, timeout and retry of this room is named here with its unit.

Spec: docs/spec/settlement.md
Deviations: none
"""

from __future__ import annotations

# --- contracts -------------------------------------------------------------------------------
CODE_SIZE_MAX_BYTES = 24_576
"""EIP-170."""
HEADERS_MAX = 64
"""Headers from a checkpoint to its certified descendant, both included (Finality.HEADERS_MAX)."""
MEMBERS_MAX = 128
"""Committee seats (Finality.MEMBERS_MAX)."""
WITHDRAWAL_TREE_DEPTH = 32
"""Siblings in a withdrawal proof."""
BALANCE_TREE_DEPTH = 16
"""Siblings of one balance in its account (LedgerProof.BALANCES_DEPTH)."""
FEE_ASSETS_MAX = 1_024
"""Assets in the fees root of one network."""
DEPOSIT_MAX_ATOMS = 2**128 - 1
"""Largest single deposit (Settlement.DEPOSIT_MAX)."""

# --- build -----------------------------------------------------------------------------------
NPM_INSTALL_SECONDS_MAX = 300
COMPILE_SECONDS_MAX = 300

# --- devnet chain ----------------------------------------------------------------------------
CHAIN_CACHE_ENTRIES_MAX = 50_000
"""State entries kept in memory (a few hundred bytes each)."""
CHAIN_GAS_LIMIT = 120_000_000
"""Gas per block, as on COTI."""
CHAIN_CALL_GAS = 60_000_000
"""Gas of an eth_call or an estimate that states none."""
POOL_TRANSACTIONS_MAX = 4_096
POOL_AHEAD_MAX = 256
"""Nonces that a waiting transaction may be ahead of its account."""
BLOCK_TRANSACTIONS_MAX = 500
SERVER_BODY_MAX_BYTES = 4 * 1024 * 1024
SERVER_BATCH_MAX = 200
SERVER_CONNECTIONS_MAX = 128
SERVER_IDLE_SECONDS_MAX = 120
LOG_RANGE_BLOCKS_MAX = 10_000
LOG_RESULTS_MAX = 10_000
ACCOUNTS_MAX = 1_000
MINE_BLOCKS_MAX = 1_000
"""Blocks of one evm_mine."""
FEE_HISTORY_BLOCKS_MAX = 1_024
TIP_WEI = 1_000_000_000
"""Priority fee that the devnet chain suggests, wei per gas."""

# --- client ----------------------------------------------------------------------------------
RPC_TIMEOUT_SECONDS = 15
RPC_TOTAL_SECONDS = 45
"""For a whole exchange: an answer that comes a byte at a time never times out otherwise."""
RPC_ANSWER_MAX_BYTES = 16 * 1024 * 1024
RPC_ATTEMPTS_MAX = 2
"""A kept-alive connection may have been closed meanwhile: one more try on a fresh one."""
RPC_HEAD_SECONDS = 0.5
"""Time for which a pool of endpoints remembers their newest common block."""
RPC_REST_SECONDS = 1.0
RPC_REST_MAX_SECONDS = 60.0
"""An endpoint that failed is asked last for so long, doubled with every failure in a row."""
RECEIPT_POLL_SECONDS = 0.5
WALLET_POLL_SECONDS = 0.1
RESUBMIT_SECONDS = 30
"""Time without a receipt after which the same transaction is sent with a higher fee."""
SUBMISSIONS_MAX = 6
"""Times that one transaction is sent before the caller has to start again."""
NONCE_SEARCH_BLOCKS = 100
"""How far back it is looked for what used a nonce; full nodes keep the state of 128 blocks."""
TURN_SECONDS_MAX = 240
"""Longest wait for another program of the same account; one transaction takes no longer than
`SUBMISSIONS_MAX` times `RESUBMIT_SECONDS`, unless the chain stands still."""
TURN_POLL_SECONDS = 0.05
NONCE_GAP_MAX = 64
"""Nonces that a re-organisation may have given back before we think that the chain is another."""
NONCE_LIMIT = 1 << 40
"""No account has sent as many transactions; what tells so is no chain."""
VALUE_TRANSFER_GAS = 21_000
OUTBOX_MAX_BYTES = 4 * 1024 * 1024
"""A pending transaction on disk; the largest checkpoint has about 200 KB."""
RPC_LIMITED_SECONDS = 2.0
RPC_LIMITED_MAX_SECONDS = 60.0
"""How long an endpoint that limits us is left alone when it does not say, and at most."""
RPC_STRANGER_REST_SECONDS = 600.0
"""Rest of an endpoint that never told its chain, while enough others serve ours; and how long one
that serves another chain is not asked whether it still does."""
FEE_BUMP_PERCENT = 25
"""Increase per resubmission; nodes want at least 10."""
TIP_MAX_WEI = 10**11
"""Highest tip per gas that a node can talk us into (100 gwei), unless the base fee is higher."""
MAX_FEE_WEI = 10**13
"""Highest fee per gas that the client ever offers (10,000 gwei)."""
DEPOSITS_PER_WINDOW_MAX = 4_096
WINDOW_BLOCKS = 32
"""EVM blocks in one attested window."""
CHECKPOINT_GAS_BASE = 350_000
"""Gas of a checkpoint without headers, signatures and fees; measured by bench.gas, with margin."""
CHECKPOINT_GAS_PER_HEADER = 20_000
CHECKPOINT_GAS_PER_MEMBER = 4_000
CHECKPOINT_GAS_PER_SIGNATURE = 9_000
CHECKPOINT_GAS_PER_FEE = 400_000
"""Includes what the vault may spend on paying one token's shares (FEE_PAYMENT_GAS)."""
CHECKPOINT_GAS_MAX = 30_000_000
APPROVE_GAS = 100_000
DEPOSIT_GAS = 300_000
PRIVATE_GAS = 3_000_000
"""Of a call that computes on encrypted values: COTI's estimates are wrong, because a value that is
to be decrypted counts as 1 during estimation. bench.gas_private measures up to 1.2 million."""
HAND_OVER_GAS = 500_000
"""Of moving a token to the successor."""
FOLLOW_GAS = 200_000
"""Of letting registry or reward token follow the successor."""
DEPOSIT_ATOMS_MAX = 2**128 - 1
"""What a vault takes at once (`DEPOSIT_MAX`)."""
NONCE_ATTEMPTS_MAX = 10
"""Nonces that other programs of the same account may take from one transaction."""
SUCCESSORS_MAX = 64
"""Vaults that follow one another."""
TOKEN_ACCOUNT_WORDS = 12
"""What the vault tells of one token."""
WITHDRAW_GAS = 1_500_000
"""A plain token takes a tenth; the rest is for private ones, which compute on ciphertexts."""
DEPOSIT_ORDER_GAS = 600_000
"""With a permit and the transfer of the fee."""
REGISTRY_GAS = 600_000
"""Of any call of a validator's owner."""
REPORT_GAS = 800_000
"""Of a report of two conflicting votes: two signatures, the penalty and two transfers."""
SETTLE_FEES_GAS = 500_000
ESCAPE_GAS = 1_600_000
"""Of an escape or a refund, without the list of fees."""
ESCAPE_GAS_PER_FEE = 4_000
FEE_CALLDATA_BYTES = 160
"""One asset's words in the list of fees."""
ESCAPE_SILENCE_SECONDS = 7 * 24 * 3_600
ESCAPE_NOTICE_SECONDS = 48 * 3_600
"""As in Checkpoints.sol."""
NOTICE_GAS = 100_000
DEPLOYMENT_SECONDS_MAX = 120
"""Longest wait for one receipt of a deployment or a wallet."""
ANVIL_START_SECONDS_MAX = 90
