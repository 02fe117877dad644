"""Follow without a seat, lose the disk again and again, and begin from a state that peers offer.

Rule: what proves an offer is the product's code (`node.sync_proofs`); a state is what its blocks
make it, so its root is computed by executing them. What is adopted must be what the network has
finalized.
Spec: docs/spec/state-sync.md (Proof). Deviations: a state is its blocks here; the transport of
chunks, their CIDs and the plan on disk have tests of their own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from consensus.application import Roots
from consensus.block import Block
from consensus.effects import Final
from consensus.epoch import compute_next_epoch
from consensus.header import decode_header
from consensus.limits import CHECKPOINT_LAG
from node.sync.messages import Border, Checkpoint
from node.sync.proofs import Target, Trust, verify_border, verify_checkpoint
from primitives import codec
from primitives.errors import InvalidBlock, PeerError
from tests.simulation.disk import Disk
from tests.simulation.ledger import GENESIS_ROOTS, Ledger, execute
from tests.simulation.node import Node

ARRIVAL_MS = 18_000  # there is no provable checkpoint before
WIPE_MS = 4_000
ANSWER_MS = 400
TRIES = 12  # then the chain is followed from genesis
HEADERS_MAX = 96


@dataclass
class Offer:
    """What a peer says of a state: proof, borders up to its epoch, and the blocks it is made of."""

    checkpoint: Checkpoint
    borders: list[Border]
    blocks: list[Block]


def make_offer(node: Node) -> Offer | None:
    """Return the newest state that a node's disk can prove."""
    store, interval = node.disk.store, node.world.parameters.checkpoint_interval
    certified = [
        final
        for final in store
        if final.certificate is not None and final.certificate.block_hash == final.block.hash
    ]
    if not certified:
        return None
    last = certified[-1].block.height
    height = (last - CHECKPOINT_LAG) // interval * interval
    if height < interval or last - height >= HEADERS_MAX:
        return None
    chain = store[height - 1 : last]
    committee = node.world.epochs[chain[-1].block.header.epoch].committee
    checkpoint = Checkpoint(
        tuple(final.block.body.header for final in chain),
        certified[-1].certificate,
        tuple((one.address, one.weight) for one in committee.members),
    )
    borders = make_borders(node, chain[-1].block.header.epoch)
    blocks = [final.block for final in store[:height]]
    return None if borders is None else Offer(checkpoint, borders, blocks)


def make_borders(node: Node, epoch: int) -> list[Border] | None:
    """Return how the epochs before one ended; None on a disk that began from a state."""
    heights = node.world.scenario.epoch_heights
    borders = []
    for number in range(1, epoch):
        final = node.disk.store[number * heights - 1]
        if final.certificate is None:
            return None
        members = node.world.epochs[number].committee.members
        borders.append(
            Border(
                (final.block.body.header, *(seal.body.header for seal in final.seals)),
                final.certificate,
                tuple((one.address, one.weight) for one in members),
            )
        )
    return borders


def compute_state(blocks: list[Block]) -> Roots:
    """Return the roots after blocks from genesis on."""
    roots = GENESIS_ROOTS
    for block in blocks:
        roots = execute(roots, block)
    return roots


def is_state_of(target: Target, roots: Roots) -> bool:
    """Tell whether a state is the one that was certified."""
    return hashlib.sha256(b"checkpoint" + roots.state).digest() == target.manifest.digest


class Newcomer(Node):
    """A node without a seat that state-syncs."""

    def __init__(self, world, index: int) -> None:
        super().__init__(world, index, 0)
        self.tries = 0
        self.is_asking = False
        self.has_arrived = False

    def boot(self) -> None:
        """Ask for a state where there is none; else go on from the disk."""
        if self.is_up or self.is_asking:
            return
        if not self.has_arrived:
            self.has_arrived = True
            self.world.after(ARRIVAL_MS, self.boot, ())
            return
        if self.disk.store:
            self.start()
            return
        self.tries, self.is_asking = 0, True
        self.world.after(WIPE_MS, self.wipe, ())
        self.ask()

    def ask(self) -> None:
        rng = self.world.rng
        peers = [node for node in self.world.nodes.values() if node is not self and node.is_up]
        if self.tries >= TRIES or not peers:
            self.is_asking = False
            self.start()
            return
        self.tries += 1
        wait_ms = 20 + rng.randrange(ANSWER_MS)
        self.world.after(wait_ms, self.answered, (rng.choice(peers).key,))

    def answered(self, key: tuple[int, int]) -> None:
        """Judge a peer's offer; ask another one if it is worth nothing."""
        peer, world = self.world.nodes[key], self.world
        offer = make_offer(peer)
        if offer is not None and not peer.is_honest and world.habit is not None:
            offer = world.habit.spoil(peer, offer)
        try:
            target = None if offer is None else self.judge(offer)
        except PeerError:
            target = None
        if offer is None or target is None:
            self.ask()
            return
        self.adopt(offer, target)
        self.is_asking = False
        self.start()

    def judge(self, offer: Offer) -> Target:
        """Return what an offer proves. Raises PeerError."""
        world = self.world
        domain, verifier = world.parameters.domain, world.verifier
        trust = Trust(epoch=1, committee_hash=world.genesis.committee.hash)
        data = codec.encode(offer.checkpoint)  # as the wire carries it
        checkpoint: Checkpoint = codec.decode(data, Checkpoint)
        epoch = decode_header(checkpoint.headers[-1]).epoch
        if epoch != 1 + len(offer.borders):
            raise InvalidBlock("the borders do not lead to the certificate's epoch")
        for border in offer.borders:
            trust = verify_border(domain, trust, border, verifier)
        interval = world.parameters.checkpoint_interval
        target = verify_checkpoint(domain, trust, checkpoint, interval=interval, verifier=verifier)
        if not is_state_of(target, compute_state(offer.blocks)):
            raise InvalidBlock("another state than the certified one")
        return target

    def adopt(self, offer: Offer, target: Target) -> None:
        """Go on from a state; whoever adopts what was never final has been poisoned."""
        world, blocks = self.world, offer.blocks
        final = world.monitor.chain[: target.height]
        if [block.hash for block in blocks] != final:
            world.fail(f"newcomer {self.index} adopted a poisoned state of height {target.height}")
            return
        world.stats.synced += 1
        self.disk.store = [Final(block, None) for block in blocks]
        self.disk.sync_store()
        self.ledger = Ledger(self.fetch_bundle)
        for block in blocks:
            self.ledger.finalize(block)
            self.ledger.execute_next()
        epoch, heights = world.genesis, world.scenario.epoch_heights
        for border in range(heights, target.height + 1, heights) if heights else ():
            following = compute_next_epoch(epoch, blocks[border - 1], self.successor)
            assert following is not None, "everything up to the border is executed"
            epoch = self.disk.epochs[following.number] = following
        world.monitor.delivered[self.key] = target.height

    def wipe(self) -> None:
        """Lose the disk while the faults last."""
        if self.world.is_stable:
            return
        self.epochs, self.disk = None, Disk()
        self.is_asking = False
        self.world.after(200, self.boot, ())
