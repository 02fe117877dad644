"""Find what an escape is proven with: an archive from a file, a gateway or a node, and the chain.

Rule: whatever comes from outside is checked against a CID, a root or the vault before it is used.
Spec: docs/how-to/escape.md. Deviations: none.
"""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from contracts.settlement_client import SettlementClient
from contracts.settlement_types import Deposit
from exchange.limits import DEPOSITS_PER_ATTESTATION_MAX
from node.cli import http as node_http
from node.limits import EVM_SCAN_BLOCKS_MAX
from node.network_file import Chain, NetworkFile
from node.replica.ledger import Ledger
from node.settlement.escape_replay import load_archive, rebuild
from primitives.cid import Cid
from primitives.errors import ConfigError, NotRunning
from storage.car import read_blocks, read_roots
from storage.limits import CAR_BYTES_MAX

TIMEOUT_S = 60


def load_ledger(network: NetworkFile, chain: Chain, source: str, cid: str | None) -> Ledger:
    """Return the ledger under a vault's last root. Raises ConfigError, NotRunning, PeerError."""
    if source.startswith(("http://", "https://")):
        root = Cid.parse(cid or _newest_archive(source, chain))
        car = _download(source, root)
    else:
        car = _read(Path(source))
        roots, _ = read_roots(car)
        root = Cid.parse(cid) if cid else roots[0]
    found = dict(read_blocks(car))
    return rebuild(network, load_archive(root, found.get), found.get)


def _newest_archive(url: str, chain: Chain) -> str:
    place = (chain.chain_id, chain.vault.lower())
    for vault in node_http.get(url, "/v1/settlement")["vaults"]:
        if (vault["chain_id"], vault["vault"].lower()) == place and vault["archive"]:
            return str(vault["archive"])
    raise ConfigError(
        "this node keeps no archive for that chain: it has seen no checkpoint accepted there, or "
        "joined after it",
        fix="ask another node with --url, or name an archive with --from and --cid",
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", fix="give a CAR file"
        ) from None


def _download(url: str, root: Cid) -> bytes:
    """Return the CAR of a DAG from any trustless gateway; its blocks are checked by the reader."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", f"{parts.path.rstrip('/')}/ipfs/{root}?format=car")
        answer = connection.getresponse()
        body = answer.read(CAR_BYTES_MAX + 1)
    except (OSError, http.client.HTTPException) as error:
        raise NotRunning(
            f"{url} does not give the archive: {error}", fix="try another gateway with --from"
        ) from None
    finally:
        connection.close()
    if answer.status != 200 or len(body) > CAR_BYTES_MAX:
        raise NotRunning(
            f"{url} does not give {root}: HTTP {answer.status}",
            fix="try another gateway with --from",
        )
    return body


def find_uncredited(client: SettlementClient, chain: Chain, ledger: Ledger) -> list[Deposit]:
    """Return the deposits that the ledger has not credited, looking backwards from the head.

    There may be any number of them: they are asked for by their ids, some at a time.
    """
    cursor = ledger.state.vaults.get((chain.chain_id, chain.vault_bytes))
    credited = 0 if cursor is None else cursor.credited
    last, _ = client.head()
    end = client.status().deposits
    found: list[Deposit] = []
    while last >= chain.first_block and end > credited:
        first = max(chain.first_block, last - EVM_SCAN_BLOCKS_MAX + 1)
        ids = range(max(credited, end - DEPOSITS_PER_ATTESTATION_MAX), end)
        part = client.deposits_in(first, last, ids)
        found += part
        end = min((one.id for one in part), default=end)
        if not part or part[0].id != ids.start:
            last = first - 1  # what is older than these lies before these blocks
    return found


def find_own_withdrawals(
    url: str, client: SettlementClient, chain: Chain, ledger: Ledger, owner: bytes
) -> list[tuple[int, int, int, bytes]]:
    """Return an account's withdrawals that the root knows and the vault has not paid."""
    found: list[tuple[int, int, int, bytes]] = []
    assets = {
        asset.token: asset.id for asset in ledger.state.assets if asset.chain_id == chain.chain_id
    }
    before: int | None = None
    while True:
        rows: list[dict[str, Any]] = node_http.get(
            url, f"/v1/accounts/0x{owner.hex()}/withdrawals", limit=100, before=before
        )["withdrawals"]
        for row in rows:
            asset = assets.get(bytes.fromhex(row["token"][2:]))
            place = (row["chain_id"], row["vault"].lower())
            is_ours = place == (chain.chain_id, chain.vault.lower()) and asset is not None
            is_known = row["index"] < ledger.state.withdrawals.size
            if is_ours and is_known and not client.is_paid(row["index"]):
                assert asset is not None
                to = bytes.fromhex(row["to"][2:])
                found.append((row["index"], asset, int(row["amount"]), to))
        if len(rows) < 100:
            return found
        before = rows[-1]["index"]
