"""Rooms, messages and keys of the chat, as the API shows them.

Rule: what was signed is shown as its bytes, beside what they say.
Spec: docs/reference/api.md (Chat). Deviations: none.
"""

from __future__ import annotations

from node.api.views import Address, Hex, View


class ChatRoom(View, frozen=True, kw_only=True):
    """A public room."""

    name: str
    title: str
    messages: int
    last_ms: int


class ChatMessage(View, frozen=True, kw_only=True):
    """One signed message of a room."""

    id: Hex
    room: str
    author: Address
    time_ms: int
    lamport: int
    text: str
    payload: Hex  # the signed bytes
    signature: Hex


class ChatPage(View, frozen=True, kw_only=True):
    """Oldest first within the page; `cursor` leads to older ones."""

    messages: tuple[ChatMessage, ...]
    cursor: str | None


class DirectMessage(View, frozen=True, kw_only=True):
    """A sealed message the node relays and cannot read."""

    id: Hex
    sender: Address
    to: Address
    time_ms: int
    payload: Hex
    signature: Hex


class Prekey(View, frozen=True, kw_only=True):
    """A signed X25519 key under which its owner can be written to."""

    owner: Address
    payload: Hex
    signature: Hex


class ChatReceipt(View, frozen=True, kw_only=True):
    """The node has stored the message and passes it on."""

    id: Hex
    stored: bool


class ChatRooms(View, frozen=True, kw_only=True):
    """Public rooms."""

    rooms: tuple[ChatRoom, ...]


class DirectMessages(View, frozen=True, kw_only=True):
    """Sealed messages, oldest first."""

    messages: tuple[DirectMessage, ...]


class Prekeys(View, frozen=True, kw_only=True):
    """Published keys of one owner."""

    prekeys: tuple[Prekey, ...]
