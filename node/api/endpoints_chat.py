"""Answer for chat: rooms, direct messages and the keys to write to someone.

Rule: a message is stored exactly as it was signed; the node cannot read a direct one.
Spec: docs/reference/api.md. Deviations: none.
"""

from __future__ import annotations

from node.api.bodies import SignedBody, envelope
from node.api.chat_views import ChatPage, ChatReceipt, ChatRooms, DirectMessages, Prekeys
from node.api.endpoint import Call, Endpoint, Parameter
from node.api.limits import PAGE_DEFAULT, PAGE_MAX, ROOM_NAME_CHARS_MAX

ROOM = Parameter(name="room", kind="text", about="a room's name", maximum=ROOM_NAME_CHARS_MAX)
LIMIT = Parameter(
    name="limit",
    kind="integer",
    about="rows per page",
    minimum=1,
    maximum=PAGE_MAX,
    default=PAGE_DEFAULT,
)
CURSOR = Parameter(name="cursor", kind="text", about="the cursor of the page before", maximum=128)
ADDRESS = Parameter(name="address", kind="address", about="0x and 40 hex digits")
AFTER = Parameter(name="after_ms", kind="integer", about="newer than this time", default=0)


async def get_rooms(call: Call) -> ChatRooms:
    """Return the public rooms."""
    return ChatRooms(rooms=await call.service.chat_rooms())


async def get_messages(call: Call) -> ChatPage:
    """Return a page of a room's messages."""
    values = call.values
    return await call.service.chat_messages(values["room"], values["limit"], values["cursor"])


async def post_message(call: Call) -> ChatReceipt:
    """Store a signed message and pass it on."""
    return await call.service.chat_post(call.values["room"], envelope(call.body))


async def get_direct(call: Call) -> DirectMessages:
    """Return the sealed messages to an address."""
    values = call.values
    messages = await call.service.direct_messages(
        values["address"], values["limit"], values["after_ms"]
    )
    return DirectMessages(messages=messages)


async def post_direct(call: Call) -> ChatReceipt:
    """Store a sealed message and pass it on."""
    return await call.service.direct_post(envelope(call.body))


async def get_prekeys(call: Call) -> Prekeys:
    """Return the keys under which an address can be written to."""
    return Prekeys(prekeys=await call.service.prekeys(call.values["address"]))


async def post_prekey(call: Call) -> ChatReceipt:
    """Publish a signed key."""
    return await call.service.prekey_post(envelope(call.body))


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/chat/rooms",
        summary="Public rooms",
        handler=get_rooms,
        answer=ChatRooms,
    ),
    Endpoint(
        method="GET",
        path="/v1/chat/rooms/{room}/messages",
        summary="Messages of a room",
        handler=get_messages,
        answer=ChatPage,
        parameters=(ROOM, LIMIT, CURSOR),
    ),
    Endpoint(
        method="POST",
        path="/v1/chat/rooms/{room}/messages",
        summary="Send to a room",
        handler=post_message,
        answer=ChatReceipt,
        body=SignedBody,
        parameters=(ROOM,),
    ),
    Endpoint(
        method="GET",
        path="/v1/chat/direct/{address}",
        summary="Sealed messages to someone",
        handler=get_direct,
        answer=DirectMessages,
        parameters=(ADDRESS, LIMIT, AFTER),
    ),
    Endpoint(
        method="POST",
        path="/v1/chat/direct",
        summary="Send a sealed message",
        handler=post_direct,
        answer=ChatReceipt,
        body=SignedBody,
    ),
    Endpoint(
        method="GET",
        path="/v1/chat/prekeys/{address}",
        summary="Keys to write to someone",
        handler=get_prekeys,
        answer=Prekeys,
        parameters=(ADDRESS,),
    ),
    Endpoint(
        method="POST",
        path="/v1/chat/prekeys",
        summary="Publish a signed key",
        handler=post_prekey,
        answer=ChatReceipt,
        body=SignedBody,
    ),
)
