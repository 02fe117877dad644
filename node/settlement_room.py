"""Compose what a node does on the EVM chains: watch, attest, settle, relay, decide.

Rule: each chain has endpoints, threads and tasks of its own, so one that is away holds up no other;
whatever sends from one account shares one sender and takes turns.
Spec: docs/spec/node.md (Settlement). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio

from consensus.committee import Committee
from contracts.outbox import open_outbox
from contracts.rpc import HttpRpc
from contracts.rpc_pool import Endpoint, RpcPool
from contracts.settlement_client import SettlementClient
from contracts.transactor import Transactor
from node.attester import Attester
from node.checkpointer import Checkpointer
from node.config_schema import Config
from node.decisions import DecisionDesk, Place
from node.escape_archive import ArchiveKeeper
from node.evidence_reporter import make_reporter
from node.heartbeats import Heart
from node.network_file import Chain
from node.relay import ChainRelay, Relay
from node.vault_monitor import VaultMonitor
from node.wire import FrameKind, encode_frame
from storage.chain_reader import ChainReader

if TYPE_CHECKING:
    from node.node import Node, Setup


def open_rpc(config: Config, chain: Chain) -> RpcPool:
    """Return endpoints of a chain with connections of their own, for one thread at a time."""
    evm = config.evm
    return RpcPool(
        [Endpoint(name=urlsplit(url).netloc, rpc=HttpRpc(url)) for url in evm.rpc_urls],
        chain_id=chain.chain_id,
        quorum=evm.rpc_quorum,
    )


class SettlementRoom:
    """The parts, and the tasks that the node has to run."""

    def __init__(self, node: Node, setup: Setup) -> None:
        self._node = node
        self._setup = setup
        self.monitors: list[VaultMonitor] = []
        heart = Heart(
            node.ledger, node.key, domain=node.domain, clock=node.clock, submit=node.submit_own
        )
        self.decisions = DecisionDesk(
            network_id=node.file.network_id,
            key=node.key,
            clock=node.clock,
            committee_of=self._committee_of,
            broadcast=lambda body: node.wire.broadcast(
                encode_frame(FrameKind.DECISION, body), bulk=True
            ),
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
        for chain in node.file.chains if node.config.evm.rpc_urls else ():
            self._add_chain(chain)

    def _committee_of(self, epoch: int) -> Committee | None:
        found = self._node.book.get(epoch)
        return None if found is None else found.committee

    def _add_chain(self, chain: Chain) -> None:
        node = self._node
        client = partial(
            SettlementClient,
            chain_id=chain.chain_id,
            vault=chain.vault_bytes,
            network_id=node.file.network_id,
            confirmations=chain.confirmations,
            window_blocks=chain.window_blocks,
        )
        poll_ms = node.config.evm.poll_ms
        rpc = open_rpc(node.config, chain)
        monitor = VaultMonitor(
            chain, client(rpc), trio.CapacityLimiter(1), poll_ms, rpc, node.problems
        )
        monitor.archive = ArchiveKeeper(
            chain.chain_id,
            interval=node.file.checkpoint_interval,
            store=node.block_store,
            snapshots=node.snapshots,
            readers=node.readers,
            writer=node.writer,
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
            has_registry=chain is node.file.chains[0],
        )
        self.monitors.append(monitor)
        self.decisions.places[chain.chain_id] = Place(
            chain=chain, client=monitor.client, limiter=monitor.limiter
        )
        self.tasks += [monitor.run, attester.run]
        if node.config.evm.submit:
            self._add_sender(chain, client)

    def _add_sender(self, chain: Chain, client: Callable[..., SettlementClient]) -> None:
        """Add what sends transactions to a chain; all of it takes turns with one account."""
        node = self._node
        rpc = open_rpc(node.config, chain)
        gas_key = self._setup.gas_key
        outbox = open_outbox(self._setup.data.outbox("node"), chain.chain_id, gas_key.address)
        transactor = Transactor(rpc, gas_key, chain_id=chain.chain_id, outbox=outbox)
        sender = client(rpc, transactor=transactor)
        sending = trio.CapacityLimiter(1)
        if self.relay.wanted:
            room = ChainRelay(chain, sender, sending, gas_key.address)
            self.relay.chains[chain.chain_id] = room
            self.tasks.append(room.run)
        checkpointer = Checkpointer(
            node.proofs,
            sender,
            sending,
            book=node.book,
            me=node.key.address,
            interval=node.file.checkpoint_interval,
            clock=node.clock,
            problems=node.problems,
            poll_ms=node.config.evm.poll_ms,
            load_proof=partial(node.readers.run, ChainReader.boundary),
            on_submitted=node.on_submitted,
            tokens=lambda: [
                asset.token
                for asset in node.ledger.state.assets
                if (asset.chain_id, asset.vault) == (chain.chain_id, chain.vault_bytes)
            ],
        )
        self.tasks.append(checkpointer.run)
        if chain is node.file.chains[0]:
            self.tasks.append(make_reporter(node, chain, rpc, transactor, sending).run)
