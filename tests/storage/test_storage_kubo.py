"""Pinning when Kubo is away, mute, or lies. A real one is in test_storage_kubo_live.py."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from primitives.cid import Cid
from primitives.errors import ConfigError, InvalidMessage, OperatorError, TransientError
from storage.kubo import Kubo

# `Kubo` sets this filter itself, but pytest takes it away between fixture and test.
pytestmark = pytest.mark.filterwarnings("ignore:The 'strict' parameter:FutureWarning")

BLOCK = b"block"
CID = Cid.raw(BLOCK)


@pytest.fixture
def answers():
    """What the fake Kubo says, by path."""
    return {"/api/v0/version": {"Version": "0.36.0"}}


@pytest.fixture
def kubo(answers):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = answers.get(self.path.split("?")[0])
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(500 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    client = Kubo(f"/ip4/127.0.0.1/tcp/{server.server_address[1]}")
    yield client
    client.close()
    server.shutdown()
    server.server_close()
    thread.join()


def test_version_that_ipfshttpclient_does_not_know_is_fine(kubo):
    assert kubo.check() == "0.36.0"


@pytest.mark.parametrize("version", ["0.4.23", "0.13.9-dev"])
def test_old_version_is_the_operators(kubo, answers, version):
    answers["/api/v0/version"] = {"Version": version}
    with pytest.raises(OperatorError, match=version) as caught:
        kubo.check()
    assert caught.value.code == "STO002"


@pytest.mark.parametrize("answer", [None, {}, {"Version": "?"}, b"<html>", b"", [1]])
def test_nonsense_is_tried_again_later(kubo, answers, answer):
    answers["/api/v0/version"] = answer
    with pytest.raises(TransientError):
        kubo.check()


def test_block_stored_under_another_name_is_found_out(kubo, answers):
    answers["/api/v0/block/put"] = {"Key": str(Cid.raw(b"other")), "Size": 5}
    with pytest.raises(TransientError, match="another name"):
        kubo.put(CID, BLOCK)
    answers["/api/v0/block/put"] = {"Key": "not a cid", "Size": 5}
    with pytest.raises(TransientError, match="another name"):
        kubo.put(CID, BLOCK)


def test_wrong_block_is_found_out(kubo, answers):
    answers["/api/v0/block/get"] = b"wrong"
    with pytest.raises(TransientError, match="wrong block"):
        kubo.get(CID)


def test_refusal_is_tried_again_later(kubo):
    with pytest.raises(TransientError):
        kubo.pin_dag(CID, [(CID, BLOCK)])


def test_codec_that_is_not_ours_is_not_sent(kubo):
    with pytest.raises(InvalidMessage):
        kubo.put(Cid(0x0129, CID.digest), BLOCK)


def test_nobody_listens():
    kubo = Kubo("/ip4/127.0.0.1/tcp/1")
    with pytest.raises(TransientError, match="cannot be reached"):
        kubo.check()
    kubo.close()


@pytest.mark.parametrize("address", ["", "127.0.0.1:5001", "/ip4/127.0.0.1", "/ip9/1/tcp/5"])
def test_address_that_is_no_multiaddr_is_the_operators(address):
    with pytest.raises(ConfigError, match=r"ipfs\.api"):
        Kubo(address)
