"""Facts about `primitives.keccak`."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from eth_utils import keccak as reference_keccak
from hypothesis import given
from hypothesis import strategies as st

from primitives.keccak import keccak256


def test_the_empty_string_has_the_digest_everybody_knows():
    assert keccak256(b"").hex() == (
        "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    )


@given(st.binary(max_size=600))
def test_digests_equal_those_of_the_ethereum_library(data):
    assert keccak256(data) == reference_keccak(data) == keccak256(bytearray(data))


@pytest.mark.data
def test_digests_equal_the_recorded_ones(data_dir: Path):
    cases = json.loads(gzip.decompress((data_dir / "vectors/ethers/hashes.json.gz").read_bytes()))
    assert len(cases) == 257
    for case in cases:
        assert "0x" + keccak256(bytes.fromhex(case["data"][2:])).hex() == case["keccak256"]
