"""Fetch the state instead of replaying the chain when this node is far behind.

Rule: only what a trusted committee certified is adopted; any peer may lie, stall or leave at any
moment and costs no more than the time until the next one is asked. What was fetched stays on disk,
and a plan once proven is carried on after a kill.
Spec: docs/spec/state-sync.md. Deviations: a node that falls behind while it runs starts again in
its process and fetches the state then (ADR 0185, 0261).
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from consensus.committee import Committee
from consensus.header import decode_header, hash_header
from node.limits import (
    SYNC_BORDERS_MAX,
    SYNC_CALM_S,
    SYNC_GIVE_UP_S,
    SYNC_HEADERS_MAX,
    SYNC_ROUND_S,
    SYNC_STATE_BYTES_MAX,
)
from node.network_file import NetworkFile
from node.sync.adopt import Fetched, adopt, find_anchor_height, load_snapshot, make_base, open_base
from node.sync.messages import (
    Base,
    Border,
    Checkpoint,
    GetBase,
    GetBorder,
    GetHeaders,
    Headers,
    Offer,
    Plan,
    decode_plan,
    encode,
)
from node.sync.peers import Peers, ask_any, gather_offers
from node.sync.progress import Progress
from node.sync.proofs import (
    Target,
    Trust,
    split_headers,
    verify_border,
    verify_checkpoint,
    verify_links,
)
from node.sync.trust import trust_header
from primitives.errors import (
    InvalidBlock,
    LimitExceeded,
    NodeError,
    OperatorError,
    PeerError,
    TransientError,
)
from storage.bitswap import Bitswap
from storage.chain_store import ChainStore
from storage.gateway_client import GatewayClient
from storage.snapshot_fetch import fetch_snapshot
from storage.snapshots import Manifest, Snapshots
from storage.writer import StoreWriter

log = logging.getLogger("omnibazaar.sync")

PLAN_KEY = "state_sync_plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where this node is."""

    height: int  # final here
    time_ms: int  # of that block
    committee: Committee  # in office after it


@dataclass(slots=True, kw_only=True)
class StateSync:
    """One attempt to catch up by a snapshot; use it once."""

    file: NetworkFile
    domain: bytes
    writer: StoreWriter[ChainStore]
    store: ChainStore
    snapshots: Snapshots
    bitswap: Bitswap
    peers: Peers
    progress: Progress
    read_trust: Callable[[], Awaitable[Trust]]
    named: tuple[int, bytes] | None  # block the operator trusts
    behind_blocks: int  # from which fetching is worth it
    before_adoption: Callable[[], None]
    disk: Path
    disk_free_min: int  # bytes
    gateways: GatewayClient | None = None  # asked for what no peer gives
    _trusts: dict[int, Trust] = field(default_factory=dict)  # by epoch
    _borders: dict[int, Border] = field(default_factory=dict)
    _moved_s: float = 0.0  # when something was last fetched

    def may_be_needed(self, position: Position, now_ms: int) -> bool:
        """Tell whether the chain can be far ahead at all: blocks take at least their gap."""
        if self._load_plan() is not None:
            return True
        gap_ms = max(1, self.file.timers.gap_ms)
        return (now_ms - position.time_ms) // gap_ms >= self.behind_blocks

    async def run(self, position: Position) -> int | None:
        """Return the height of the adopted state; None when replaying will do.

        Raises OperatorError when the disk refuses.
        """
        started_s = self._moved_s = trio.current_time()
        self.progress.enter("asking peers where they are")
        try:
            while True:
                offers = await gather_offers(self.peers)
                useful = self._choose(position, offers)
                for peer, checkpoint in useful:
                    adopted = await self._try(position, peer, checkpoint)
                    if adopted is not None:
                        return adopted
                if self._is_enough(position, offers, useful, started_s):
                    await self._drop_plan()
                    return None
                await trio.sleep(SYNC_ROUND_S)
        finally:
            self.progress.end()

    async def look(self, position: Position, *, is_stuck: bool) -> int | None:
        """Return the height of a proven state that replay cannot reach, or not soon; else None.

        A peer's word on what it has pruned counts only for a node that is stuck.
        """
        for peer, checkpoint in self._choose(position, await gather_offers(self.peers)):
            try:
                target = await self._prove(position, peer, checkpoint)
            except NodeError as error:
                log.info("the state that %s offers is not proven: %s", peer or "the plan", error)
                continue
            if is_stuck or target.height >= position.height + self.behind_blocks:
                return target.height
        return None

    # Deciding

    def _choose(self, position: Position, offers: dict[str, Offer]) -> list[tuple[str, Checkpoint]]:
        """Return checkpoints worth fetching: a plan of an earlier run, then validators' newest."""
        found: list[tuple[int, str, Checkpoint]] = []
        for peer, offer in offers.items():
            if offer.checkpoint is None:
                continue
            try:
                height = decode_header(offer.checkpoint.headers[0]).height
            except PeerError as error:
                log.info("the state that %s offers has no header: %s", peer, error)
                continue
            if height > position.height and self._is_far(position, height, offer.oldest_height):
                found.append((height, peer, offer.checkpoint))
        # Who is no validator comes last: strangers are free to claim any height, and to stall.
        found.sort(key=lambda one: (self.peers.address(one[1]) is None, -one[0], one[1]))
        plan = self._load_plan()
        first = [("", plan.checkpoint)] if plan is not None else []
        return first + [(peer, checkpoint) for _, peer, checkpoint in found]

    def _is_far(self, position: Position, height: int, oldest: int) -> bool:
        """True when replaying to a peer's height would take long, or its blocks are pruned."""
        return height >= position.height + self.behind_blocks or oldest > position.height + 1

    def _is_enough(
        self,
        position: Position,
        offers: dict[str, Offer],
        useful: list[tuple[str, Checkpoint]],
        started_s: float,
    ) -> bool:
        """True when honest peers say that replay will do, or nobody says anything for long."""
        seats: set[int] = set()
        for peer, offer in offers.items():
            address = self.peers.address(peer)
            seat = None if address is None else position.committee.index_of(address)
            if seat is not None and not self._is_far(
                position, offer.final_height, offer.oldest_height
            ):
                seats.add(seat)
        weight = position.committee.weight(seats)
        if weight > position.committee.tolerated:
            return True
        now_s = trio.current_time()
        if not useful:
            return now_s - started_s > SYNC_CALM_S
        return now_s - self._moved_s > SYNC_GIVE_UP_S

    # Fetching

    async def _try(self, position: Position, peer: str, checkpoint: Checkpoint) -> int | None:
        """Fetch and adopt one state; None when that did not work out."""
        try:
            return await self._fetch(position, peer, checkpoint)
        except OperatorError:
            raise
        except NodeError as error:
            log.warning("the state that %s offers cannot be had: %s", peer or "the plan", error)
            if not peer and not isinstance(error, TransientError):
                await self._drop_plan()
            return None

    async def _prove(self, position: Position, peer: str, checkpoint: Checkpoint) -> Target:
        """Return what a checkpoint proves under trusted committees. Raises NodeError."""
        epoch = decode_header(checkpoint.headers[-1]).epoch
        trust = await self._reach(epoch, peer)
        interval = self.file.checkpoint_interval
        target = verify_checkpoint(self.domain, trust, checkpoint, interval=interval)
        if target.height <= position.height:
            raise InvalidBlock(f"the state of height {target.height} is behind this node")
        return target

    async def _fetch(self, position: Position, peer: str, checkpoint: Checkpoint) -> int:
        target = await self._prove(position, peer, checkpoint)
        plan = await self._make_plan(peer, checkpoint, target)
        await self.writer.run(ChainStore.put_meta, PLAN_KEY, encode(plan))
        manifest = await fetch_snapshot(
            self.bitswap,
            self.snapshots,
            target.manifest,
            height=target.height,
            state_root=target.stated_root,
            peers=self.bitswap.peers(),
            on_manifest=self._on_manifest,
            on_chunk=self._on_chunk,
            gateways=self.gateways,
        )
        self.progress.enter("checking the state")
        fetched = await trio.to_thread.run_sync(self._check, manifest, target, plan)
        self.before_adoption()
        await trio.to_thread.run_sync(self.snapshots.sync)  # the store then rests on it
        await self.writer.run(adopt, fetched)
        await self._drop_plan()
        source = self._trusts[target.epoch].source
        log.info("adopted the state of height %d, certified under %s", target.height, source)
        return target.height

    def _check(self, manifest: Manifest, target: Target, plan: Plan) -> Fetched:
        ledger = load_snapshot(self.file, self.snapshots, manifest)
        return Fetched(ledger=ledger, base=make_base(self.file, ledger, target, plan))

    def _on_manifest(self, manifest: Manifest) -> None:
        if manifest.size_bytes > SYNC_STATE_BYTES_MAX:
            raise LimitExceeded(f"a state of {manifest.size_bytes} bytes")
        missing = sum(not self.snapshots.has_chunk(cid) for cid in manifest.chunks)
        wanted = manifest.size_bytes * missing // max(1, len(manifest.chunks)) + self.disk_free_min
        if shutil.disk_usage(self.disk).free < wanted:
            raise OperatorError(
                f"the state takes {manifest.size_bytes >> 20} MB, less are free in {self.disk}",
                code="DSK002",
                fix="free some space and start again; what was fetched is kept",
                exit_code=15,
            )
        self._moved_s = trio.current_time()
        self.progress.begin(manifest)

    def _on_chunk(self, size_bytes: int) -> None:
        self._moved_s = trio.current_time()
        self.progress.on_chunk(size_bytes)

    # Proofs

    async def _reach(self, epoch: int, peer: str) -> Trust:
        """Return the trust in an epoch, following certified borders. Raises NodeError."""
        if not self._trusts:
            trust = await self._begin_trust(peer)
            self._trusts[trust.epoch] = trust
        first, last = min(self._trusts), max(self._trusts)
        if epoch < first:
            raise InvalidBlock(f"epoch {epoch} is over; {self._trusts[first].source} is further")
        if epoch - last > SYNC_BORDERS_MAX:
            raise LimitExceeded(f"{epoch - last} borders to follow")
        for number in range(last, epoch):
            trust = self._trusts[number]

            def use(border: Border, trust: Trust = trust) -> tuple[Border, Trust]:
                return border, verify_border(self.domain, trust, border)

            border, after = await ask_any(self.peers, GetBorder(number), Border, use, first=peer)
            self._borders[number], self._trusts[number + 1] = border, after
            self._moved_s = trio.current_time()
        return self._trusts[epoch]

    async def _begin_trust(self, peer: str) -> Trust:
        if self.named is None:
            return await self.read_trust()
        named = self.named

        def use(headers: Headers) -> Trust:
            return trust_header(split_headers(headers.words)[0], named)

        return await ask_any(self.peers, GetHeaders(named[0], 1), Headers, use, first=peer)

    async def _make_plan(self, peer: str, checkpoint: Checkpoint, target: Target) -> Plan:
        """Collect what else the state needs, unless an earlier run has it on disk."""
        known = self._load_plan()
        if known is not None and known.checkpoint.headers[0] == checkpoint.headers[0]:
            return known

        def use(base: Base) -> Base:
            open_base(base, target)
            return base

        base = await ask_any(self.peers, GetBase(target.height), Base, use, first=peer)
        anchor = await self._find_anchor(peer, checkpoint.headers[0], target.height)
        borders = tuple(self._borders[number] for number in sorted(self._borders))
        return Plan(checkpoint, base, anchor, borders)

    async def _find_anchor(self, peer: str, words: bytes, height: int) -> bytes:
        """Return the header that the epoch starts from, followed backwards hash by hash."""
        anchor = find_anchor_height(self.file, height)
        if anchor == 0:
            return b""
        while height > anchor:
            first = max(anchor, height - SYNC_HEADERS_MAX)
            use = partial(_link, child=words, count=height - first)
            question = GetHeaders(first, height - first)
            words = await ask_any(self.peers, question, Headers, use, first=peer)
            height = first
            self._moved_s = trio.current_time()
        return words

    # The plan on disk

    def _load_plan(self) -> Plan | None:
        data = self.store.read.meta(PLAN_KEY)
        if data is None:
            return None
        try:
            return decode_plan(data)
        except NodeError as error:
            log.warning("the plan of an earlier run cannot be read: %s", error)
            return None

    async def _drop_plan(self) -> None:
        await self.writer.run(ChainStore.drop_meta, PLAN_KEY)


def _link(found: Headers, *, child: bytes, count: int) -> bytes:
    """Return the first of `count` headers that lead to a child. Raises PeerError."""
    words = split_headers(found.words)
    headers = [decode_header(one) for one in (*words, child)]
    if len(words) != count:
        raise InvalidBlock(f"{len(words)} headers, {count} were asked for")
    verify_links(words, headers)
    if headers[-1].parent_hash != hash_header(words[-1]):
        raise InvalidBlock("the headers do not lead to the block that is known")
    return words[0]
