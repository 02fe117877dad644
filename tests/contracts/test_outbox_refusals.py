"""What no node takes happens only if it is asked for again; what is on its way can be dropped.

Rule: the chain of test_transactor_crashes.py, whose node refuses for lack of funds, and disks that
take nothing.
"""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import rlp

from contracts.errors import GasAccountEmpty, RpcRefused
from contracts.outbox import FileOutbox
from contracts.receipts import Receipt
from contracts.transactor import Dropped
from primitives.errors import OperatorError, TransientError
from tests.contracts.test_transactor_crashes import PAYLOAD, TO, Chain, transactor


@pytest.fixture
def outbox(tmp_path: Path) -> FileOutbox:
    return FileOutbox(tmp_path / "outbox" / "5.bin")


def make_chain() -> Chain:
    chain = Chain()
    chain.mine()
    return chain


def send(chain: Chain, outbox: FileOutbox, payload: bytes) -> Receipt:
    return transactor(chain, outbox).send(TO, payload, gas=100_000)


def payloads(chain: Chain) -> list[bytes]:
    """What happened, in order."""
    return [rlp.decode(raw[1:])[7] for raw in chain.blocks if raw]


class Refusing(Chain):
    """A chain whose node takes nothing as long as the account is empty."""

    is_empty = True

    def eth_sendRawTransaction(self, raw: str) -> str:
        if self.is_empty:
            raise RpcRefused(-32000, "insufficient funds for gas * price + value")
        return super().eth_sendRawTransaction(raw)


def refuse(outbox: FileOutbox) -> Refusing:
    """Ask for a transfer that no node takes."""
    chain = Refusing()
    chain.mine()
    with pytest.raises(GasAccountEmpty) as told:
        send(chain, outbox, PAYLOAD)
    assert "nothing was sent" in told.value.risk
    chain.is_empty = False
    return chain


def test_what_was_refused_does_not_go_out_with_something_else(outbox: FileOutbox) -> None:
    chain = refuse(outbox)
    assert send(chain, outbox, b"another").succeeded
    assert payloads(chain) == [b"another"]
    assert outbox.load() is None


def test_what_was_refused_does_not_go_out_when_somebody_looks(outbox: FileOutbox) -> None:
    chain = refuse(outbox)
    assert transactor(chain, outbox).resume() is None
    assert payloads(chain) == []


def test_what_was_refused_goes_out_once_when_asked_for_again(outbox: FileOutbox) -> None:
    chain = refuse(outbox)
    assert send(chain, outbox, PAYLOAD).succeeded
    assert payloads(chain) == [PAYLOAD]
    assert outbox.load() is None


def test_what_was_called_refused_and_mined_all_the_same_is_found(outbox: FileOutbox) -> None:
    chain = refuse(outbox)
    left = outbox.load()
    assert left is not None
    assert left.is_refused
    chain.blocks.append(left.raw)
    assert send(chain, outbox, PAYLOAD).succeeded
    assert payloads(chain) == [PAYLOAD]


def test_dropping_forgets_what_no_node_has(outbox: FileOutbox) -> None:
    chain = refuse(outbox)
    assert transactor(chain, outbox).drop() is Dropped.NEVER_SENT
    assert outbox.load() is None
    assert transactor(chain, outbox).drop() is None
    assert payloads(chain) == []


def test_dropping_replaces_what_a_node_has(outbox: FileOutbox) -> None:
    chain = make_chain()
    chain.mines = False
    with pytest.raises(TransientError):
        send(chain, outbox, PAYLOAD)
    chain.mines = True
    assert transactor(chain, outbox).drop() is Dropped.REPLACED
    assert payloads(chain) == [b""]
    assert outbox.load() is None
    assert send(chain, outbox, PAYLOAD).succeeded


def test_what_has_happened_cannot_be_dropped(outbox: FileOutbox) -> None:
    chain = make_chain()
    chain.mines = False
    with pytest.raises(TransientError):
        send(chain, outbox, PAYLOAD)
    chain.blocks.append(chain.pool.pop(0))
    chain.mines = True
    assert transactor(chain, outbox).drop() is Dropped.HAPPENED
    assert outbox.load() is None


def test_a_full_disk_sends_nothing_and_says_so(
    outbox: FileOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    chain = make_chain()
    with monkeypatch.context() as patched:
        patched.setattr("contracts.outbox.os.fsync", fail)
        with pytest.raises(OperatorError) as told:
            send(chain, outbox, PAYLOAD)
    assert told.value.code == "EVM013"
    assert (chain.pool, payloads(chain)) == ({}, [])
    assert send(chain, outbox, PAYLOAD).succeeded
    assert payloads(chain) == [PAYLOAD]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    blocked = FileOutbox(tmp_path / "file" / "box.bin")
    with pytest.raises(OperatorError, match="is written there first"):
        send(make_chain(), blocked, PAYLOAD)
