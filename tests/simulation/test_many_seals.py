"""Facts about a border that takes very many seals: it is crossed, and one header proves it."""

from __future__ import annotations

from dataclasses import replace

from consensus.certificate import Certificate
from consensus.header import decode_header, encode_header
from consensus.messages import Propose
from consensus.vote import Kind, Vote
from node.blocks.executor import FinalBlock
from node.settlement.boundaries import BoundaryProof, encode_boundary_proof
from primitives import codec
from tests.simulation.scenario import Scenario, draw_scenario
from tests.simulation.world import World

BORDER = 4
SEALS = 80  # more than the headers that a vault takes at once


class Sealed(World):
    """Nothing at the border becomes final before so many seals are proposed."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.seals: set[bytes] = set()

    def deliver(self, source, target, message, lag_ms: int = 0) -> None:
        if isinstance(message, Propose):
            header = decode_header(message.block.header)
            if header.height == BORDER:
                self.seals.add(header.parent_hash)
        is_final = isinstance(message, Certificate | Vote) and message.kind is Kind.FINALIZE
        if not (is_final and self.is_at_border() and len(self.seals) <= SEALS):
            super().deliver(source, target, message, lag_ms)

    def is_at_border(self) -> bool:
        up = [node for node in self.nodes.values() if node.is_up]
        return any(node.replica.tip.height >= BORDER - 1 for node in up)


def make_scenario() -> Scenario:
    return replace(
        draw_scenario(3),
        weights=(1, 1, 1, 1),
        spare_weights=(),
        byzantine=frozenset(),
        habit=None,
        stable_ms=0,
        epoch_heights=BORDER,
        journal_loss=None,
        crash_per_effect=0,
        crash_per_tick=0,
        stall_share=0,
        loses_writes=False,
        skew_ms=0,
    )


def test_a_border_with_eighty_seals_is_crossed_and_proven_by_one_header():
    world = Sealed(make_scenario())
    world.run()
    assert not world.failures
    assert min(node.replica.tip.height for node in world.honest) > BORDER
    final = next(one for one in world.nodes[0, 0].disk.store if one.block.height == BORDER)
    assert len(final.seals) >= SEALS
    assert final.certificate is not None
    data = encode_boundary_proof(
        FinalBlock(
            block=final.block,
            certificate=final.certificate,
            proposed_ms=0,
            final_ms=0,
            seals=final.seals,
        )
    )
    proof = codec.decode(data, BoundaryProof)
    last = final.seals[-1]
    assert proof.headers == (encode_header(last.header),)
    assert proof.certificate.block_hash == last.hash
    assert last.header.next_committee_hash == final.block.header.next_committee_hash
    assert final.block.header.next_committee_hash == world.rotation.committee(2).hash
