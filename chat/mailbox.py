"""One person's direct messages: own keys, conversations, sealing and opening.

Rule: a mailbox is a value; what a function returns replaces it and must be stored before a sealed
message is sent. Nodes see who writes to whom and when, never what.
Spec: Signal, "The X3DH Key Agreement Protocol" (2016); docs/spec/chat.md (Direct messages).
Deviations: no one-time prekeys, because a replicated store cannot hand one out only once; until
the answer, the messages of a conversation are only as secret as the prekey, which is deleted after
four weeks or so.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from chat import limits
from chat.curve import Entropy, agree, compute_public, derive
from chat.envelope import verify_text
from chat.payload import Address, Key, KeyNumber, PrekeyBundle, TimeMs
from chat.ratchet import (
    Header,
    Ratchet,
    decrypt_message,
    encrypt_message,
    start_receiving,
    start_sending,
)
from primitives.codec import decode, encode
from primitives.errors import InvalidMessage, LimitExceeded
from primitives.keccak import keccak256

VERSION: Final = 1
PREKEY_AGE_MS_MAX: Final = 7 * 86_400_000  # then a bundle gets a new prekey


class Opening(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What the one who was written to needs to begin; sent along until they answer."""

    identity: Key
    ephemeral: Key
    number: KeyNumber  # of the prekey


class Sealed(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The content of a direct message."""

    version: int
    opening: Opening | None
    header: Header
    ciphertext: bytes


class OwnPrekey(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A prekey of ours. Secret."""

    number: KeyNumber
    secret: Key
    made_ms: TimeMs


class Session(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One conversation, begun by either side. Secret."""

    ephemeral: Key  # names the session
    associated: bytes  # both identities and addresses, the beginner's first
    opening: Opening | None  # to send along until the other side answers
    ratchet: Ratchet


class Correspondent(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Somebody we write with."""

    identity: Key  # the newest one seen
    sessions: tuple[Session, ...]  # the one used last comes first
    ephemerals: tuple[bytes, ...]  # of sessions they began, so that none begins twice


class Opened(Struct, frozen=True, kw_only=True):
    """A message that was read."""

    text: str
    is_new_identity: bool  # the sender's identity key was never seen: compare fingerprints


class Mailbox(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Everything one person must keep to read their direct messages. Secret."""

    version: int
    address: Address
    identity: Key  # secret
    prekeys: tuple[OwnPrekey, ...] = ()  # newest last
    correspondents: dict[bytes, Correspondent] = {}


def create_mailbox(address: bytes, entropy: Entropy) -> Mailbox:
    """Make an empty mailbox with a new identity key."""
    return Mailbox(VERSION, address, entropy(limits.KEY_BYTES))


def encode_mailbox(mailbox: Mailbox) -> bytes:
    """Return the bytes to store, in a place nobody else can read."""
    return encode(mailbox)


def decode_mailbox(data: bytes) -> Mailbox:
    """Read a stored mailbox. Raises InvalidMessage."""
    mailbox: Mailbox = decode(data, Mailbox, max_bytes=limits.MAILBOX_BYTES_MAX)
    if mailbox.version != VERSION:
        raise InvalidMessage(f"a mailbox of version {mailbox.version}, not {VERSION}")
    return mailbox


def compute_fingerprint(identity: bytes) -> str:
    """Return what two people compare over another channel: 60 digits in groups of five."""
    number = int.from_bytes(keccak256(b"OmniBazaar chat identity" + identity), "big")
    digits = f"{number % 10**60:060d}"
    return " ".join(digits[at : at + 5] for at in range(0, 60, 5))


def renew_prekey(mailbox: Mailbox, now_ms: int, entropy: Entropy) -> Mailbox:
    """Return a mailbox whose newest prekey is younger than a week."""
    if mailbox.prekeys and now_ms - mailbox.prekeys[-1].made_ms < PREKEY_AGE_MS_MAX:
        return mailbox
    number = mailbox.prekeys[-1].number + 1 if mailbox.prekeys else 1
    prekey = OwnPrekey(number, entropy(limits.KEY_BYTES), now_ms)
    kept = (*mailbox.prekeys, prekey)[-limits.OWN_PREKEYS_MAX :]
    return msgspec.structs.replace(mailbox, prekeys=kept)


def make_bundle(mailbox: Mailbox, domain: bytes, now_ms: int) -> PrekeyBundle:
    """Return the bundle to sign and publish; renew the prekey first."""
    assert mailbox.prekeys, "renew_prekey comes before make_bundle"
    newest = mailbox.prekeys[-1]
    return PrekeyBundle(
        domain=domain,
        author=mailbox.address,
        time_ms=now_ms,
        delegation=None,
        identity=compute_public(mailbox.identity),
        prekey=compute_public(newest.secret),
        number=newest.number,
        expiry_ms=now_ms + limits.PREKEY_LIFETIME_MS_MAX,
    )


def seal(
    mailbox: Mailbox, to: bytes, text: str, bundle: PrekeyBundle | None, entropy: Entropy
) -> tuple[Mailbox, bytes]:
    """Encrypt a text for `to`; a verified bundle is needed for the first message to them.

    Raises PeerError without a conversation or bundle, or for a text that may not be sent.
    """
    verify_text(text)
    known = mailbox.correspondents.get(to)
    if known is None or not known.sessions:
        session = _begin(mailbox, to, bundle, entropy)
        known = known or Correspondent(_get_identity(bundle), (), ())
    else:
        session = known.sessions[0]
    ratchet, header, ciphertext = encrypt_message(
        session.ratchet, text.encode(), _bind(session.associated, session.opening)
    )
    session = msgspec.structs.replace(session, ratchet=ratchet)
    after = _put_first(known, session)
    return _keep(mailbox, to, after), encode(Sealed(VERSION, session.opening, header, ciphertext))


def unseal(
    mailbox: Mailbox, sender: bytes, data: bytes, entropy: Entropy
) -> tuple[Mailbox, Opened]:
    """Decrypt a message whose sender `envelope.verify` has proven. Raises PeerError.

    A message that was read before, or that was not meant for this mailbox, is an InvalidMessage.
    """
    sealed: Sealed = decode(data, Sealed, max_bytes=limits.SEALED_BYTES_MAX)
    if sealed.version != VERSION:
        raise InvalidMessage(f"a direct message of version {sealed.version}, not {VERSION}")
    known = mailbox.correspondents.get(sender)
    if sealed.opening is None:
        if known is None:
            raise InvalidMessage("no conversation with this sender")
        session, text = _try_all(known.sessions, sealed, entropy)
        return _keep(mailbox, sender, _put_first(known, session)), Opened(
            text=text, is_new_identity=False
        )
    identity = sealed.opening.identity
    is_new_identity = known is None or identity != known.identity
    known = known or Correspondent(identity, (), ())
    session, known = _find_or_accept(mailbox, sender, known, sealed.opening)
    session, text = _decrypt(session, sealed, entropy)
    known = msgspec.structs.replace(_put_first(known, session), identity=identity)
    return _keep(mailbox, sender, known), Opened(text=text, is_new_identity=is_new_identity)


# Sessions


def _begin(mailbox: Mailbox, to: bytes, bundle: PrekeyBundle | None, entropy: Entropy) -> Session:
    """Begin a conversation with the owner of a bundle."""
    if bundle is None or bundle.author != to:
        raise InvalidMessage("the first message to somebody needs their prekey bundle")
    if to == mailbox.address:
        raise InvalidMessage("nobody writes to themselves")
    secret = entropy(limits.KEY_BYTES)
    shared = (
        agree(mailbox.identity, bundle.prekey)
        + agree(secret, bundle.identity)
        + agree(secret, bundle.prekey)
    )
    opening = Opening(compute_public(mailbox.identity), compute_public(secret), bundle.number)
    associated = opening.identity + bundle.identity + mailbox.address + to
    ratchet = start_sending(_derive_root(shared, associated), bundle.prekey, entropy)
    return Session(opening.ephemeral, associated, opening, ratchet)


def _find_or_accept(
    mailbox: Mailbox, sender: bytes, known: Correspondent, opening: Opening
) -> tuple[Session, Correspondent]:
    """Return the session that an opening names, begun now if it is new."""
    for session in known.sessions:
        if session.ephemeral == opening.ephemeral:
            return session, known
    if opening.ephemeral in known.ephemerals:
        raise InvalidMessage("this conversation has ended; the message may be a replay")
    secret = next((own.secret for own in mailbox.prekeys if own.number == opening.number), None)
    if secret is None:
        raise InvalidMessage("sealed to a prekey that no longer exists")
    shared = (
        agree(secret, opening.identity)
        + agree(mailbox.identity, opening.ephemeral)
        + agree(secret, opening.ephemeral)
    )
    own = compute_public(mailbox.identity)
    associated = opening.identity + own + sender + mailbox.address
    ratchet = start_receiving(_derive_root(shared, associated), secret)
    session = Session(opening.ephemeral, associated, None, ratchet)
    ephemerals = (*known.ephemerals, opening.ephemeral)[-limits.EPHEMERALS_REMEMBERED_MAX :]
    return session, msgspec.structs.replace(known, ephemerals=ephemerals)


def _try_all(
    sessions: tuple[Session, ...], sealed: Sealed, entropy: Entropy
) -> tuple[Session, str]:
    """Decrypt with whichever session can."""
    for session in sessions:
        try:
            return _decrypt(session, sealed, entropy)
        except (InvalidMessage, LimitExceeded):
            continue
    raise InvalidMessage("no conversation with this sender can decrypt the message")


def _decrypt(session: Session, sealed: Sealed, entropy: Entropy) -> tuple[Session, str]:
    ratchet, data = decrypt_message(
        session.ratchet,
        sealed.header,
        sealed.ciphertext,
        _bind(session.associated, sealed.opening),
        entropy,
    )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidMessage("the text is no Unicode") from error
    verify_text(text)
    # An answer proves that the other side has begun, so the opening need not be sent again.
    return msgspec.structs.replace(session, ratchet=ratchet, opening=None), text


def _derive_root(shared: bytes, associated: bytes) -> bytes:
    return derive(shared, bytes(32), b"OmniBazaar chat session 1" + associated, limits.KEY_BYTES)


def _bind(associated: bytes, opening: Opening | None) -> bytes:
    return associated + encode(opening)


def _get_identity(bundle: PrekeyBundle | None) -> bytes:
    assert bundle is not None, "a conversation was begun with it"
    return bundle.identity


def _put_first(known: Correspondent, session: Session) -> Correspondent:
    others = tuple(item for item in known.sessions if item.ephemeral != session.ephemeral)
    sessions = (session, *others)[: limits.SESSIONS_PER_PEER_MAX]
    return msgspec.structs.replace(known, sessions=sessions)


def _keep(mailbox: Mailbox, address: bytes, known: Correspondent) -> Mailbox:
    if (
        address not in mailbox.correspondents
        and len(mailbox.correspondents) >= limits.PEERS_PER_MAILBOX_MAX
    ):
        raise LimitExceeded(f"a mailbox keeps {limits.PEERS_PER_MAILBOX_MAX} correspondents")
    correspondents = {**mailbox.correspondents, address: known}
    return msgspec.structs.replace(mailbox, correspondents=correspondents)
