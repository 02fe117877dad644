"""Pin blocks in a Kubo node beside ours, when the operator names one.

Rule: Kubo is never trusted: what it says it has stored is compared with the CID we computed. Calls
block, so they run in a thread; nothing in the node waits for them.
Spec: docs/spec/storage.md#kubo; https://docs.ipfs.tech/reference/kubo/rpc/
Deviations: ipfshttpclient only knows Kubo below 0.9; its version check is replaced by ours.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from primitives.cid import DAG_CBOR, DAG_PB, RAW, Cid
from primitives.errors import ConfigError, InvalidMessage, OperatorError, TransientError
from storage import limits

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION_MIN: Final = (0, 14, 0)
"""The first one whose `block put` takes `cid-codec` for every codec of ours."""
CODEC_NAMES: Final = {RAW: "raw", DAG_PB: "dag-pb", DAG_CBOR: "dag-cbor"}


class Kubo:
    """A Kubo node's RPC API."""

    def __init__(self, address: str) -> None:
        """`address` is a multiaddr such as /ip4/127.0.0.1/tcp/5001. Raises ConfigError."""
        import ipfshttpclient

        # ipfshttpclient passes what urllib3 2 ignores, and urllib3 says so at each connection.
        warnings.filterwarnings("ignore", message="The 'strict' parameter", category=FutureWarning)
        self.address = address
        self._errors = ipfshttpclient.exceptions
        try:
            self._client: Any = ipfshttpclient.Client(address, timeout=limits.KUBO_TIMEOUT_S)
        except (ipfshttpclient.exceptions.AddressError, ValueError) as error:
            raise ConfigError(
                f"ipfs.api {address!r} is no usable address: {error}",
                code="CFG020",
                fix='write it like "/ip4/127.0.0.1/tcp/5001"',
            ) from error

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Turn the client's errors into the node's."""
        errors = self._errors
        try:
            yield
        except (errors.ConnectionError, errors.TimeoutError) as error:
            raise TransientError(f"Kubo at {self.address} cannot be reached: {error}") from error
        except errors.ErrorResponse as error:
            raise TransientError(f"Kubo at {self.address} refused: {error}") from error
        except (errors.Error, AssertionError, TypeError, ValueError, LookupError) as error:
            # The client asserts on, and stumbles over, answers that Kubo does not give.
            raise TransientError(f"Kubo at {self.address} makes no sense: {error!r}") from error

    def _ask(self, question: Callable[[], Any]) -> dict[str, Any]:
        """Return the JSON object that a call answers. Raises TransientError."""
        with self._named():
            answer = question().as_json()
        if not isinstance(answer, dict):
            raise TransientError(f"Kubo at {self.address} makes no sense: {type(answer).__name__}")
        return answer

    def check(self) -> str:
        """Return Kubo's version. Raises TransientError, OperatorError when it is too old."""
        answer = self._ask(self._client.version)
        text = str(answer.get("Version", ""))
        found = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
        if found is None:
            raise TransientError(f"Kubo at {self.address} states no version")
        if tuple(map(int, found.groups())) < VERSION_MIN:
            raise OperatorError(
                f"Kubo at {self.address} has version {text}",
                code="STO002",
                fix=f"install Kubo {'.'.join(map(str, VERSION_MIN))} or newer",
            )
        return text

    def pin_dag(self, root: Cid, blocks: Iterable[tuple[Cid, bytes]]) -> int:
        """Send the blocks of a DAG and pin its root; return the bytes sent.

        Raises TransientError; then nothing is pinned, and trying again is safe.
        """
        sent = 0
        for cid, data in blocks:
            self.put(cid, data)
            sent += len(data)
        with self._named():
            self._client.pin.add(str(root))
        return sent

    def put(self, cid: Cid, data: bytes) -> None:
        """Store one block. Raises TransientError, also when Kubo names it differently."""
        codec = CODEC_NAMES.get(cid.codec)
        if codec is None:
            raise InvalidMessage(f"{cid} is of a codec that is not sent to Kubo")
        options = {"cid-codec": codec, "mhtype": "sha2-256", "allow-big-block": "true"}
        answer = self._ask(lambda: self._client.block.put(io.BytesIO(data), opts=options))
        if self._parse(answer.get("Key")) != cid:
            raise TransientError(f"Kubo at {self.address} stored {cid} under another name")

    def get(self, cid: Cid) -> bytes:
        """Return a block, verified. Raises TransientError when Kubo has not got it in time."""
        with self._named():
            data = bytes(self._client.block.get(str(cid)))
        try:
            cid.verify(data)
        except InvalidMessage as error:
            raise TransientError(f"Kubo at {self.address} sent a wrong block: {error}") from error
        return data

    def unpin(self, root: Cid) -> None:
        """Let go of a root; one that is not pinned is no error."""
        if root in self.pins():
            with self._named():
                self._client.pin.rm(str(root))

    def pins(self) -> frozenset[Cid]:
        """Return the roots pinned recursively."""
        answer = self._ask(lambda: self._client.pin.ls(type="recursive"))
        keys = answer.get("Keys") or {}
        return frozenset(cid for key in keys if (cid := self._parse(key)) is not None)

    def _parse(self, text: object) -> Cid | None:
        """Read a CID of Kubo's; None = one that is none of ours."""
        try:
            return Cid.parse(text) if isinstance(text, str) else None
        except InvalidMessage:
            return None

    def close(self) -> None:
        self._client.close()
