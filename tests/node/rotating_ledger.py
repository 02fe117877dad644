"""A ledger with a committee that rotates, fed with the blocks that its members would make."""

from __future__ import annotations

from consensus.block import Block, make_block
from consensus.certificate import assemble_certificate
from consensus.header import ZERO_HASH, Header
from consensus.participation.register import Validator
from consensus.participation.selection import Seat as Place
from consensus.vote import Kind, Vote
from exchange.actions import Heartbeat, RegistryEvent, SignedAction, encode_amount, verify
from node.network_file import Scoring
from node.replica.ledger import Ledger
from node.replica.scorekeeper import Scorekeeper, make_scorekeeper
from primitives.secp256k1 import PrivateKey
from tests.exchange.world import DOMAIN, START_MS, World, make_key
from tests.node.test_scorekeeper import network, replace_struct

EPOCH = 60
SCORING = Scoring(
    period_blocks=EPOCH, lead_blocks=40, newcomer_points=80, rotates=True, jail_first_ms=60_000
)
XOM = 10**18
GAP_MS = 1_000
BEAT_EVERY = 10  # heights between two heartbeats of observers that are online


class RotatingLedger:
    """Genesis members are the world's four; others join by events that those attest."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        file = replace_struct(network(self.world), scoring=SCORING)
        self.keeper: Scorekeeper = make_scorekeeper(file)
        self.ledger = Ledger(self.world.genesis, self.world.committee, self.keeper)
        self.observers: list[PrivateKey] = []
        self.absent: set[bytes] = set()
        self.events = 0
        self._view = 0

    @property
    def seats(self) -> dict[bytes, Place]:
        """The seats in office by owner."""
        return {seat.owner: seat for seat in self.keeper.participation.seats}

    def find(self, owner: bytes) -> Validator:
        return self.keeper.participation.register.by_owner[owner]

    def event(self, owner: bytes, hot_key: bytes, change: int, **fields: object) -> RegistryEvent:
        """The next event of the registry, with the whole record as the contract publishes it."""
        plain: dict[str, object] = {
            "number": self.events,
            "change": change,
            "owner": owner,
            "hot_key": hot_key,
            "payout": owner,
            "network_key": owner[:1] * 32,
            "services": 7,
            "stake": encode_amount(25_000 * XOM),
            "exiting": False,
        }
        self.events += 1
        return RegistryEvent(**(plain | fields))  # type: ignore[arg-type]

    def attest(self, event: RegistryEvent) -> None:
        """Attest one window with the event; it reaches participation with the block after."""
        words = self.world.attest(events=(event,))
        said = verify(words[0], DOMAIN)
        words.append(self.world.act(self.world.validators[3], *said.ops))
        self.block(*words)
        self.block()

    def block(self, *actions: SignedAction) -> None:
        """Execute the next block; leaders who are absent are skipped, votes of absent left out."""
        state = self.keeper.participation
        beats = self._beats() if self.ledger.height % BEAT_EVERY == 0 else ()
        ready = tuple(verify(one, DOMAIN) for one in (*actions, *beats))
        self.ledger.execute(self._make(state.seats), ready)

    def run_to(self, height: int) -> None:
        while self.ledger.height < height:
            self.block()

    def run_to_border(self) -> None:
        """Go to the first block of the next epoch but one chosen after now."""
        self.run_to((self.ledger.height // EPOCH + 2) * EPOCH + 1)

    def _beats(self) -> tuple[SignedAction, ...]:
        registered = [one for one in self.observers if self.keeper.find(one.address) is not None]
        return tuple(self.world.act(key, Heartbeat()) for key in registered)

    def _make(self, seats: tuple[Place, ...]) -> Block:
        height, epoch = self.ledger.height + 1, (self.ledger.height) // EPOCH + 1
        into = (height - 1) % EPOCH
        if into == 0:
            self._view = 0
        parent_view, slots = self._view, self.keeper._get_slots(epoch)
        view = parent_view + 1
        while seats[slots[view % len(slots)]].owner in self.absent:
            view += 1
        self._view = view
        present = [i for i, seat in enumerate(seats) if seat.owner not in self.absent]
        votes = tuple(
            Vote(Kind.NOTARIZE, epoch, parent_view, bytes(32), (), index, bytes(65))
            for index in present
        )
        header = Header(
            epoch=epoch,
            view=view,
            height=height,
            parent_view=parent_view,
            parent_hash=ZERO_HASH,
            time_ms=START_MS + height * GAP_MS,
            bundles_root=ZERO_HASH,
            executed_height=max(0, height - 2),
            state_root=ZERO_HASH,
            fees_root=ZERO_HASH,
            attendance_root=ZERO_HASH,
            evidence_root=ZERO_HASH,
            committee_hash=ZERO_HASH,
            next_committee_hash=ZERO_HASH,
            checkpoint_digest=ZERO_HASH,
            proposer=slots[view % len(slots)],
        )
        return make_block(header, (), assemble_certificate(votes) if into else None, ())


def with_newcomer() -> tuple[RotatingLedger, PrivateKey, bytes]:
    """Return a ledger with five members, the fifth one's hot key and owner."""
    ledger, hot, owner = RotatingLedger(), make_key("newcomer"), make_key("owner").address
    ledger.observers.append(hot)
    ledger.attest(ledger.event(owner, hot.address, 1))
    ledger.run_to_border()
    assert owner in ledger.seats
    return ledger, hot, owner
