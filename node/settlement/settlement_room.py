"""Compose what a node does on the EVM chains: watch, attest, settle, relay, decide.

Rule: each vault has endpoints, threads and tasks of its own, so one that is away holds up no other;
whatever sends from one account shares one sender and takes turns. A vault that takes over, as the
ledger says, is followed from then on, beside the one that it takes over from.
Spec: docs/spec/node.md (Settlement). Deviations: none.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import trio

from consensus.committee import Committee
from contracts.outbox import open_outbox
from contracts.rpc import HttpRpc
from contracts.rpc_pool import Endpoint, RpcPool
from contracts.settlement_client import SettlementClient
from contracts.transactor import Transactor
from node.committee.epoch_book import make_parameters
from node.committee.heartbeats import Heart
from node.committee.storage_answers import StorageAnswers
from node.config_schema import Config
from node.limits import VAULTS_LOOK_MS
from node.network_file import Chain
from node.settlement.attester import Attester
from node.settlement.checkpointer import Checkpointer
from node.settlement.decisions import DecisionDesk, Place
from node.settlement.escape_archive import ArchiveKeeper
from node.settlement.evidence_reporter import make_reporter
from node.settlement.history_check import HistoryCheck
from node.settlement.relay import ChainRelay, Relay
from node.settlement.vault_farewell import VaultFarewell
from node.settlement.vault_monitor import VaultMonitor
from node.settlement.vaults import at_vault, find_vaults, list_tokens
from node.wire import FrameKind, encode_frame
from storage.chain_reader import ChainReader

if TYPE_CHECKING:
    from node.node import Node, Setup

log = logging.getLogger("omnibazaar.settlement")


def open_rpc(config: Config, chain: Chain) -> RpcPool:
    """Return endpoints of a chain with connections of their own, for one thread at a time."""
    evm = config.evm
    return RpcPool(
        [Endpoint(name=urlsplit(url).netloc, rpc=HttpRpc(url)) for url in evm.rpc_urls],
        chain_id=chain.chain_id,
        quorum=evm.rpc_quorum,
    )


class Sender(NamedTuple):
    """What sends from the gas account on one chain, for all its vaults."""

    rpc: RpcPool
    transactor: Transactor
    limiter: trio.CapacityLimiter  # takes turns


class SettlementRoom:
    """The parts, and the tasks that the node has to run."""

    def __init__(self, node: Node, setup: Setup) -> None:
        self._node = node
        self._setup = setup
        self.monitors: list[VaultMonitor] = []
        heart = Heart(
            node.ledger,
            node.key,
            domain=node.domain,
            clock=node.clock,
            submit=node.submit_own,
            answers=StorageAnswers(node.stores.snapshots, node.file.checkpoint_interval),
        )
        self.decisions = DecisionDesk(
            network_id=node.file.network_id,
            key=node.key,
            clock=node.clock,
            committee_of=self._committee_of,
            broadcast=lambda body: node.wire.broadcast(
                encode_frame(FrameKind.DECISION, body), bulk=True
            ),
            box=node.stores.ballots,
        )
        node.wire.on(FrameKind.DECISION, self.decisions.on_frame)
        self.tasks: list[Callable[[], Awaitable[None]]] = [heart.run, self.decisions.run]
        fees = node.config.evm.relay_fees
        self.relay = Relay(
            node.file,
            fees,
            lambda: node.clock.now_ms() // 1_000,
            lambda: node.ledger.state.assets,
        )
        self._chains = node.file.chains if node.config.evm.rpc_urls else ()
        self._senders: dict[int, Sender] = {}
        self._followed: set[tuple[int, bytes]] = set()
        for chain in self._chains:
            if node.config.evm.submit:
                self._senders[chain.chain_id] = self._open_sender(chain)
            self.tasks += self._add_vault(chain, chain.vault_bytes)
        if self._chains:
            self.tasks.append(self._follow_moves)

    def _committee_of(self, epoch: int) -> Committee | None:
        found = self._node.book.get(epoch)
        return None if found is None else found.committee

    async def _follow_moves(self) -> None:
        """Add the vaults that take over, as soon as ledger or chain knows them, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                for chain in self._chains:
                    announced = [
                        monitor.announced
                        for monitor in self.monitors
                        if monitor.chain.chain_id == chain.chain_id
                    ]
                    for vault in find_vaults(self._node.ledger.state, chain, announced):
                        if (chain.chain_id, vault) not in self._followed:
                            log.info("follows the vault 0x%s from now on", vault.hex())
                            for task in self._add_vault(chain, vault):
                                nursery.start_soon(task)
                await trio.sleep(VAULTS_LOOK_MS / 1_000)

    def _client(self, chain: Chain, vault: bytes) -> Callable[..., SettlementClient]:
        return partial(
            SettlementClient,
            chain_id=chain.chain_id,
            vault=vault,
            network_id=self._node.file.network_id,
            confirmations=chain.confirmations,
            window_blocks=chain.window_blocks,
        )

    def _add_vault(self, of_file: Chain, vault: bytes) -> list[Callable[[], Awaitable[None]]]:
        """Add what looks at a vault and attests its events; return the tasks."""
        node = self._node
        self._followed.add((of_file.chain_id, vault))
        chain = at_vault(of_file, vault)
        client = self._client(chain, vault)
        poll_ms = node.config.evm.poll_ms
        rpc = open_rpc(node.config, chain)
        monitor = VaultMonitor(
            chain, client(rpc), trio.CapacityLimiter(1), poll_ms, rpc, node.problems
        )
        monitor.archive = ArchiveKeeper(
            chain.chain_id,
            interval=node.file.checkpoint_interval,
            store=node.stores.block_store,
            snapshots=node.stores.snapshots,
            readers=node.stores.readers,
            writer=node.stores.writer,
        )
        monitor.history = HistoryCheck(
            chain.chain_id,
            epoch_heights=make_parameters(node.file).epoch_heights,
            read_hash=partial(node.stores.readers.run, ChainReader.block_hash),
            problems=node.problems,
        )
        attester = Attester(
            chain,
            client(open_rpc(node.config, chain)),
            trio.CapacityLimiter(1),
            ledger=node.ledger,
            key=node.key,
            domain=node.domain,
            clock=node.clock,
            submit=node.submit_own,
            problems=node.problems,
            poll_ms=poll_ms,
            accepted_height=monitor.accepted_height,
            has_registry=of_file is self._chains[0],
        )
        self.monitors.append(monitor)
        self.decisions.places[(chain.chain_id, vault)] = Place(
            chain=chain, client=monitor.client, limiter=monitor.limiter
        )
        tasks: list[Callable[[], Awaitable[None]]] = [monitor.run, attester.run]
        sender = self._senders.get(chain.chain_id)
        return tasks if sender is None else tasks + self._add_settler(of_file, chain, sender)

    def _open_sender(self, chain: Chain) -> Sender:
        rpc = open_rpc(self._node.config, chain)
        gas_key = self._setup.gas_key
        outbox = open_outbox(self._setup.data.outbox("node"), chain.chain_id, gas_key.address)
        transactor = Transactor(rpc, gas_key, chain_id=chain.chain_id, outbox=outbox)
        return Sender(rpc, transactor, trio.CapacityLimiter(1))

    def _add_settler(
        self, of_file: Chain, chain: Chain, sender: Sender
    ) -> list[Callable[[], Awaitable[None]]]:
        """Add what sends to a vault; all that sends to one chain takes turns with one account."""
        node = self._node
        vault = chain.vault_bytes
        client = self._client(chain, vault)(sender.rpc, transactor=sender.transactor)
        tasks: list[Callable[[], Awaitable[None]]] = []
        if self.relay.wanted:
            room = ChainRelay(chain, client, sender.limiter, self._setup.gas_key.address)
            self.relay.rooms[(chain.chain_id, vault)] = room
            tasks.append(room.run)
        checkpointer = Checkpointer(
            node.proofs,
            client,
            sender.limiter,
            book=node.book,
            me=node.key.address,
            interval=node.file.checkpoint_interval,
            clock=node.clock,
            problems=node.problems,
            poll_ms=node.config.evm.poll_ms,
            load_proof=partial(node.stores.readers.run, ChainReader.boundary),
            on_submitted=node.on_submitted,
            tokens=lambda: list_tokens(node.ledger.state, chain.chain_id, vault),
            farewell=VaultFarewell(
                chain_id=chain.chain_id,
                vault=vault,
                state_of=lambda: node.ledger.state,
                client=client,
                open_client=lambda other: self._client(chain, other)(sender.rpc),
            ),
        )
        tasks.append(checkpointer.run)
        if of_file is self._chains[0] and vault == of_file.vault_bytes:
            reporter = make_reporter(node, chain, sender.rpc, sender.transactor, sender.limiter)
            tasks.append(reporter.run)
        return tasks
