"""All validators of a devnet are replaced one by one, under load, and no block waits for long.

Rule: soak only; newcomers follow the how-to, founders leave by command, traders go on all the time.
Spec: docs/how-to/join-as-a-validator.md; docs/spec/consensus.md (Epochs). Deviations: none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from devnet.limits import EPOCH_BLOCKS_MIN
from node.keys.keystore import read_password, save_key
from primitives.address import to_checksum
from tests.devnet.fifth import FifthValidator
from tests.devnet.local_devnet import LocalDevnet
from tests.devnet.test_devnet_main_job import (
    test_a_user_deposits_trades_withdraws_and_holds_the_tokens as play_user,
)

pytestmark = [
    pytest.mark.processes,
    pytest.mark.soak,  # eight validators and a quarter of an hour
]

SEATED_S = 1_800  # a newcomer replays the chain, on a busy machine for many minutes
GONE_S = 1_800  # a committee of four lets nobody go while one of the others has lost its seat
PAUSE_MS_MAX = 20_000
TRADES_PAUSE_S_MAX = 60.0
WATCH_S = 0.5


class TradeWatch(threading.Thread):
    """Notes when and in which block trades were made, as one node tells it.

    A sealed order takes several blocks, and each of the two traders has one on its way, so slow
    blocks are few trades; how late this thread itself was says whether the machine was the reason.
    """

    def __init__(self, devnet: LocalDevnet) -> None:
        super().__init__(daemon=True)
        self.devnet = devnet
        self.made: dict[int, int] = {}  # height → when its block was made, ms
        self.slept_too_long_s = 0.0
        self.is_over = threading.Event()

    def run(self) -> None:
        asleep_at = time.monotonic()
        while not self.is_over.wait(WATCH_S):
            late_s = time.monotonic() - asleep_at - WATCH_S
            self.slept_too_long_s = max(self.slept_too_long_s, late_s)
            for market in ("XOM-USDX", "WETH-USDX", "WBTC-USDX", "WETH-XOM"):
                page: Any = self.devnet.ask("v1", f"/v1/markets/{market}/trades?limit=20")
                for trade in page["trades"] if page else ():
                    self.made[trade["height"]] = trade["time_ms"]
            asleep_at = time.monotonic()

    def find_longest_pause(self) -> tuple[float, int]:
        """Return the longest time between two blocks with trades, seconds, and its blocks."""
        ordered = sorted((at_ms, height) for height, at_ms in self.made.items())
        return max(
            ((end - start) / 1_000, last - first)
            for (start, first), (end, last) in pairwise(ordered)
        )


@pytest.fixture(scope="module")
def devnet(new_devnet: Callable[[], LocalDevnet]) -> LocalDevnet:
    devnet = new_devnet()
    devnet.up("--epoch", str(EPOCH_BLOCKS_MIN), "--traders", "2")
    return devnet


@pytest.fixture(scope="module")
def newcomers(devnet: LocalDevnet) -> Iterator[list[FifthValidator]]:
    made = [FifthValidator(devnet, index) for index in range(4, 8)]
    yield made
    for one in made:
        one.remove()


def seats(devnet: LocalDevnet) -> set[str]:
    answer = devnet.ask("v3", "/v1/validators")
    return {row["address"] for row in answer["validators"]} if answer else set()


def leave(devnet: LocalDevnet, newcomer: FifthValidator, index: int) -> None:
    """Have a founder's owner ask to leave."""
    founder, data = devnet.plan.validators[index], devnet.folder.data(f"v{index}")
    password = read_password(data.keys / "password") or ""
    save_key(data.keys, founder.payout, password, role="trader")
    place = f".devnet/v{index}"
    newcomer.run_line(f"omnibazaar devnet fund {to_checksum(founder.payout.address)}")
    newcomer.run_line(
        f"omnibazaar -d {place} validator exit --from trader --password-file {place}/keys/password"
    )


def read_pauses_ms(devnet: LocalDevnet) -> list[int]:
    """Return the times between final blocks, the newest first."""
    times: list[int] = []
    top = max(devnet.finals())
    while top > 0:
        page = devnet.read("v1", f"/v1/blocks?from={top}&limit=500")["blocks"]
        times += [block["time_ms"] for block in page]
        top = page[-1]["height"] - 1
    return [after - before for after, before in pairwise(times)]


def test_all_founders_are_replaced_without_a_pause(
    devnet: LocalDevnet, newcomers: list[FifthValidator]
) -> None:
    founders, began, watch = seats(devnet), time.monotonic(), TradeWatch(devnet)
    assert len(founders) == 4
    watch.start()
    for index, newcomer in enumerate(newcomers):
        for title in ("Folder and keys", "Settings", "Coins", "Register"):
            newcomer.run_section(title)
        newcomer.start()
        hot_key = newcomer.address("validator")
        devnet.until(lambda key=hot_key: key in seats(devnet), f"{newcomer.name} sits", SEATED_S)
        devnet.until(newcomer.votes, "it votes")
        leave(devnet, newcomer, index)
        gone = to_checksum(devnet.plan.validators[index].key.address)
        devnet.until(lambda key=gone: key not in seats(devnet), f"v{index} has no seat", GONE_S)
        print(f"{newcomer.name} for v{index} after {time.monotonic() - began:.0f} s", flush=True)
    assert not seats(devnet) & founders
    devnet.wait_final(max(devnet.finals()) + 2 * EPOCH_BLOCKS_MIN)
    watch.is_over.set()
    watch.join()
    pauses = read_pauses_ms(devnet)[:-1]
    without_trade_s, blocks = watch.find_longest_pause()
    print(
        f"{len(pauses)} blocks in {time.monotonic() - began:.0f} s,",
        f"median pause {sorted(pauses)[len(pauses) // 2]} ms, longest {max(pauses)} ms,",
        f"without a trade {without_trade_s:.1f} s or {blocks} blocks;",
        f"this thread slept up to {watch.slept_too_long_s:.1f} s longer than it wanted",
        flush=True,
    )
    assert max(pauses) < PAUSE_MS_MAX
    assert without_trade_s < TRADES_PAUSE_S_MAX


async def test_the_new_committee_brings_a_withdrawal_to_the_vault(devnet: LocalDevnet) -> None:
    await play_user(devnet)
