"""Rule 10: ask for the certificates and blocks that I lack, and answer who asks me.

Rule: a view is asked for by number and answered with all kinds held, a block by hash; questions are
repeated every `fetch_ms` while something waits for them, and answered within a quota per peer.
Spec: docs/spec/consensus.md §10. Deviations: none.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TypeVar

from consensus.block import Block, open_block
from consensus.core import Core
from consensus.effects import RANDOM, Lane
from consensus.limits import (
    ANCESTORS_PER_REPLY_MAX,
    RANGE_BYTES_MAX,
    RANGE_DISTANCE,
    RANGE_EXECUTION_LAG_MAX,
    REQUESTS_PER_PEER_MAX,
    WANTED_MAX,
)
from consensus.messages import Blocks, GetBlock, GetCertificates, GetRange, Message
from consensus.timers import Timer
from primitives import codec
from primitives.errors import InvalidBlock

K = TypeVar("K")


def ask_certificates(core: Core, view: int) -> None:
    """Ask the current leader and somebody else for everything they hold of a view."""
    if is_due(core, core.asked_views, view):
        ask_leader_and_random(core, GetCertificates(core.config.epoch, view))


def ask_block(core: Core, block_hash: bytes) -> None:
    """Ask the current leader and somebody else for a block and its ancestors above my tip."""
    if is_due(core, core.asked_blocks, block_hash):
        ask_leader_and_random(core, GetBlock(block_hash, core.tip.height))


def ask_range(core: Core, distance: int = RANGE_DISTANCE) -> None:
    """Ask a peer for the final blocks after my tip when it is far ahead and execution keeps up.

    An observer, and whoever fell behind an epoch's border, asks for every block in this way.
    """
    if core.is_closed:
        return
    if core.is_observer or core.is_left_behind:
        distance = 1
    if max(core.claims.values(), default=0) < core.tip.height + distance:
        return
    executed_height, _ = core.application.executed()
    if core.tip.height - executed_height > RANGE_EXECUTION_LAG_MAX:
        return
    last = core.asked_range_ms
    if last is not None and core.now - last < core.config.timing.fetch_ms:
        return
    core.asked_range_ms = core.now
    core.send(choose_peer(core), GetRange(core.tip.height + 1))


def choose_peer(core: Core) -> int:
    """Return a peer that claims to be ahead, each in its turn, every other time a member.

    So neither a false claim nor very many peers without a seat keep me from an honest one.
    """
    turn, core.ranges_asked = core.ranges_asked, core.ranges_asked + 1
    ahead = [peer for peer in sorted(core.claims) if core.claims[peer] > core.tip.height]
    members = [peer for peer in ahead if peer < len(core.committee)]
    guests = ahead[len(members) :]
    if not members or not guests:
        return ahead[turn % len(ahead)]
    chosen = guests if turn % 2 else members
    return chosen[turn // 2 % len(chosen)]


def is_due(core: Core, asked: MutableMapping[K, int], what: K) -> bool:
    """True when the question may be sent now; it is then noted and the next one scheduled."""
    fetch_ms = core.config.timing.fetch_ms
    last = asked.get(what)
    if last is not None and core.now - last < fetch_ms:
        return False
    if last is None and len(asked) >= WANTED_MAX:
        return False
    if not core.asked_views and not core.asked_blocks:
        core.set_timer(Timer.FETCH, fetch_ms)
    asked[what] = core.now
    return True


def ask_leader_and_random(core: Core, question: Message) -> None:
    """Send a question to the leader of the current view, who rests on the answer, and one other."""
    leader = core.leader(core.view)
    core.send(leader if leader != core.me else RANDOM, question)
    core.send(RANDOM, question)


def on_fetch_timer(core: Core) -> None:
    """Forget what has been answered, look at the rules again; what still lacks is asked again."""
    now, fetch_ms = core.now, core.config.timing.fetch_ms
    forget_old(core.asked_views, now - fetch_ms)
    forget_old(core.asked_blocks, now - fetch_ms)
    if core.asked_views or core.asked_blocks:
        core.set_timer(Timer.FETCH, fetch_ms)
    core.stir(fresh=True)


def forget_old(asked: MutableMapping[K, int], before_ms: int) -> None:
    """Drop questions asked up to a time; whoever still needs the answer asks anew."""
    for what in [what for what, asked_ms in asked.items() if asked_ms <= before_ms]:
        del asked[what]


def on_get_certificates(core: Core, sender: int, question: GetCertificates) -> None:
    """Answer with all kinds held of a view; of an old view, with my last finalization."""
    if not has_quota(core, sender) or question.epoch != core.config.epoch:
        return
    state = core.views.get(question.view)
    if state is not None:
        for certificate in state.certificates():
            core.send(sender, certificate)
    if question.view < core.tip.view and core.tip_certificate is not None:
        core.send(sender, core.tip_certificate)


def on_get_block(core: Core, sender: int, question: GetBlock) -> None:
    """Answer with a block in memory and its ancestors above the asked height."""
    if not has_quota(core, sender):
        return
    found: list[Block] = []
    left_bytes = RANGE_BYTES_MAX
    block = core.tree.get(question.block_hash)
    while block is not None and len(found) < ANCESTORS_PER_REPLY_MAX:
        left_bytes -= len(codec.encode(block.body))
        if found and (block.height <= question.above_height or left_bytes < 0):
            break
        found.append(block)
        block = core.tree.get(block.parent_hash)
    if found:
        core.send(sender, Blocks(tuple(block.body for block in found)), Lane.BULK)


def on_blocks(core: Core, sender: int, message: Blocks) -> None:
    """Take in blocks that I asked for, each named by the one before. Raises InvalidBlock."""
    wanted: bytes | None = None
    for body in message.blocks:
        block = open_block(body)
        if wanted is None and block.hash not in core.asked_blocks:
            return
        if wanted is not None and block.hash != wanted:
            raise InvalidBlock("an answer holds a block and its ancestors, nothing else")
        wanted = block.parent_hash
        core.asked_blocks.pop(block.hash, None)
        if block.height > core.tip.height and not core.holds(block):
            core.tree.add(block)
            core.stir(fresh=True)


def has_quota(core: Core, sender: int) -> bool:
    """Count a question; one above the peer's quota is dropped, for it will be asked again."""
    return core.meter(sender).take(core.now, REQUESTS_PER_PEER_MAX)
