"""Facts about the journal: what a power cut may take, and what it may not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consensus.journal import Damage, Framer, scan_journal

PAYLOADS = st.lists(st.binary(max_size=80), min_size=1, max_size=12)


def write(payloads: list[bytes], sync_every: int) -> tuple[bytes, int]:
    """Return the file and how much of it was synced."""
    framer, data, synced = Framer(), b"", 0
    for index, payload in enumerate(payloads, 1):
        data += framer.frame(payload)
        if index % sync_every == 0:
            framer.acknowledge()
            synced = len(data)
    assert framer.written_bytes == len(data)
    return data, synced


@given(PAYLOADS, st.integers(1, 4))
def test_a_whole_journal_scans_to_its_payloads(payloads, sync_every):
    data, _ = write(payloads, sync_every)
    scan = scan_journal(data)
    assert scan.records == tuple(payloads)
    assert (scan.intact_bytes, scan.damage) == (len(data), Damage.NONE)


@given(PAYLOADS, st.integers(1, 4), st.data())
def test_a_cut_tail_costs_only_what_was_cut(payloads, sync_every, data):
    file, synced = write(payloads, sync_every)
    cut = data.draw(st.integers(synced, len(file)))
    scan = scan_journal(file[:cut])
    assert scan.records == tuple(payloads[: len(scan.records)])
    assert scan.intact_bytes >= synced
    assert scan.damage is (Damage.NONE if scan.intact_bytes == cut else Damage.TORN_TAIL)


@given(PAYLOADS, st.integers(1, 4), st.binary(min_size=1, max_size=60))
def test_rubbish_behind_the_end_is_a_torn_tail(payloads, sync_every, rubbish):
    file, _ = write(payloads, sync_every)
    scan = scan_journal(file + rubbish)
    assert scan.records[: len(payloads)] == tuple(payloads)
    assert scan.damage is not Damage.INSIDE


@given(st.lists(st.binary(max_size=40), min_size=3, max_size=12), st.data())
def test_a_flipped_bit_in_acknowledged_data_is_told_from_a_torn_tail(payloads, data):
    file, _ = write(payloads, 1)
    last_start = len(file) - len(Framer().frame(payloads[-1]))
    position = data.draw(st.integers(0, last_start - 1))
    damaged = bytearray(file)
    damaged[position] ^= data.draw(st.sampled_from([1, 8, 128]))
    scan = scan_journal(bytes(damaged))
    assert scan.damage is Damage.INSIDE
    assert scan.records == tuple(payloads[: len(scan.records)])
    assert scan.intact_bytes <= position


@given(st.binary(max_size=400))
def test_any_bytes_can_be_scanned(data: bytes):
    scan = scan_journal(data)
    assert 0 <= scan.intact_bytes <= len(data)


def test_appending_after_a_cut_gives_one_whole_journal():
    file, _ = write([b"one", b"two", b"three"], 1)
    scan = scan_journal(file[:-2])
    framer = Framer(scan.intact_bytes)
    whole = file[: scan.intact_bytes] + framer.frame(b"four")
    assert scan_journal(whole).records == (b"one", b"two", b"four")
