"""Answer for blocks, settlement and content by CID.

Rule: only final blocks are shown; content from `/ipfs` is handed out as bytes the browser must not
run.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from node.api.chain_views import BlockDetail, Blocks
from node.api.endpoint import Answer, Call, Endpoint, Parameter
from node.api.errors import ApiError
from node.api.limits import PAGE_DEFAULT, PAGE_MAX
from node.api.settlement_views import Settlement, WithdrawalProof

FROM = Parameter(name="from", kind="integer", about="highest height to return; default: newest")
LIMIT = Parameter(
    name="limit",
    kind="integer",
    about="rows per page",
    minimum=1,
    maximum=PAGE_MAX,
    default=PAGE_DEFAULT,
)
BLOCK = Parameter(name="block", kind="height_or_hash", about="height, or 0x and 64 hex digits")
INDEX = Parameter(name="index", kind="integer", about="the withdrawal's leaf in its tree")
CID = Parameter(name="cid", kind="text", about="a CID", maximum=128)
FORMAT = Parameter(name="format", kind="text", about="raw or car", maximum=8, default="")


async def get_blocks(call: Call) -> Blocks:
    """Return final blocks downwards from a height."""
    return Blocks(blocks=await call.service.blocks(call.values["from"], call.values["limit"]))


async def get_block(call: Call) -> BlockDetail:
    """Return one final block."""
    block = await call.service.block(call.values["block"])
    if block is None:
        raise ApiError(
            "not_found",
            "this node holds no such final block",
            fix="It may be pruned here or not final yet; ask an archive node.",
        )
    return block


async def get_settlement(call: Call) -> Settlement:
    """Return what the EVM side has accepted."""
    return await call.service.settlement()


async def get_withdrawal_proof(call: Call) -> WithdrawalProof:
    """Return the proof `Settlement.withdraw` wants."""
    proof = await call.service.withdrawal_proof(call.values["index"])
    if proof is None:
        raise ApiError(
            "not_found",
            f"no checkpoint on chain covers a withdrawal {call.values['index']} yet",
            risk="none; a withdrawal on the ledger stays valid",
            fix="Try again after the next one, and look that it is listed: `wallet withdrawals`.",
        )
    return proof


async def get_ipfs(call: Call) -> Answer:
    """Return a block or a CAR of it."""
    answer = await call.service.ipfs(call.values["cid"], call.values["format"], call.headers)
    media_type = "application/octet-stream"
    others = []
    for name, value in answer.headers:
        if name.lower() == "content-type":
            media_type = value
        else:
            others.append((name, value))
    return Answer(
        body=answer.body, media_type=media_type, status=answer.status, headers=tuple(others)
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/blocks",
        summary="Final blocks, newest first",
        handler=get_blocks,
        answer=Blocks,
        parameters=(FROM, LIMIT),
    ),
    Endpoint(
        method="GET",
        path="/v1/blocks/{block}",
        summary="One final block",
        handler=get_block,
        answer=BlockDetail,
        parameters=(BLOCK,),
    ),
    Endpoint(
        method="GET",
        path="/v1/settlement",
        summary="Checkpoints, fees and vaults",
        handler=get_settlement,
        answer=Settlement,
    ),
    Endpoint(
        method="GET",
        path="/v1/settlement/withdrawals/{index}/proof",
        summary="A Merkle proof for the contract",
        handler=get_withdrawal_proof,
        answer=WithdrawalProof,
        parameters=(INDEX,),
    ),
    Endpoint(
        method="GET",
        path="/ipfs/{cid}",
        summary="Trustless gateway: raw block or CAR",
        handler=get_ipfs,
        answer="application/vnd.ipld.raw",
        parameters=(CID, FORMAT),
    ),
)
