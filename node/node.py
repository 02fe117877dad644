"""Compose one node: rooms are introduced to each other here and nowhere else.

Rule: every object is built once, every task runs in the one nursery of `Node.run`, and what fails
there
stops the node with its reason.
Spec: docs/spec/node.md (Composition). Deviations: none.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial

import trio

from consensus.committee import Committee
from consensus.effects import Final
from consensus.epoch import Epoch
from consensus.epochs import Epochs
from consensus.replica import Replica
from contracts.settlement_types import Submission
from exchange.actions import SignedAction
from node.api.hub import Hub
from node.blocks import startup
from node.blocks.application import ChainApplication
from node.blocks.consensus_driver import ConsensusDriver
from node.blocks.durability import Durability
from node.blocks.executor import Execution
from node.blocks.final_blocks import FinalBlocks
from node.blocks.ranges import RangeServer
from node.bundling.admission import Admission
from node.bundling.bundles import BundleExchange
from node.bundling.inclusion import InclusionWatch
from node.bundling.openings import Openings
from node.bundling.verifier import Verifier
from node.chat_room import ChatRoom
from node.clock import NodeClock
from node.committee.directory import Directory, find_known
from node.committee.epoch_book import EpochBook, make_genesis_epoch, make_parameters
from node.committee.key_watch import KeyWatch, verify_not_marked
from node.committee.storage_answers import count_kept
from node.committee.succession import ScoredSuccession
from node.config_schema import Config
from node.datadir import DataDir
from node.host_watch import watch_host
from node.keys.signing_key import KeySigner, KeyVerifier
from node.limits import BITSWAP_FETCH_S_MAX, EPOCHS_KEPT
from node.metrics import Metrics
from node.network_file import NetworkFile
from node.peers import PeerWire
from node.problems import Problems
from node.replica.ledger import Ledger
from node.replica.scorekeeper import make_scorekeeper
from node.replica.upgrades import note_upgrade
from node.settlement.balance_proofs import BalanceProofs
from node.settlement.checkpointer import Candidate, CheckpointProofs
from node.settlement.settlement_room import SettlementRoom, open_rpc
from node.stores import Stores
from node.sync.server import SyncServer
from node.sync.start import catch_up, make_sync
from node.sync.state_sync import Position, StateSync
from node.sync.watch import SyncWatch
from node.views.feed import Feed
from node.wire import FrameKind
from p2p.config import NetworkConfig
from p2p.lanes import Lane
from p2p.network import Network
from primitives.cid import Cid
from primitives.eip712 import network_domain
from primitives.secp256k1 import PrivateKey
from storage.bitswap import Bitswap
from storage.bitswap_host import HostStreams
from storage.chain_reader import ChainReader
from storage.pruning import PrunePolicy
from storage.pruning_task import keep_pruned
from storage.records import FinalRecord

log = logging.getLogger("omnibazaar.node")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a node is started with."""

    config: Config
    data: DataDir
    file: NetworkFile
    key: PrivateKey
    gas_key: PrivateKey
    seed: bytes  # of the p2p identity
    listen: tuple[str, ...]  # p2p multiaddrs
    announce: tuple[str, ...] = ()  # multiaddrs to tell others; empty: where it listens
    version: str


class Node:
    """One validator."""

    def __init__(self, setup: Setup) -> None:
        self.config = setup.config
        self.file = setup.file
        self.key = setup.key
        self.version = setup.version
        self._setup = setup
        self.clock = NodeClock()
        self.started_ms = self.clock.now_ms()
        self.problems = Problems()
        self.hub = Hub()
        self.metrics = Metrics(version=setup.version, network=setup.file.name)
        self.domain = network_domain(setup.file.network_id)
        self._stop = trio.Event()
        self.begins_anew = False  # it stopped to begin another life in this process
        assert setup.config.storage.snapshots >= 1
        verify_not_marked(setup.data.doppelganger_file)
        self.stores = Stores(setup.data, network_id=setup.file.network_id, signer=setup.key.address)
        self.book = EpochBook(make_genesis_epoch(setup.file), self.stores.find_epoch)
        self.book.load(self.stores.chain.read.epochs(newest=EPOCHS_KEPT))
        self._build_ledger()

    # Building

    def _build_ledger(self) -> None:
        seats = tuple((s.address_bytes, s.weight, s.payout_bytes) for s in self.file.committee)
        self.ledger = Ledger(self.file.exchange, seats, make_scorekeeper(self.file))
        self.verifier = Verifier(self.domain)
        self.proofs = CheckpointProofs(self.book)
        self.balance_proofs = BalanceProofs(self.ledger, self.book)

    def _build_network(self) -> Network:
        setup, keeper = self._setup, self.ledger.scorekeeper
        state = None if keeper is None else keeper.participation
        return Network(
            NetworkConfig(
                network_id=self.file.network_id,
                seed=setup.seed,
                validators=find_known(self.file.bootstrap, state),
                signer=KeySigner(self.key),
                listen=setup.listen,
                announce=setup.announce,
                peer_book=setup.data.root / "cache" / "peers.json",
            )
        )

    def _build_bitswap(self) -> None:
        server = SyncServer(self.stores.readers, self.stores.snapshots, self.book)
        self.network.serve(server.answer)
        self.bitswap = Bitswap(
            HostStreams(self.network.host),
            self.stores.blocks,
            on_fault=lambda peer, error: self.network.report_peer(str(peer), str(error)[:200]),
            on_stall=lambda peer: self.network.disconnect(str(peer)),
        )

    def _make_sync(self) -> StateSync | None:
        return make_sync(
            config=self.config,
            data=self._setup.data,
            file=self.file,
            store=self.stores.chain,
            writer=self.stores.writer,
            snapshots=self.stores.snapshots,
            bitswap=self.bitswap,
            network=self.network,
            open_rpc=partial(open_rpc, self.config),
        )

    async def _catch_up(self) -> bool:
        """Fetch a state when this node is far behind; True when the store goes on from one."""
        sync = self._make_sync()
        if sync is None:
            return False
        return await catch_up(sync, self.book, clock=self.clock, stop=self._stop)

    async def _watch_distance(self) -> None:
        """Stop when this node is too far behind to replay, so that it begins anew."""
        await self.driver.started.wait()

        def find() -> Position:
            tip = self.replica.tip
            return Position(height=tip.height, time_ms=tip.time_ms, committee=self.committee)

        await SyncWatch(
            self._make_sync, find_position=find, now_ms=self.clock.now_ms, on_behind=self.begin_anew
        ).run()

    def _build_chain(self, restored: startup.Restored) -> None:
        """Build everything between the network and the stores."""
        timers = self.file.timers
        self.wire = PeerWire(self.network)
        self.directory = Directory(
            self.network,
            self.ledger,
            self.file.bootstrap,
            announce=self._setup.announce,
            clock=self.clock,
        )
        self.watch = InclusionWatch(min(300, max(1, timers.gap_ms // 3)))
        self.durability = Durability(
            self.stores.journal, self.stores.bundle_log, self.stores.guard, self.problems
        )
        self.bundles = BundleExchange(
            me=self.key.address,
            committee=lambda: self.committee,
            wire=self.wire,
            verifier=self.verifier,
            watch=self.watch,
            bundle_log=self.stores.bundle_log,
            readers=self.stores.readers,
            clock=self.clock,
            bundle_ms=self.config.work.bundle_ms,
            on_change=self._poke,
        )
        self.feed = Feed(
            self.hub,
            self.ledger,
            self.metrics,
            self.book,
            actions=self.stores.chain.read.total_actions(),
        )
        self.final_blocks = FinalBlocks(
            ledger=self.ledger,
            bundles=self.bundles,
            watch=self.watch,
            proofs=self.proofs,
            writer=self.stores.writer,
            snapshots=self.stores.snapshots,
            snapshots_kept=count_kept(self.config.storage.snapshots, self.ledger.scorekeeper),
            clock=self.clock,
            problems=self.problems,
            stored_height=self.stores.chain.executed_height,
            on_executed=self._on_executed,
        )
        self.restored_cid = str(self.ledger.tape.cid or "")
        self.ranges = RangeServer(
            self.stores.readers, self.wire, lambda peer: self.committee.index_of(peer) is not None
        )
        self._build_door()
        self.chat = ChatRoom(
            store=self.stores.chat,
            domain=self.domain,
            ledger=self.ledger,
            network=self.network,
            wire=self.wire,
            hub=self.hub,
            clock=self.clock,
            metrics=self.metrics,
        )

    def _build_door(self) -> None:
        """Build what takes actions from this node's own clients."""
        self.admission = Admission(
            ledger=self.ledger,
            verifier=self.verifier,
            bundles=self.bundles,
            metrics=self.metrics,
            clock=self.clock,
            account_ops_per_s=self.config.api.account_ops_per_s,
            is_on_record=self._is_on_record,
        )
        self.openings = Openings(self.ledger, self.verifier, self.admission, self.clock)

    def _build_consensus(self) -> None:
        application = ChainApplication(
            self.ledger,
            self.bundles.pool,
            self.watch,
            self.bundles.wanted,
            self.bundles.wanted_actions,
        )
        guard = self.stores.guard.load()
        self._watch_key = KeyWatch(
            guard, self.book, self.key.address, self.domain, self._setup.data.doppelganger_file
        )
        self.durability.on_protect = self._watch_key.on_signed
        epochs = Epochs(
            make_parameters(self.file),
            self.book.current,
            self.key.address,
            KeySigner(self.key),
            KeyVerifier(),
            application,
            ScoredSuccession(self.ledger, self.book),
            guard,
        )
        self.driver = ConsensusDriver(
            epochs,
            wire=self.wire,
            durability=self.durability,
            clock=self.clock,
            on_final=self._on_final,
            on_epoch=self._on_epoch,
            serve_range=self.ranges.serve,
            on_proposal=self.final_blocks.on_proposal,
            wait_stored=self.final_blocks.wait_stored,
            wait_room=self.final_blocks.wait_room,
        )
        self.wire.on(FrameKind.CONSENSUS, self.driver.deliver)

    def _build_settlement(self) -> None:
        settlement = SettlementRoom(self, self._setup)
        self.monitors = settlement.monitors
        self.relay, self.decisions = settlement.relay, settlement.decisions
        self._settlement_tasks = settlement.tasks

    # Running

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Restore, connect and validate until `request_stop`. Raises SafetyError, OperatorError."""
        journal, bundles = self.stores.journal.open(), self.stores.bundle_log.open()
        restored = await startup.restore(
            self.stores.chain, self.stores.snapshots, self.ledger, self.proofs, self.verifier
        )
        try:
            self.network = self._build_network()
            async with self.network, trio.open_nursery() as nursery:
                self.nursery = nursery
                self._build_bitswap()
                if await self._catch_up():
                    restored = await startup.restore(
                        self.stores.chain,
                        self.stores.snapshots,
                        self.ledger,
                        self.proofs,
                        self.verifier,
                    )
                self._build_chain(restored)
                startup.restore_inclusion(self.stores.chain, self.watch)
                self._build_consensus()
                self._build_settlement()
                read = self.stores.chain.read
                await self.bundles.reload(bundles.records, lambda d: _is_stored(read, d))
                self._start_tasks(nursery)
                silent = journal.is_damaged or self._setup.data.distrust_file.exists()
                nursery.start_soon(
                    partial(self.driver.run, journal.records, restored.final, silent=silent)
                )
                nursery.start_soon(self._forget_distrust)
                task_status.started()
                await self._stop.wait()
                nursery.cancel_scope.cancel()
        finally:
            self.stores.close()

    def _start_tasks(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self.wire.run_receive, Lane.VOTE)
        nursery.start_soon(self.wire.run_receive, Lane.BULK)
        nursery.start_soon(self.wire.run_watch, self._on_connected)
        nursery.start_soon(self.bundles.run_flush)
        nursery.start_soon(self.bundles.run_check)
        nursery.start_soon(self.bundles.run_fetch)
        nursery.start_soon(self.bundles.run_serve)
        nursery.start_soon(self.openings.run)
        nursery.start_soon(self.final_blocks.executor.run)
        nursery.start_soon(self.final_blocks.run_store)
        nursery.start_soon(self.ranges.run)
        nursery.start_soon(self.chat.run)
        nursery.start_soon(self.directory.run)
        nursery.start_soon(self.bitswap.run)
        if not self.config.storage.archive:
            policy = PrunePolicy(size_bytes_max=self.config.storage.chain_gb << 30)
            nursery.start_soon(
                partial(
                    keep_pruned,
                    self.stores.writer,
                    policy,
                    now_ms=self.clock.now_ms,
                    keep_from=self.stores.oldest_snapshot,
                    on_failure=lambda error: log.warning("pruning waits: %s", error),
                )
            )
        nursery.start_soon(watch_host, self, self._setup.data.root)
        nursery.start_soon(self._watch_distance)
        for task in self._settlement_tasks:
            nursery.start_soon(task)

    async def _forget_distrust(self) -> None:
        """Remove the operator's mark once the journal holds the silence durably."""
        await self.driver.started.wait()
        try:
            self._setup.data.distrust_file.unlink(missing_ok=True)
        except OSError as error:
            log.warning("the next start will be silent again: %s", error)

    # News

    def _poke(self) -> None:
        self.driver.poke()

    def _on_connected(self, peer: bytes) -> None:
        self.driver.connected(peer)
        self.directory.on_connected()
        self.chat.start_sync(peer)

    def _on_final(self, final: Final) -> None:
        """Take a final block; raises Doppelganger when our key has signed elsewhere."""
        if self.replica.remembers(final.block.view):  # not so within what ends a silence
            self._watch_key.on_final(final.block, final.certificate)
        self.final_blocks.on_final(final)

    def _on_epoch(self, epoch: Epoch) -> None:
        """Go on with another committee."""
        self.book.begin(epoch)
        self.final_blocks.on_epoch(epoch)
        seat = epoch.committee.index_of(self.key.address)
        log.info(
            "epoch %d begins after height %d: %d members, %s",
            epoch.number,
            epoch.anchor.height,
            len(epoch.committee),
            "without a seat for us" if seat is None else f"our seat is {seat}",
        )

    def _on_executed(self, execution: Execution, record: FinalRecord) -> None:
        self.openings.on_executed(execution.outcome)
        self.feed.on_executed(execution, record)
        note_upgrade(self.problems, self.ledger.state.protocol)
        self.directory.on_executed(self.ledger.state.notes)
        self.balance_proofs.on_final(execution.final.block, execution.final.certificate)
        self.driver.poke()

    def submit_own(self, action: SignedAction) -> None:
        self.nursery.start_soon(self._submit_checked, action)

    async def _submit_checked(self, action: SignedAction) -> None:
        verified = await self.verifier.verify((action,))
        assert not verified[0].error, "what we sign ourselves is well formed"
        self.bundles.submit(verified[0].id, action)

    def on_submitted(self, candidate: Candidate, submission: Submission) -> None:
        if submission is Submission.DONE:
            self.metrics.checkpoints_submitted.inc()

    # State

    @property
    def waits_for(self) -> str:
        """What this node lacks until it votes and a quorum can be reached; "" when it is ready."""
        if not self.driver.started.is_set():
            return "its start to be over"
        if self.problems.stops_duties:
            return "an end of the problem that stops its duties"
        if self.replica.is_silent:
            return "proof that the network is past everything this key has signed"
        committee = self.committee
        reached = self._weight_reached()
        if reached < committee.quorum:
            percent = 100 * reached // committee.total
            return f"more validators: {percent} % of the weight is reached, a quorum is over 66 %"
        if self.replica.tip.height == 0:
            return "the first final block"
        if self.final_blocks.executor.waiting >= 32:
            return f"the execution of {self.final_blocks.executor.waiting} final blocks"
        return ""

    @property
    def is_ready(self) -> bool:
        """True when this node votes and a quorum can be reached."""
        return not self.waits_for

    def _weight_reached(self) -> int:
        committee = self.committee
        near = (self.key.address, *self.wire.connected())
        seats = {committee.index_of(address) for address in near}
        return committee.weight(seat for seat in seats if seat is not None)

    @property
    def epochs(self) -> Epochs:
        """The node's part in consensus."""
        return self.driver.epochs

    @property
    def replica(self) -> Replica:
        """The replica of the epoch in progress."""
        return self.driver.epochs.replica

    @property
    def committee(self) -> Committee:
        """The committee of the epoch in progress."""
        return self.book.current.committee

    @property
    def me(self) -> int | None:
        """This node's seat in it, if it has one."""
        return self.committee.index_of(self.key.address)

    def request_stop(self) -> None:
        """Begin a clean stop."""
        self._stop.set()

    def begin_anew(self) -> None:
        """Begin a clean stop, and another life after it: for a state, or for the true time."""
        self.begins_anew = True
        self.request_stop()

    async def _is_on_record(self, action_id: bytes) -> bool:
        """Tell whether the ledger has executed an action, as far as receipts are kept."""
        await self.wait_written(self.ledger.height)
        return bool(await self.stores.readers.run(ChainReader.receipts_of, action_id))

    async def wait_written(self, height: int) -> None:
        """Return once the store holds everything up to a height."""
        await self.final_blocks.wait_written(height)

    async def fetch_block(self, cid: Cid) -> bytes:
        """Return an IPFS block from here or from a peer. Raises TransientError."""
        return await self.bitswap.fetch(cid, timeout_s=BITSWAP_FETCH_S_MAX)


def _is_stored(read: ChainReader, digest: bytes) -> bool:
    return read.bundle(digest) is not None
