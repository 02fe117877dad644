"""Run one epoch after the other for one node, whether it has a seat or only follows.

How to embed it: as `consensus/replica.py`, with addresses instead of indices (the effects that
differ are in `consensus/addressed.py`). `epoch` is the newest one in the block store whose anchor
the store holds, at first the genesis epoch; `final` is the store's last final block.

Rule: at any time one replica votes, that of the newest epoch whose anchor is final here. Messages
of an older epoch are answered with where I stand, those of the next one wait in bounded number,
all others are dropped.
Spec: docs/spec/consensus.md (Epochs). Deviations: convictions of an epoch that no block of it
carried do not enter the next (ADR 0160).
"""

from __future__ import annotations

from collections.abc import Iterable

from consensus.addressed import Action, BeginEpoch, Deliver, Report, address_effects
from consensus.application import Application, Succession
from consensus.block import Block, Tip
from consensus.committee import Committee
from consensus.early import EarlyMessages, epoch_of
from consensus.effects import Effect, Final, Lane
from consensus.epoch import Epoch, Parameters, compute_next_epoch, make_config
from consensus.guard import Guard
from consensus.limits import GUEST_FIRST, GUESTS_MAX
from consensus.messages import Message, Status
from consensus.replica import Replica
from consensus.rules.restore import split_by_epoch
from consensus.rules.status import make_status
from consensus.signing import Signer, Verifier
from consensus.timers import Timer
from primitives.errors import Doppelganger, PeerError


class Epochs:
    """The replica of the current epoch and the way into the next. Never waits."""

    def __init__(
        self,
        parameters: Parameters,
        epoch: Epoch,
        address: bytes,
        signer: Signer,
        verifier: Verifier,
        application: Application,
        succession: Succession,
        guard: Guard,
    ) -> None:
        self._parameters = parameters
        self._address = address
        self._signer = signer
        self._verifier = verifier
        self._application = application
        self._succession = succession
        self._guard = guard
        self._early = EarlyMessages()
        self._boundary: Block | None = None  # of the current epoch, once it is final
        self._records: dict[int, tuple[bytes, ...]] = {}  # of the journal, by epoch
        self._guests: dict[int, bytes] = {}
        self._guest_of: dict[bytes, int] = {}
        self._helped: dict[bytes, int] = {}  # address → when I last told it where I stand
        self.epoch = epoch
        self.replica = self._make_replica()

    @property
    def committee(self) -> Committee:
        """The committee of the current epoch."""
        return self.epoch.committee

    @property
    def is_member(self) -> bool:
        """True while this node has a seat."""
        return self.committee.index_of(self._address) is not None

    @property
    def tip(self) -> Tip:
        """The last final block."""
        return self.replica.tip

    def start(
        self,
        now: int,
        records: Iterable[bytes] = (),
        final: Final | None = None,
        *,
        silent: bool = False,
    ) -> tuple[Action, ...]:
        """Restore what was promised and begin. Raises SafetyError, WrongNetwork."""
        parts = split_by_epoch(records)
        self._records = {key: part for key, part in parts.items() if key >= self.epoch.number}
        is_here = final is not None and final.block.header.epoch == self.epoch.number
        here = final if is_here else None
        if here is not None and self.replica.core.config.is_border(here.block.height):
            self._boundary = here.block
        own = self._records.pop(self.epoch.number, ())
        return self._act(now, self.replica.start(now, own, here, silent=silent))

    def on_message(self, now: int, sender: bytes, message: Message) -> tuple[Action, ...]:
        """Take in a decoded message of a node whose address the transport has proven.

        Raises SafetyError.
        """
        if sender == self._address:
            raise Doppelganger("another node speaks with my key")
        try:
            number = epoch_of(message)
        except PeerError as error:
            return (Report(sender, error),)
        index = self._index_of(sender)
        if index is None:
            return ()
        current = self.epoch.number
        is_status = isinstance(message, Status)
        if number is None or number == current or (number > current and is_status):
            return self._act(now, self.replica.on_message(now, index, message))
        if number < current:
            return self._help(now, sender)
        if number == current + 1:
            self._early.keep(sender, message, is_member=index < GUEST_FIRST)
        return ()

    def on_timer(self, now: int, timer: Timer) -> tuple[Action, ...]:
        """Act on a timer whose deadline passed. Raises SafetyError."""
        return self._act(now, self.replica.on_timer(now, timer))

    def on_application(self, now: int) -> tuple[Action, ...]:
        """Look again at what waits for execution, bundles, work or the next committee."""
        return self._act(now, self.replica.on_application(now))

    def on_connected(self, now: int, peer: bytes) -> tuple[Action, ...]:
        """Tell a peer that can be reached again where I stand."""
        index = self._index_of(peer)
        if index is None or peer == self._address:
            return ()
        return self._act(now, self.replica.on_connected(now, index))

    def journal_snapshot(self) -> tuple[bytes, ...]:
        """Return the records of a compacted journal; older epochs need none.

        Only after every Final and BeginEpoch so far is durable in the block store.
        """
        later = [self._records[number] for number in sorted(self._records)]
        return (*self.replica.journal_snapshot(), *(one for part in later for one in part))

    def _make_replica(self) -> Replica:
        epoch = self.epoch
        return Replica(
            make_config(self._parameters, epoch),
            epoch.committee,
            epoch.committee.index_of(self._address),
            self._signer,
            self._verifier,
            self._application,
            self._guard,
            self._succession,
        )

    def _act(self, now: int, effects: tuple[Effect, ...]) -> tuple[Action, ...]:
        """Address effects; go on to the next epoch when this one is over."""
        actions = self._address_all(effects)
        while self.replica.is_closed and (epoch := self._find_next()) is not None:
            actions += self._begin(now, epoch)
        return tuple(actions)

    def _address_all(self, effects: tuple[Effect, ...]) -> list[Action]:
        if not effects:
            return []
        is_border = self.replica.core.config.is_border
        for effect in effects:
            if isinstance(effect, Final) and is_border(effect.block.height):
                self._boundary = effect.block
        return list(address_effects(effects, self.committee, self._address, self._guests))

    def _find_next(self) -> Epoch | None:
        assert self._boundary is not None, "a closed epoch has a final boundary block"
        return compute_next_epoch(self.epoch, self._boundary, self._succession)

    def _begin(self, now: int, epoch: Epoch) -> list[Action]:
        """Start an epoch's replica with what the journal and the peers already said of it."""
        last = self.replica.core
        self.epoch, self._boundary = epoch, None
        for table in (self._guests, self._guest_of, self._helped):
            table.clear()
        self.replica = self._make_replica()
        self.replica.core.stated_roots.extend(last.stated_roots)
        own = self._records.pop(epoch.number, ())
        begun = self.replica.start(now, own, silent=last.is_silent)
        actions: list[Action] = [BeginEpoch(epoch), *self._address_all(begun)]
        for sender, message in self._early.take():
            index = self._index_of(sender)
            if index is not None and epoch_of(message) == epoch.number:
                actions += self._address_all(self.replica.on_message(now, index, message))
        return actions

    def _index_of(self, address: bytes) -> int | None:
        """Return a member's index, or the one that stands for a guest; None when full."""
        index = self.committee.index_of(address)
        if index is not None:
            return index
        guest = self._guest_of.get(address)
        if guest is None and len(self._guests) < GUESTS_MAX:
            guest = self._guest_of[address] = GUEST_FIRST + len(self._guests)
            self._guests[guest] = address
        return guest

    def _help(self, now: int, sender: bytes) -> tuple[Action, ...]:
        """Tell a peer in an older epoch where I stand, so that it asks for the blocks between."""
        last = self._helped.get(sender)
        if last is not None and now - last < self._parameters.timing.fetch_ms:
            return ()
        self._helped[sender] = now
        status = make_status(self.replica.core, nonce=0, seen_view=0)
        return (Deliver((sender,), status, Lane.VOTE),)
