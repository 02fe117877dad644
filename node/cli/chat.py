"""Read and write messages in public rooms; the group of all chat commands.

Rule: messages are signed in this process.
Spec: docs/reference/cli.md; docs/spec/chat.md. Deviations: none.
"""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import quote

import click

from node.cli import http
from node.cli.chat_direct import direct, format_line, post_message
from node.cli.context import Context, json_option
from node.cli.show import show_json
from node.cli.wallet_options import key_option, password_option

POLL_S = 1.0


@click.group()
def chat() -> None:
    """Read and write messages.

    \b
    Example:
      omnibazaar chat send lobby "good morning"
    """


chat.add_command(direct)


@chat.command()
@json_option
@click.pass_obj
def rooms(context: Context, as_json: bool) -> None:
    """List the public rooms.

    \b
    Example:
      omnibazaar chat rooms
    """
    found = http.get(context.find_url(), "/v1/chat/rooms")
    if as_json:
        show_json(found)
        return
    for room in found["rooms"]:
        click.echo(f"{room['name']:<16} {room['messages']} messages")


@chat.command()
@click.argument("room")
@click.argument("text")
@key_option
@password_option
@json_option
@click.pass_obj
def send(
    context: Context, room: str, text: str, key: str, password_file: Path | None, as_json: bool
) -> None:
    """Send a message to a room; everybody can read it.

    \b
    Example:
      omnibazaar chat send lobby "good morning" --as alice
    """
    from chat.payload import RoomMessage

    secret = context.load_key(key, password_file)
    url = context.find_url()
    room = _find_room(url, room)
    newest = http.get(url, _messages_path(room), limit=1)["messages"]
    now_ms = time.time_ns() // 1_000_000
    message = RoomMessage(
        domain=context.find_domain(url),
        author=secret.address,
        time_ms=now_ms,
        delegation=None,
        lamport=max(now_ms, newest[-1]["lamport"] + 1 if newest else 0),
        room=room,
        text=text,
    )
    receipt = post_message(url, _messages_path(room), message, secret)
    show_json(receipt) if as_json else click.echo(f"stored  {receipt['id']}")


@chat.command()
@click.argument("room")
@click.option("-n", "--lines", default=20, show_default=True, help="Newest messages shown.")
@click.option("-f", "--follow", is_flag=True, help="Wait for more.")
@json_option
@click.pass_obj
def read(context: Context, room: str, lines: int, follow: bool, as_json: bool) -> None:
    """Read a room.

    \b
    Example:
      omnibazaar chat read lobby -f
    """
    url = context.find_url()
    room = _find_room(url, room)
    seen: set[str] = set()
    while True:
        found = http.get(url, _messages_path(room), limit=lines)
        if as_json and not follow:
            show_json(found)
            return
        for message in found["messages"]:
            if message["id"] in seen:
                continue
            seen.add(message["id"])
            show_json(message) if as_json else click.echo(format_line(message))
        if not follow:
            return
        time.sleep(POLL_S)


def _find_room(url: str, name: str) -> str:
    """Return a room as the node spells it. Raises click.UsageError."""
    rooms = [room["name"] for room in http.get(url, "/v1/chat/rooms")["rooms"]]
    for room in rooms:
        if room.lower() == name.lower():
            return str(room)
    raise click.UsageError(f"there is no room {name!r}; there are {', '.join(rooms)}")


def _messages_path(room: str) -> str:
    return f"/v1/chat/rooms/{quote(room, safe='')}/messages"
