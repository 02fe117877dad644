"""Remember every epoch this node knows: who sat in it and where it began.

Rule: an index in a block or a certificate means a seat of that block's epoch, so whoever turns an
index into an address asks here.
Spec: docs/spec/consensus.md (Epochs); docs/spec/node.md (Epochs). Deviations: none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from consensus.block import Tip
from consensus.committee import Committee, Member
from consensus.config import Timing
from consensus.epoch import Epoch, Parameters, decode_epoch
from consensus.seed import compute_genesis_seed
from node.limits import EPOCHS_KEPT
from node.network_file import NetworkFile
from primitives.eip712 import network_domain

FIRST = 1  # number of the epoch that begins with genesis


class EpochBook:
    """The epochs from genesis to the one in progress, or those since a snapshot.

    The newest are in memory; `find` gives the record of an older one from the store, if it is
    there: in a year of half-hours large committees would take hundreds of megabytes.
    """

    def __init__(self, genesis: Epoch, find: Callable[[int], bytes | None] | None = None) -> None:
        self._genesis = genesis
        self._find = find
        self._newest = OrderedDict({genesis.number: genesis})
        self._older: OrderedDict[int, Epoch] = OrderedDict()
        self.current = genesis

    def begin(self, epoch: Epoch) -> None:
        """Note that an epoch has begun."""
        self._newest[epoch.number] = epoch
        self.current = epoch
        while self._find is not None and len(self._newest) > EPOCHS_KEPT:
            self._newest.popitem(last=False)

    def load(self, records: Iterable[bytes]) -> None:
        """Take in the epochs on disk, oldest first. Raises PeerError when one is damaged."""
        for record in records:
            self.begin(decode_epoch(record))

    def get(self, number: int) -> Epoch | None:
        """Return an epoch; None when it is not known here. Raises as `find`."""
        known = self._newest.get(number) or self._older.get(number)
        if known is not None or self._find is None or not 0 < number < self.current.number:
            return known
        if number == self._genesis.number:
            return self._genesis
        record = self._find(number)
        if record is None:
            return None
        found = self._older[number] = decode_epoch(record)
        if len(self._older) > EPOCHS_KEPT:
            self._older.popitem(last=False)
        return found

    def committee(self, number: int) -> Committee:
        """Return the committee of an epoch of which this node has seen a final block."""
        epoch = self.get(number)
        assert epoch is not None, "whoever has seen a final block knows its epoch"
        return epoch.committee

    def address(self, number: int, index: int) -> bytes | None:
        """Return who sat at an index; None when that epoch is not known here."""
        epoch = self.get(number)
        if epoch is None or index >= len(epoch.committee):
            return None
        return epoch.committee.address(index)

    def index(self, number: int, address: bytes) -> int | None:
        """Return the seat of an address in an epoch, if it had one and the epoch is known."""
        epoch = self.get(number)
        return None if epoch is None else epoch.committee.index_of(address)


def make_genesis_epoch(network: NetworkFile) -> Epoch:
    """Return the first epoch: the committee of the network file, from the genesis block on."""
    return Epoch(
        number=FIRST,
        committee=Committee(
            tuple(Member(address=s.address_bytes, weight=s.weight) for s in network.committee)
        ),
        seed=compute_genesis_seed(network.genesis_hash),
        anchor=Tip(
            view=0,
            height=0,
            hash=network.genesis_hash,
            time_ms=network.genesis_time_ms,
            executed_height=0,
        ),
    )


def make_parameters(network: NetworkFile) -> Parameters:
    """Return what all epochs of a network share."""
    timers = network.timers
    return Parameters(
        domain=network_domain(network.network_id),
        checkpoint_interval=network.checkpoint_interval,
        timing=Timing(
            gap_ms=timers.gap_ms,
            leader_ms=timers.leader_ms,
            view_ms=timers.view_ms,
            retry_ms=timers.retry_ms,
            standstill_ms=timers.standstill_ms,
            fetch_ms=timers.fetch_ms,
        ),
        epoch_heights=network.scoring.period_blocks if network.scoring.rotates else 0,
    )
