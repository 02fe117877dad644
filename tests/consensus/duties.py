"""A chain of block facts for tests: members, who votes, who leads, who serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from consensus.leader import compute_slots
from consensus.participation.accumulator import Participation
from consensus.participation.facts import BlockFacts, Registration, ServiceFact, StorageWord
from consensus.participation.parameters import Rules
from consensus.participation.selection import make_committee
from primitives.keccak import keccak256

BLOCK_MS = 1_000
XOM = 10**18
ALL_SERVICES = 7


def address(kind: str, number: int) -> bytes:
    return keccak256(f"{kind} {number}".encode())[:20]


def registration(
    number: int,
    *,
    stake: int = 100_000 * XOM,
    services: int = ALL_SERVICES,
    is_leaving: bool = False,
) -> Registration:
    return Registration(
        owner=address("owner", number),
        hot_key=address("hot", number),
        payout=address("payout", number),
        network_key=keccak256(b"%d" % number),
        services=services,
        stake=stake,
        is_leaving=is_leaving,
    )


def rules(epoch_blocks: int = 200, lead: int = 10, interval: int = 50) -> Rules:
    return Rules(
        epoch_blocks=epoch_blocks,
        selection_lead=lead,
        checkpoint_interval=interval,
        period_blocks_min=1,
    )


def genesis(count: int, chosen: Rules | None = None) -> Participation:
    return Participation(chosen or rules(), [(registration(number), 1) for number in range(count)])


Voters = Callable[[int, int], Iterable[int]]
"""(height, proposer) → the members whose votes for the parent the block carries."""


class Chain:
    """Makes facts as an honest node would and feeds them to a participation state."""

    def __init__(self, state: Participation) -> None:
        self.state = state
        self.view = state.height
        self.parent_view = self.view
        self._seats: object = None
        self._slots: Sequence[int] = ()

    @property
    def slots(self) -> Sequence[int]:
        if self._seats is not self.state.seats:
            self._seats = self.state.seats
            self._slots = compute_slots(make_committee(self.state.seats), bytes(32))
        return self._slots

    def block(
        self,
        *,
        voters: Voters | None = None,
        absent: Iterable[int] = (),
        services: tuple[ServiceFact, ...] = (),
        registry: tuple[Registration, ...] = (),
        heartbeats: tuple[bytes, ...] = (),
        convicted: tuple[int, ...] = (),
        storage: tuple[StorageWord, ...] = (),
    ) -> BlockFacts:
        """Add one final block; leaders who are absent are skipped."""
        state, slots, away = self.state, self.slots, frozenset(absent)
        view, missed = self.view + 1, []
        while (leader := slots[view % len(slots)]) in away:
            missed.append(leader)
            view += 1
        self.view = view
        height = state.height + 1
        present = [index for index in range(len(state.seats)) if index not in away]
        brought = present if voters is None else sorted(voters(height, leader))
        facts = BlockFacts(
            height=height,
            time_ms=height * BLOCK_MS,
            block_hash=keccak256(b"block %d" % height),
            proposer=leader,
            missed=tuple(missed),
            attendance=tuple(brought),
            convicted=convicted,
            registry=registry,
            services=services,
            heartbeats=heartbeats,
            storage=storage,
        )
        state.on_block(facts)
        return facts

    def run_to(self, height: int, **what: object) -> None:
        """Add equal blocks up to a height."""
        while self.state.height < height:
            self.block(**what)  # type: ignore[arg-type]
