"""Write to one person so that only they can read it.

Rule: messages are sealed in this process; the mailbox lies in the precious folder chat/ and is
stored before anything sealed is sent.
Spec: docs/reference/cli.md; docs/spec/chat.md. Deviations: none.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from node.cli import http
from node.cli.context import Context, json_option
from node.cli.show import shorten, show_json
from node.cli.wallet_options import key_option, password_option
from primitives.errors import InvalidMessage, OperatorError, PeerError

if TYPE_CHECKING:
    from chat.mailbox import Mailbox
    from chat.payload import AnyPayload
    from primitives.secp256k1 import PrivateKey


@click.group()
def direct() -> None:
    """Write to one person so that only they can read it.

    \b
    Example:
      omnibazaar chat direct open && omnibazaar chat direct read
    """


@direct.command(name="open")
@key_option
@password_option
@json_option
@click.pass_obj
def open_(context: Context, key: str, password_file: Path | None, as_json: bool) -> None:
    """Publish the keys under which others can write to you.

    \b
    Example:
      omnibazaar chat direct open --as alice
    """
    from chat.curve import compute_public
    from chat.mailbox import compute_fingerprint, make_bundle, renew_prekey

    secret = context.load_key(key, password_file)
    url = context.find_url()
    now_ms = time.time_ns() // 1_000_000
    mailbox = renew_prekey(_load_mailbox(context, secret), now_ms, os.urandom)
    _store_mailbox(context, mailbox)
    bundle = make_bundle(mailbox, context.find_domain(url), now_ms)
    receipt = post_message(url, "/v1/chat/prekeys", bundle, secret)
    fingerprint = compute_fingerprint(compute_public(mailbox.identity))
    if as_json:
        show_json({**receipt, "fingerprint": fingerprint})
    else:
        click.echo(f"open for direct messages; your fingerprint:\n  {fingerprint}")


@direct.command(name="send")
@click.argument("to")
@click.argument("text")
@key_option
@password_option
@json_option
@click.pass_obj
def direct_send(
    context: Context, to: str, text: str, key: str, password_file: Path | None, as_json: bool
) -> None:
    """Send a sealed message to an address.

    \b
    Example:
      omnibazaar chat direct send 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 "hello"
    """
    from chat.mailbox import seal
    from chat.payload import DirectMessage
    from primitives.address import parse_address

    recipient = parse_address(to)
    secret = context.load_key(key, password_file)
    url = context.find_url()
    domain = context.find_domain(url)
    bundle = _find_bundle(url, to, recipient, domain)
    mailbox = _load_mailbox(context, secret)
    try:
        mailbox, sealed = seal(mailbox, recipient, text, bundle, os.urandom)
    except InvalidMessage as error:
        if bundle is not None:
            raise
        raise OperatorError(
            f"{to} has not opened a mailbox that {url} knows of",
            fix="they type `omnibazaar chat direct open` once; then send it again",
        ) from error
    _store_mailbox(context, mailbox)
    message = DirectMessage(
        domain=domain,
        author=secret.address,
        time_ms=time.time_ns() // 1_000_000,
        delegation=None,
        to=recipient,
        sealed=sealed,
    )
    receipt = post_message(url, "/v1/chat/direct", message, secret)
    show_json(receipt) if as_json else click.echo(f"stored  {receipt['id']}")


@direct.command(name="read")
@key_option
@password_option
@json_option
@click.pass_obj
def direct_read(context: Context, key: str, password_file: Path | None, as_json: bool) -> None:
    """Read sealed messages; each can be opened once and is then shown no more.

    \b
    Example:
      omnibazaar chat direct read --as alice
    """
    from primitives.address import to_checksum

    secret = context.load_key(key, password_file)
    url = context.find_url()
    mailbox = _load_mailbox(context, secret)
    path = f"/v1/chat/direct/{to_checksum(secret.address)}"
    lines, domain = [], context.find_domain(url)
    for message in http.get(url, path, limit=500)["messages"]:
        mailbox, line = _open_message(mailbox, message, domain)
        if line is not None:
            lines.append(line)
    _store_mailbox(context, mailbox)
    if as_json:
        show_json({"messages": lines})
        return
    for line in lines:
        mark = "  (new identity: compare fingerprints)" if line["new_identity"] else ""
        click.echo(format_line(line) + mark)
    if not lines:
        click.echo("no new messages")


def _open_message(
    mailbox: Mailbox, message: dict[str, Any], domain: bytes
) -> tuple[Mailbox, dict[str, Any] | None]:
    """Verify and open one message; what was read before or is not for us is left out."""
    from chat.envelope import Envelope, OpenDirectory, verify
    from chat.mailbox import unseal
    from chat.payload import DirectMessage

    envelope = Envelope(_unhex(message["payload"]), _unhex(message["signature"]))
    try:
        payload = verify(envelope, domain, OpenDirectory()).payload
        if not isinstance(payload, DirectMessage):
            return mailbox, None
        mailbox, opened = unseal(mailbox, payload.author, payload.sealed, os.urandom)
    except PeerError:
        return mailbox, None
    return mailbox, {
        "author": message["sender"],
        "time_ms": payload.time_ms,
        "text": opened.text,
        "new_identity": opened.is_new_identity,
    }


def _find_bundle(url: str, to: str, owner: bytes, domain: bytes) -> Any:
    """Return the newest verified prekey bundle of an address, or None."""
    from chat.envelope import Envelope, OpenDirectory, verify
    from chat.payload import PrekeyBundle

    for prekey in http.get(url, f"/v1/chat/prekeys/{to}")["prekeys"]:
        envelope = Envelope(_unhex(prekey["payload"]), _unhex(prekey["signature"]))
        payload = verify(envelope, domain, OpenDirectory()).payload
        if isinstance(payload, PrekeyBundle) and payload.author == owner:
            return payload
    return None


def post_message(url: str, path: str, payload: AnyPayload, key: PrivateKey) -> Any:
    """Sign a message and give it to a node."""
    from chat.envelope import sign

    envelope = sign(payload, key)
    body = {"payload": "0x" + envelope.payload.hex(), "signature": "0x" + envelope.signature.hex()}
    return http.post(url, path, body)


def _mailbox_file(context: Context, address: bytes) -> Path:
    return context.data.chat / f"{address.hex()}.mailbox"


def _load_mailbox(context: Context, key: PrivateKey) -> Mailbox:
    from chat.mailbox import create_mailbox, decode_mailbox

    file = _mailbox_file(context, key.address)
    if file.is_file():
        return decode_mailbox(file.read_bytes())
    return create_mailbox(key.address, os.urandom)


def _store_mailbox(context: Context, mailbox: Mailbox) -> None:
    from chat.mailbox import encode_mailbox
    from node.datadir import write_atomic

    context.data.chat.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(_mailbox_file(context, mailbox.address), encode_mailbox(mailbox))


def format_line(message: dict[str, Any]) -> str:
    """Return a message in one line; what cannot be printed is not."""
    stamp = time.strftime("%H:%M:%S", time.localtime(message["time_ms"] / 1_000))
    text = "".join(ch if ch.isprintable() else "�" for ch in message["text"])
    return f"{stamp}  {shorten(message['author'])}  {text}"


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
