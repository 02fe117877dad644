"""Offer states that were never final to whoever comes without one.

Rule: everything a Byzantine member can sign is signed: proofs are whole but for the votes of honest
members, of which only true ones are used again.
Spec: docs/spec/state-sync.md (Proof). Deviations: none.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace as replace_field

from msgspec.structs import replace

from consensus.certificate import Certificate, assemble_certificate
from consensus.committee import Committee, Member, compute_committee_hash
from consensus.header import Header, decode_header, encode_header, hash_header
from consensus.limits import CHECKPOINT_LAG
from consensus.vote import Kind, Vote, compute_vote_digest
from node.sync.messages import Border, Checkpoint, Members


class SnapshotPoisoner:
    """Has a lie for every part of the proof."""

    def __init__(self, world) -> None:
        self.world = world
        self.lies = (
            self.other_blocks,
            self.fewer_blocks,
            self.own_digest,
            self.unlinked_digest,
            self.own_committee,
            self.other_certificate,
            self.other_height,
            self.short_proof,
        )

    def hear(self, source, message) -> bool:
        """Let everything pass."""
        return True

    def act(self, source) -> None:
        """Wait to be asked."""

    def spoil(self, source, offer):
        """Return one lie, or nothing at all."""
        self.world.stats.poisoned += 1
        if self.world.rng.random() < 0.1:
            return None
        self.world.rng.choice(self.lies)(source, offer)
        return offer

    def other_blocks(self, source, offer) -> None:
        """The true proof, one block twice in the state."""
        index = self.world.rng.randrange(len(offer.blocks) - 1)
        offer.blocks[index] = offer.blocks[index + 1]

    def fewer_blocks(self, source, offer) -> None:
        """The true proof, the state of an earlier height."""
        del offer.blocks[-1]

    def own_digest(self, source, offer) -> None:
        """A state of my own, stated and certified by my friends and me."""
        self.fewer_blocks(source, offer)
        words = list(offer.checkpoint.headers)
        words[CHECKPOINT_LAG] = self.state_digest(offer, words[CHECKPOINT_LAG])
        for index in range(CHECKPOINT_LAG + 1, len(words)):
            header = replace_header(words[index], parent_hash=hash_header(words[index - 1]))
            words[index] = encode_header(header)
        certificate = self.certify(words[-1], offer.checkpoint.members)
        offer.checkpoint = Checkpoint(tuple(words), certificate, offer.checkpoint.members)

    def unlinked_digest(self, source, offer) -> None:
        """A state of my own, stated in a header that no true one follows."""
        self.fewer_blocks(source, offer)
        words = list(offer.checkpoint.headers)
        if len(words) <= CHECKPOINT_LAG + 1:
            return
        words[CHECKPOINT_LAG] = self.state_digest(offer, words[CHECKPOINT_LAG])
        offer.checkpoint = replace(offer.checkpoint, headers=tuple(words))

    def own_committee(self, source, offer) -> None:
        """Hand the next epoch over to myself, and certify a state of my own there."""
        if not offer.borders:
            self.own_digest(source, offer)
            return
        key = self.world.keys[source.index]
        mine: Members = ((key.address, 1),)
        mine_hash = compute_committee_hash((Member(address=key.address, weight=1),))
        last = offer.borders[-1]
        words = encode_header(replace_header(last.headers[0], next_committee_hash=mine_hash))
        offer.borders[-1] = Border((words,), self.certify(words, last.members), last.members)
        offer.checkpoint = replace(offer.checkpoint, members=mine)
        self.own_digest(source, offer)

    def other_certificate(self, source, offer) -> None:
        """The certificate of another final block."""
        store = source.disk.store
        others = [one.certificate for one in store[:-1] if one.certificate is not None]
        if others:
            certificate = self.world.rng.choice(others)
            offer.checkpoint = replace(offer.checkpoint, certificate=certificate)
        self.fewer_blocks(source, offer)

    def other_height(self, source, offer) -> None:
        """The state of the height before, as if it were a checkpoint."""
        words = source.disk.store[len(offer.blocks) - 2].block.body.header
        offer.checkpoint = replace(
            offer.checkpoint, headers=(words, *offer.checkpoint.headers[:-1])
        )
        self.fewer_blocks(source, offer)

    def short_proof(self, source, offer) -> None:
        """A proof without the header that states the digest."""
        headers = offer.checkpoint.headers
        offer.checkpoint = replace(offer.checkpoint, headers=(*headers[:1], headers[-1]))

    def state_digest(self, offer, words: bytes) -> bytes:
        """Return a header that states my blocks' digest."""
        from tests.simulation.newcomer import compute_state

        state = compute_state(offer.blocks).state
        digest = hashlib.sha256(b"checkpoint" + state).digest()
        return encode_header(replace_header(words, checkpoint_digest=digest))

    def certify(self, words: bytes, members: Members) -> Certificate:
        """Return the finalize votes of all Byzantine members that sit there."""
        world, header = self.world, decode_header(words)
        committee = Committee(tuple(Member(address=a, weight=w) for a, w in members))
        block_hash = hash_header(words)
        digest = compute_vote_digest(
            world.parameters.domain, Kind.FINALIZE, header.epoch, header.view, block_hash, ()
        )
        votes = []
        for index in sorted(world.scenario.byzantine):
            seat = committee.index_of(world.keys[index].address)
            if seat is not None:
                signature = world.keys[index].sign(digest)
                votes.append(
                    Vote(Kind.FINALIZE, header.epoch, header.view, block_hash, (), seat, signature)
                )
        return assemble_certificate(votes) if votes else self.any_certificate()

    def any_certificate(self) -> Certificate:
        """A true one, of whatever else."""
        for node in self.world.nodes.values():
            for final in node.disk.store:
                if final.certificate is not None:
                    return final.certificate
        raise AssertionError("there is a certified block before a state can be offered")


def replace_header(words: bytes, **changes: object) -> Header:
    """Return a header with other fields."""
    return replace_field(decode_header(words), **changes)
