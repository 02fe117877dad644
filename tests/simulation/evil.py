"""Send in the name of Byzantine members what no honest code would ever send.

Rule: proposals on stale or uncertified parents that are right in everything else, proposals wrong
in one thing, random votes, forged certificates.
Spec: docs/spec/consensus.md (How it is proven). Deviations: none.
"""

from __future__ import annotations

from dataclasses import replace

from consensus.block import (
    Block,
    Tip,
    compute_attendance_root,
    compute_bundles_root,
    make_block,
    tip_of,
)
from consensus.certificate import Certificate
from consensus.header import ZERO_HASH, Header
from consensus.messages import Propose
from consensus.vote import Kind, Vote, compute_vote_digest
from tests.simulation.ledger import GENESIS_ROOTS

VOTES_PER_ACT = 6
PROPOSALS_PER_VIEW = 2


class Evil:
    """All Byzantine members of a network, acting together."""

    def __init__(self, world) -> None:
        self.world = world

    def aim(self) -> bool:
        """Look at the honest member that is furthest; False while none is up."""
        cores = [node.replica.core for node in self.world.honest if node.is_up]
        if cores:
            self.core = max(cores, key=lambda core: (core.config.epoch, core.view))
        return bool(cores)

    def leads(self, index: int, view: int) -> bool:
        """True when a member leads a view of the newest epoch."""
        leader = self.core.committee.address(self.core.leader(view))
        return self.world.identity_of[leader] == index

    def act(self) -> None:
        world = self.world
        if not self.aim():
            return
        high = self.core.view
        members = [key for key in sorted(world.scenario.byzantine) if self.seat(key) is not None]
        for index in members:
            for _ in range(VOTES_PER_ACT):
                self.send_vote(index, max(1, high + world.rng.randint(-3, 3)))
        for view in range(max(1, high - 1), high + 4):
            leader = world.identity_of[self.core.committee.address(self.core.leader(view))]
            if leader in members:
                for _ in range(PROPOSALS_PER_VIEW):
                    self.send_proposal(leader, view)

    def seat(self, identity: int) -> int | None:
        """Return the index of a member in the newest epoch."""
        return self.core.committee.index_of(self.world.keys[identity].address)

    def scatter(self, index: int, message, share: float) -> None:
        """Send to a random part of the network."""
        world = self.world
        source = world.nodes[index, 0]
        world.monitor.on_send(source, message)
        for target in world.nodes.values():
            if target.index != index and world.rng.random() < share:
                world.deliver(source, target, message)

    def send_vote(self, index: int, view: int) -> None:
        rng = self.world.rng
        kind = rng.choice(list(Kind))
        hashes = [state.proposal for state in self.states(view) if state.proposal is not None]
        block_hash = ZERO_HASH
        if kind is not Kind.NULLIFY:
            block_hash = rng.choice(hashes) if hashes else rng.randbytes(32)
        self.scatter(index, self.sign(index, kind, view, block_hash), 0.5)

    def sign(self, index: int, kind: Kind, view: int, block_hash: bytes) -> Vote:
        world = self.world
        epoch = self.core.config.epoch
        digest = compute_vote_digest(world.parameters.domain, kind, epoch, view, block_hash, ())
        signature = world.keys[index].sign(digest)
        return Vote(kind, epoch, view, block_hash, (), self.seat(index), signature)

    def states(self, view: int):
        for node in self.world.nodes.values():
            core = node.replica.core if node.is_up else None
            if core and core.config.epoch == self.core.config.epoch and view in core.views:
                yield core.views[view]

    def send_proposal(self, leader: int, view: int) -> None:
        parent = self.choose_parent(view)
        block = self.build(leader, view, parent)
        vote = self.sign(leader, Kind.NOTARIZE, view, block.hash)
        self.scatter(leader, Propose(block.body, (), vote.signature), 0.7)

    def choose_parent(self, view: int) -> Tip:
        """Return any recent block, certified or not, or the anchor."""
        world, rng = self.world, self.world.rng
        found: dict[bytes, Block] = {}
        for node in world.nodes.values():
            if node.is_up:
                for block in node.replica.core.tree.newest(40):
                    is_here = block.header.epoch == self.core.config.epoch
                    if is_here and view - 8 <= block.view < view:
                        found[block.hash] = block
        if not found or rng.random() < 0.1:
            return self.core.config.anchor
        return tip_of(rng.choice([found[key] for key in sorted(found)]))

    def best_parent(self, view: int) -> Tip:
        """Return the newest notarized block below a view that the aim holds, or its tip."""
        core = self.core
        for below in range(view - 1, core.tip.view, -1):
            state = core.views.get(below)
            certified = state.certified_hash() if state is not None else None
            block = core.tree.get(certified) if certified is not None else None
            if block is not None:
                return tip_of(block)
        return core.tip

    def build(self, leader: int, view: int, parent: Tip, spoil_share: float = 0.3) -> Block:
        world = self.world
        attendance = self.find_notarization(parent)
        state_root, fees_root = self.roots_of(parent)
        config = self.core.config
        height = config.child_height(parent.height)
        is_seal = config.is_border(parent.height)
        checkpoint = None if is_seal else config.checkpoint_of(height)
        next_hash = ZERO_HASH
        if config.is_border(height) and world.rng.random() < 0.8:
            next_hash = world.rotation.committee(config.epoch + 1).hash
        digest = ZERO_HASH
        if checkpoint is not None:
            digests = [node.ledger.checkpoint_digest(checkpoint) for node in world.nodes.values()]
            digest = next((known for known in digests if known), b"\7" * 32)
        bundles = ()
        header = Header(
            epoch=config.epoch,
            view=view,
            height=height,
            parent_view=parent.view,
            parent_hash=parent.hash,
            time_ms=max(parent.time_ms + 1, world.epoch_ms + world.now - world.rng.randrange(99)),
            bundles_root=compute_bundles_root(bundles),
            executed_height=parent.executed_height,
            state_root=state_root,
            fees_root=fees_root,
            attendance_root=compute_attendance_root(attendance),
            evidence_root=ZERO_HASH,
            committee_hash=self.core.committee.hash,
            next_committee_hash=next_hash,
            checkpoint_digest=digest,
            proposer=self.seat(leader),
        )
        if world.rng.random() < spoil_share:
            header = self.spoil(header)
        return make_block(header, bundles, attendance, ())

    def find_notarization(self, parent: Tip) -> Certificate | None:
        for state in self.states(parent.view):
            held = state.notarization
            if held is not None and held.block_hash == parent.hash:
                return held
        return None

    def roots_of(self, parent: Tip) -> tuple[bytes, bytes]:
        for node in self.world.nodes.values():
            block = node.replica.core.tree.get(parent.hash) if node.is_up else None
            if block is not None:
                return block.header.state_root, block.header.fees_root
        return GENESIS_ROOTS.state, GENESIS_ROOTS.fees

    def spoil(self, header: Header) -> Header:
        """Make one field wrong."""
        rng = self.world.rng
        changes = [
            {"epoch": header.epoch + 1},
            {"height": header.height + 1},
            {"parent_view": max(0, header.parent_view - 1)},
            {"parent_hash": rng.randbytes(32)},
            {"time_ms": 1},
            {"time_ms": header.time_ms + 60_000},
            {"bundles_root": rng.randbytes(32)},
            {"executed_height": header.executed_height + 1},
            {"executed_height": max(0, header.executed_height - 1)},
            {"state_root": rng.randbytes(32)},
            {"fees_root": rng.randbytes(32)},
            {"attendance_root": rng.randbytes(32)},
            {"evidence_root": rng.randbytes(32)},
            {"committee_hash": rng.randbytes(32)},
            {"next_committee_hash": rng.randbytes(32)},
            {"checkpoint_digest": rng.randbytes(32)},
            {"proposer": (header.proposer + 1) % len(self.core.committee)},
        ]
        return replace(header, **rng.choice(changes))
