"""Find the links of a block, whatever its codec.

Rule: raw, DAG-CBOR and DAG-PB are understood; a block in another codec has no links for us.
Spec: docs/spec/storage.md#block-store
Deviations: none.
"""

from __future__ import annotations

from primitives import dag_cbor
from primitives.cid import DAG_CBOR, DAG_PB, Cid
from primitives.errors import LimitExceeded
from storage import limits
from storage.dag_pb import decode_node


def find_links(cid: Cid, block: bytes) -> list[Cid]:
    """Return the links in the order of the bytes. Raises InvalidMessage, LimitExceeded."""
    if cid.codec == DAG_CBOR:
        links = dag_cbor.links(dag_cbor.decode(block, limits.BLOCK_BYTES_MAX))
    elif cid.codec == DAG_PB:
        links = [link.cid for link in decode_node(block).links]
    else:
        links = []
    if len(links) > limits.DAG_LINKS_MAX:
        raise LimitExceeded(f"{len(links)} links in one block, the limit is {limits.DAG_LINKS_MAX}")
    return links
