"""Check the invariants of the protocol after every step of a simulated network.

Rule: no fork; per honest member and view one N, one F, never X with N or F after it; no two
certificates in conflict; equal roots; evidence and blame never against an honest member; bounded
messages per view; nobody silent after a crash without losses.

Why they are bounded: what an honest member says to all of one view is its votes, its proposal and
the view's certificates. Each is said when it comes into being (a certificate also when a block's
vote completes it anew after a restart), once at a start, and then only by two timers, so within a
time t of one life at most `REPEATS_FREE` + t / retry_ms + t / standstill_ms times. What it says to
one peer answers a question, at most `ANSWERS_PER_MESSAGE` messages each, or is a question of its
own, at most `QUESTIONS_MAX` per fetch_ms.
Spec: docs/spec/consensus.md (How it is proven). Deviations: none.
"""

from __future__ import annotations

from consensus.addressed import Deliver, Report
from consensus.application import Roots
from consensus.certificate import Certificate
from consensus.effects import Final
from consensus.evidence import Evidence
from consensus.header import decode_header, hash_header
from consensus.limits import WANTED_MAX
from consensus.messages import Propose
from consensus.records import decode_record
from consensus.vote import Kind, Vote
from tests.simulation.ledger import GENESIS_ROOTS, execute

CERTIFICATE_TAG = 3
REPEATS_FREE = 3  # coming into being, the repetition at a start, a timer that was nearly due
ANSWERS_PER_MESSAGE = 4  # three kinds of certificate and the last finalization
QUESTIONS_MAX = 2 * 2 * WANTED_MAX + 1  # views and blocks, to two peers each, and a range


class Monitor:
    """Everything that was ever said and done in one network."""

    def __init__(self, world) -> None:
        self.world = world
        self.voted: dict[tuple[int, tuple[int, int]], dict[Kind, bytes]] = {}
        self.twins: set[tuple[int, tuple[int, int], Kind, bytes]] = set()
        self.twin_kinds: dict[tuple[int, tuple[int, int], Kind], int] = {}
        self.certified: dict[tuple[int, int], dict[Kind, bytes]] = {}
        self.chain: list[bytes] = []
        self.roots = [GENESIS_ROOTS]
        self.delivered: dict[tuple[int, int], int] = {}
        self.convicted: set[int] = set()
        self.two_faced = self.late_two_faced = 0
        self.said: dict[tuple, tuple[int, int]] = {}  # to all: since when, how often
        self.heard: dict[tuple, int] = {}  # per life of a node: messages that it received
        self.told: dict[tuple, tuple[int, int]] = {}  # to one peer: since when, how often

    def on_start(self, node) -> None:
        """Whoever lost nothing that was synced has no reason to be silent."""
        may_lose = node.index == self.world.scenario.journal_loss or not node.is_honest
        if node.is_up and node.replica.is_silent and node.epochs.is_member and not may_lose:
            self.world.fail(f"honest {node.index} is silent after a crash that cost it nothing")

    def on_receive(self, node) -> None:
        life = (node.key, node.life)
        self.heard[life] = self.heard.get(life, 0) + 1

    def on_deliver(self, node, send: Deliver) -> None:
        """Count what an honest member says; see the rule for the bounds."""
        if not node.is_honest:
            return
        now, timing = self.world.now, self.world.parameters.timing
        life = (node.key, node.life)
        if len(send.to) == 1 or send.is_for_one:
            since, count = self.told.get(life, (now, 0))
            self.told[life] = since, count + 1
            periods = 2 + (now - since) // timing.fetch_ms
            bound = ANSWERS_PER_MESSAGE * (1 + self.heard.get(life, 0)) + QUESTIONS_MAX * periods
        elif isinstance(send.message, Vote | Certificate | Propose):
            what = (life, *self.name(send.message))
            since, count = self.said.get(what, (now, 0))
            self.said[what] = since, count + 1
            elapsed = now - since
            bound = REPEATS_FREE + elapsed // timing.retry_ms + elapsed // timing.standstill_ms
        else:
            return
        if count + 1 > bound:
            self.world.fail(f"honest {node.index} said {send.message!r} for the {count + 1}th time")

    def name(self, message: Vote | Certificate | Propose) -> tuple:
        """Return what makes two messages of a member the same: sort, kind, epoch and view."""
        if isinstance(message, Propose):
            header = decode_header(message.block.header)
            return ("P", header.epoch, header.view)
        return (type(message).__name__, message.kind, message.epoch, message.view)

    def on_send(self, node, message) -> None:
        if isinstance(message, Vote):
            if self.world.identity(message.epoch, message.signer) == node.index:
                place = (message.epoch, message.view)
                self.on_own_vote(node, message.kind, place, message.block_hash)
        elif isinstance(message, Propose):
            header = decode_header(message.block.header)
            place = (header.epoch, header.view)
            self.on_own_vote(node, Kind.NOTARIZE, place, hash_header(message.block.header))
        elif isinstance(message, Certificate):
            self.on_certificate(message)

    def on_own_vote(self, node, kind: Kind, view: tuple[int, int], block_hash: bytes) -> None:
        if not node.is_honest:
            self.on_two_faced(node.index, view, kind, block_hash)
            return
        said = self.voted.setdefault((node.index, view), {})
        if said.get(kind, block_hash) != block_hash:
            self.world.fail(f"honest {node.index} voted {kind.name} twice in view {view}")
        said[kind] = block_hash
        if Kind.NULLIFY in said and Kind.FINALIZE in said:
            self.world.fail(f"honest {node.index} nullified and finalized view {view}")

    def on_two_faced(
        self, index: int, view: tuple[int, int], kind: Kind, block_hash: bytes
    ) -> None:
        if (index, view, kind, block_hash) not in self.twins:
            self.twins.add((index, view, kind, block_hash))
            count = self.twin_kinds[index, view, kind] = (
                self.twin_kinds.get((index, view, kind), 0) + 1
            )
            self.two_faced += count > 1
            self.late_two_faced += count > 1 and view[0] > 1

    def on_record(self, node, record: bytes) -> None:
        """Look at every certificate that a replica accepted: it journals each of them.

        One that the node lost in the same step, its own unsynced vote in it, never existed.
        """
        if record[1] == CERTIFICATE_TAG:
            certificate = decode_record(record)
            assert isinstance(certificate, Certificate)
            self.on_certificate(certificate)

    def on_certificate(self, certificate: Certificate) -> None:
        view, kind = (certificate.epoch, certificate.view), certificate.kind
        held = self.certified.setdefault(view, {})
        if held.get(kind, certificate.block_hash) != certificate.block_hash:
            self.world.fail(f"two {kind.name} certificates in view {view}")
        held[kind] = certificate.block_hash
        if Kind.NULLIFY in held and Kind.FINALIZE in held:
            self.world.fail(f"view {view} is nullified and finalized")
        notarized, final = held.get(Kind.NOTARIZE), held.get(Kind.FINALIZE)
        if final is not None and notarized is not None and final != notarized:
            self.world.fail(f"view {view} finalized another block than it notarized")

    def on_final(self, node, final: Final) -> None:
        if not node.is_honest:
            return
        block = final.block
        height = block.height
        if final.certificate is not None:
            self.on_certificate(final.certificate)
        last = self.delivered.get(node.key, 0)
        if height > last + 1:
            self.world.fail(f"honest {node.index} skipped final height {last + 1}")
        self.delivered[node.key] = max(last, height)
        heights = self.world.scenario.epoch_heights
        if heights and block.header.epoch != 1 + (height - 1) // heights:
            self.world.fail(f"height {height} is final in epoch {block.header.epoch}")
        for seal in final.seals:
            if seal.height != height or seal.body.bundles:
                self.world.fail(f"something was built on the boundary block {height}")
        if height <= len(self.chain):
            if self.chain[height - 1] != block.hash:
                self.world.fail(f"fork at height {height} by {node.index}")
            return
        self.chain.append(block.hash)
        self.roots.append(execute(self.roots[-1], block))
        header = block.header
        stated = Roots(header.state_root, header.fees_root)
        if stated != self.roots[header.executed_height]:
            self.world.fail(f"final block {height} states false roots")

    def on_accuse(self, node, evidence: Evidence) -> None:
        if node.is_honest:
            offender = self.world.identity(evidence.first.epoch, evidence.offender)
            self.convicted.add(offender)
            if offender not in self.world.scenario.byzantine:
                self.world.fail(f"honest {offender} was convicted")

    def on_blame(self, node, report: Report) -> None:
        peer = self.world.identity_of[report.peer]
        if node.is_honest and peer not in self.world.scenario.byzantine:
            self.world.fail(f"honest {peer} was blamed: {report.error!r}")
