"""Ask several RPC nodes of one EVM chain, and believe what enough of them agree on.

Rule: an answer counts when `quorum` endpoints give it about the same block; `latest` is therefore
the highest block that `quorum` endpoints have. Endpoints that fail, lag, limit or contradict wait
a while before they are asked first again; a transaction goes to all of them.

Spec: docs/spec/settlement.md §10
Deviations: with one endpoint there is nobody to compare with, and calls pass through.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.errors import ChainAway, RateLimited, RpcRefused
from contracts.limits import (
    RPC_HEAD_SECONDS,
    RPC_REST_MAX_SECONDS,
    RPC_REST_SECONDS,
    RPC_STRANGER_REST_SECONDS,
)
from contracts.refusals import most_telling
from contracts.rpc import Rpc, is_limit
from contracts.rpc_answers import Reduced, reduce_answer, reduce_refusal
from contracts.rpc_values import parse_quantity, quantity
from primitives.errors import ConfigError, TransientError

BLOCK_PARAMETER = {
    "eth_call": 1,
    "eth_getBalance": 1,
    "eth_getCode": 1,
    "eth_getTransactionCount": 1,
    "eth_getBlockByNumber": 0,
}
"""Position of the block among a method's parameters."""
LATEST = "latest"
NOTHING = b"null"
"""Not known yet; a node may be a moment late without lying."""


@dataclass(slots=True)
class Endpoint:
    """One RPC node and how it has behaved."""

    name: str  # host and port: URLs carry keys
    rpc: Rpc
    chain_id: int = 0  # 0: not asked yet
    ask_chain_at: float = 0  # when one that serves another chain is asked again
    head: int = -1  # its newest block when it was asked last
    failures: int = 0  # in a row
    rests_until: float = 0
    contradictions: int = 0
    last_problem: str = ""


@dataclass(slots=True)
class Poll:
    """The answers to one question so far."""

    answers: dict[Reduced, Any] = field(default_factory=dict)
    voters: dict[Reduced, list[Endpoint]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, reduced: Reduced, answer: Any, endpoint: Endpoint) -> int:
        """Count an answer; return how many gave it."""
        self.answers.setdefault(reduced, answer)
        self.voters.setdefault(reduced, []).append(endpoint)
        return len(self.voters[reduced])


class RpcPool:
    """Several endpoints as one (`contracts.rpc.Rpc`). Used by one thread at a time."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        chain_id: int,
        quorum: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ConfigError for a quorum that can never be reached."""
        if not 1 <= quorum <= max(1, len(endpoints)):
            raise ConfigError(
                f"evm.rpc_quorum is {quorum}, but there are {len(endpoints)} RPC endpoints",
                fix="list more endpoints in evm.rpc_urls, or lower evm.rpc_quorum",
            )
        self.endpoints = tuple(endpoints)
        self._chain_id = chain_id
        self._quorum = quorum
        self._clock = clock
        self._head = 0
        self._head_until = 0.0

    def call(self, method: str, *parameters: Any) -> Any:
        """Return the result; raises RpcRefused for an error answer and TransientError for none."""
        if len(self.endpoints) == 1:
            return self.endpoints[0].rpc.call(method, *parameters)
        if method == "eth_chainId":
            return self._find_chain()
        if method == "eth_blockNumber":
            return quantity(self._find_head())
        if method == "eth_sendRawTransaction":
            return self._send(parameters)
        if method == "eth_maxPriorityFeePerGas":
            return self._median(method)
        return self._agree(method, self._pin(method, parameters))

    def find_doubtful(self) -> list[Endpoint]:
        """The endpoints that rest now because they failed or contradicted the others."""
        if len(self.endpoints) == 1:
            return []
        now = self._clock()
        return [one for one in self.endpoints if one.rests_until > now]

    def count_sound(self) -> int:
        """Return how many endpoints serve our chain and do not rest."""
        now = self._clock()
        return sum(
            one.chain_id == self._chain_id and one.rests_until <= now for one in self.endpoints
        )

    # --- who is asked ------------------------------------------------------------------------

    def _usable(self) -> list[Endpoint]:
        """The endpoints of our chain: rested ones first, in the order they were given."""
        now = self._clock()
        asked = sorted(self.endpoints, key=lambda one: one.rests_until > now)
        ours = sum(one.chain_id == self._chain_id for one in asked)
        return [
            one
            for one in asked
            if (one.chain_id or one.rests_until <= now or ours < self._quorum)
            and self._is_ours(one)
        ]

    def _is_ours(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint serves our chain; asked once it answers, strangers now and then."""
        if endpoint.chain_id == self._chain_id:
            return True
        if endpoint.chain_id and self._clock() < endpoint.ask_chain_at:
            return False
        endpoint.ask_chain_at = self._clock() + RPC_STRANGER_REST_SECONDS
        try:
            endpoint.chain_id = parse_quantity(endpoint.rpc.call("eth_chainId"))
        except (RpcRefused, TransientError) as problem:
            if not endpoint.chain_id:
                self._note_failure(endpoint, problem, longest=RPC_STRANGER_REST_SECONDS)
        return endpoint.chain_id == self._chain_id

    def _find_chain(self) -> str:
        """The chain id if enough endpoints serve it now, else another one that is served."""
        for endpoint in self._usable():
            try:
                endpoint.chain_id = parse_quantity(endpoint.rpc.call("eth_chainId"))
            except (RpcRefused, TransientError) as problem:
                self._note_failure(endpoint, problem)
            endpoint.ask_chain_at = self._clock() + RPC_REST_MAX_SECONDS
        usable = self._usable()
        if len(usable) >= self._quorum:
            return quantity(self._chain_id)
        known = {one.chain_id for one in self.endpoints if one.chain_id} - {self._chain_id}
        if known and all(one.chain_id for one in self.endpoints):
            return quantity(min(known))
        raise self._too_few(f"only {len(usable)} of them answer for chain {self._chain_id}")

    # --- what they say -----------------------------------------------------------------------

    def _find_head(self) -> int:
        """The highest block number that enough endpoints have reached."""
        if self._clock() < self._head_until:
            return self._head
        heads: list[int] = []
        problems: list[str] = []
        for endpoint in self._usable():
            try:
                endpoint.head = parse_quantity(endpoint.rpc.call("eth_blockNumber"))
                heads.append(endpoint.head)
            except (RpcRefused, TransientError) as problem:
                endpoint.head = -1
                problems.append(f"{endpoint.name}: {problem}")
                self._note_failure(endpoint, problem)
        if len(heads) < self._quorum:
            raise self._too_few(f"{len(heads)} of them tell their newest block", problems)
        self._head = sorted(heads, reverse=True)[self._quorum - 1]
        self._head_until = self._clock() + RPC_HEAD_SECONDS
        return self._head

    def _pin(self, method: str, parameters: tuple[Any, ...]) -> tuple[Any, ...]:
        """Replace `latest` by a number, so that all are asked about the same block."""
        place = BLOCK_PARAMETER.get(method)
        if place is None or len(parameters) <= place or parameters[place] != LATEST:
            return parameters
        pinned = list(parameters)
        pinned[place] = quantity(self._find_head())
        return tuple(pinned)

    def _agree(self, method: str, parameters: tuple[Any, ...]) -> Any:
        """The answer that enough endpoints give."""
        poll = Poll()
        needed = self._needed_block(method, parameters)
        for endpoint in self._usable():
            if endpoint.head < needed:
                poll.problems.append(f"{endpoint.name}: has not reached block {needed}")
                continue
            reduced, answer = self._ask(endpoint, poll, method, parameters)
            if reduced is None or poll.add(reduced, answer, endpoint) < self._quorum:
                continue
            self._note_contradictions(poll, reduced)
            found = poll.answers[reduced]
            if isinstance(found, RpcRefused):
                raise found
            return found
        raise self._too_few(f"{method}: {len(poll.answers)} different answers", poll.problems)

    def _needed_block(self, method: str, parameters: tuple[Any, ...]) -> int:
        """The block that an endpoint must have reached; without it some answer as if empty."""
        if method == "eth_getLogs":
            last = parameters[0].get("toBlock")
        else:
            place = BLOCK_PARAMETER.get(method)
            last = None if place is None else parameters[place]
        if last is None:
            return -1
        self._find_head()  # also learns everybody's
        return parse_quantity(last)

    def _ask(
        self, endpoint: Endpoint, poll: Poll, method: str, parameters: tuple[Any, ...]
    ) -> tuple[Reduced | None, Any]:
        """One endpoint's answer, or None when it has none."""
        try:
            answer = endpoint.rpc.call(method, *parameters)
        except RpcRefused as problem:
            reduced = reduce_refusal(problem)
            if reduced is None:
                poll.problems.append(f"{endpoint.name}: {problem}")
                endpoint.last_problem = str(problem)
                if is_limit(problem):
                    self._note_failure(endpoint, problem)
            return reduced, problem
        except TransientError as problem:
            poll.problems.append(f"{endpoint.name}: {problem}")
            self._note_failure(endpoint, problem)
            return None, None
        endpoint.failures = 0
        return reduce_answer(method, answer), answer

    def _median(self, method: str) -> str:
        """The middle one of the answers: nobody alone can make us overpay."""
        found: list[int] = []
        refused: RpcRefused | None = None
        for endpoint in self._usable():
            try:
                found.append(parse_quantity(endpoint.rpc.call(method)))
            except RpcRefused as problem:
                refused = problem
            except TransientError as problem:
                self._note_failure(endpoint, problem)
        if found:
            return quantity(statistics.median_low(found))
        raise refused if refused is not None else self._too_few(f"{method}: no answer")

    def _send(self, parameters: tuple[Any, ...]) -> Any:
        """Give a transaction to everybody; one that takes it is enough."""
        result: Any = None
        refusals: list[RpcRefused] = []
        problems: list[str] = []
        for endpoint in self._usable():
            try:
                result = endpoint.rpc.call("eth_sendRawTransaction", *parameters)
            except RpcRefused as problem:
                refusals.append(problem)
            except TransientError as problem:
                problems.append(f"{endpoint.name}: {problem}")
                self._note_failure(endpoint, problem)
        if result is not None:
            return result
        if refusals:
            raise most_telling(refusals)
        raise self._too_few("nobody takes the transaction", problems)

    # --- how they behave ---------------------------------------------------------------------

    def _note_failure(
        self, endpoint: Endpoint, problem: Exception, longest: float = RPC_REST_MAX_SECONDS
    ) -> None:
        endpoint.failures += 1
        endpoint.last_problem = str(problem)
        rest = min(RPC_REST_SECONDS * 2 ** min(endpoint.failures - 1, 16), longest)
        if isinstance(problem, RateLimited):
            rest = max(rest, problem.seconds)
        endpoint.rests_until = self._clock() + rest

    def _note_contradictions(self, poll: Poll, agreed: Reduced) -> None:
        """Let those rest who said something else than the quorum."""
        for reduced, voters in poll.voters.items():
            if reduced in (agreed, NOTHING):
                continue
            for endpoint in voters:
                endpoint.contradictions += 1
                endpoint.last_problem = "contradicts the other endpoints"
                endpoint.rests_until = self._clock() + RPC_REST_MAX_SECONDS

    def _too_few(self, why: str, problems: Sequence[str] = ()) -> TransientError:
        details = "".join(f"; {problem}" for problem in problems)
        ours = sum(one.chain_id in (0, self._chain_id) for one in self.endpoints)
        return ChainAway(
            f"{self._quorum} of {ours} EVM RPC endpoints have to agree on chain {self._chain_id}: "
            f"{why}{details}"
        )
