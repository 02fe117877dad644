"""Know every file of a data directory and which of them must never be lost.

Rule: keys/, signing/ and chat/ are precious and nothing in the program deletes them; chain/ and
cache/ can be rebuilt; logs/ and run/ can go. Ownership is an operating-system lock, never the
existence of a file.
Spec: docs/reference/data-directory.md. Deviations: none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from primitives.errors import ConfigError, DataDirInUse, NotRunning, WrongNetwork

LAYOUT_VERSION: Final = 1
PRECIOUS: Final = ("keys", "signing", "chat")
REBUILDABLE: Final = ("chain", "cache")
DISPOSABLE: Final = ("logs",)
OTHER: Final = ("backups", "run")
SMALL_FILE_BYTES_MAX: Final = 4_096
TOKEN_BYTES: Final = 32

README: Final = """\
OmniBazaar data directory. What may be deleted while the node is stopped:
  keys/ signing/ chat/   NEVER. Keys, the record of what they signed, your messages.
  chain/ cache/          yes; the node fetches or rebuilds them.
  logs/ run/             yes, always.
  backups/ config.toml network.json LAYOUT   yours; keep them.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the running daemon listens, from run/api.toml."""

    url: str
    pid: int


@dataclass(frozen=True, slots=True)
class DataDir:
    """One data directory. Paths only; `create` makes them."""

    root: Path

    @property
    def config_file(self) -> Path:
        """The user's settings."""
        return self.root / "config.toml"

    @property
    def network_file(self) -> Path:
        """The network this directory belongs to."""
        return self.root / "network.json"

    @property
    def layout_file(self) -> Path:
        """Version of the layout, network and genesis hash."""
        return self.root / "LAYOUT"

    @property
    def keys(self) -> Path:
        """Precious: keystores and the p2p identity."""
        return self.root / "keys"

    @property
    def node_key_file(self) -> Path:
        """The p2p identity: 32 bytes of an Ed25519 seed, in hex."""
        return self.keys / "node.key"

    @property
    def signing(self) -> Path:
        """Precious: the signing guard."""
        return self.root / "signing"

    @property
    def guard_file(self) -> Path:
        """The signing guard's database."""
        return self.signing / "signing.sqlite"

    def outbox(self, purpose: str) -> Path:
        """Precious: EVM transactions that are signed and not yet confirmed (`node`, `wallet`)."""
        return self.signing / "outbox" / purpose

    @property
    def distrust_file(self) -> Path:
        """Stands while the history may be older than what the key has signed."""
        return self.signing / "DISTRUSTED"

    @property
    def doppelganger_file(self) -> Path:
        """Stands after our key was found in use elsewhere, until somebody removes it."""
        return self.signing / "DOPPELGANGER"

    @property
    def chat(self) -> Path:
        """Precious: messages cannot be fetched again."""
        return self.root / "chat"

    @property
    def chain(self) -> Path:
        """Rebuildable: blocks, journal, state."""
        return self.root / "chain"

    @property
    def ballots_file(self) -> Path:
        """Rebuildable: signatures of open decisions about vaults, which other nodes repeat."""
        return self.chain / "ballots.sqlite"

    @property
    def snapshots(self) -> Path:
        """Rebuildable: state at checkpoints."""
        return self.chain / "snapshots"

    @property
    def cache(self) -> Path:
        """Rebuildable."""
        return self.root / "cache"

    @property
    def logs(self) -> Path:
        """Disposable."""
        return self.root / "logs"

    @property
    def log_file(self) -> Path:
        """The log that is always written, one JSON object per line."""
        return self.logs / "node.jsonl"

    @property
    def backups(self) -> Path:
        """The user's."""
        return self.root / "backups"

    @property
    def run(self) -> Path:
        """Ephemeral: lock, api.toml, token."""
        return self.root / "run"

    @property
    def lock_file(self) -> Path:
        """Locked by the daemon for its lifetime."""
        return self.run / "lock"

    @property
    def api_file(self) -> Path:
        """URL and process id of the running daemon."""
        return self.run / "api.toml"

    @property
    def sync_file(self) -> Path:
        """How far catching up is, while it lasts."""
        return self.run / "sync.json"

    @property
    def token_file(self) -> Path:
        """The operator's token."""
        return self.run / "token"

    def exists(self) -> bool:
        """True when `create` has been here."""
        return self.layout_file.is_file()

    def create(self, network: str, genesis_hash: bytes) -> None:
        """Make all folders, private to the user. Raises WrongNetwork or ConfigError."""
        if self.exists():
            self.verify_layout(genesis_hash)
        with _readable_errors(self.root):
            for folder in (self.root, *map(self.root.joinpath, PRECIOUS + REBUILDABLE)):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.snapshots, *map(self.root.joinpath, DISPOSABLE + OTHER)):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.root / "README.txt").write_text(README)
            if not self.exists():
                text = f'layout = {LAYOUT_VERSION}\nnetwork = "{network}"\n'
                write_atomic(self.layout_file, f'{text}genesis = "0x{genesis_hash.hex()}"\n')

    def verify_layout(self, genesis_hash: bytes) -> None:
        """Raise WrongNetwork or ConfigError unless the directory belongs to this network."""
        layout = _read_toml(self.layout_file)
        version = layout.get("layout")
        if version != LAYOUT_VERSION:
            raise ConfigError(
                f"{self.root} has the layout {version!r}, this program knows {LAYOUT_VERSION}",
                code="DIR003",
                fix="use the program that made it, or a new --data-dir",
                exit_code=13,
            )
        if layout.get("genesis") != "0x" + genesis_hash.hex():
            raise WrongNetwork(
                f"{self.root} belongs to the network {layout.get('network')!r} with the genesis "
                f"{layout.get('genesis')}, the network file is 0x{genesis_hash.hex()}",
                fix="use another --data-dir for another network",
            )

    def verify_permissions(self) -> None:
        """Raise ConfigError when others could read what is secret."""
        for path in (self.keys, self.signing, *sorted(self.keys.glob("*"))):
            if path.exists() and path.stat().st_mode & 0o077:
                raise ConfigError(
                    f"{path} can be read by other users of this machine",
                    code="DIR002",
                    fix=f"chmod -R go= {path}",
                    exit_code=10,
                )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Own the directory while inside. Raises DataDirInUse that names the holder."""
        with _readable_errors(self.root):
            self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self._in_use(os.pread(file, SMALL_FILE_BYTES_MAX, 0).decode()) from None
            with _readable_errors(self.root):
                os.ftruncate(file, 0)
                os.pwrite(file, f"pid = {os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(file)  # also releases the lock

    def verify_free(self) -> None:
        """Raise DataDirInUse while a daemon owns the directory."""
        if self.is_locked():
            raise self._in_use(self.lock_file.read_text(errors="replace")[:SMALL_FILE_BYTES_MAX])

    def is_locked(self) -> bool:
        """True while a daemon owns the directory."""
        try:
            file = os.open(self.lock_file, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    @contextlib.contextmanager
    def announce(self, url: str) -> Iterator[None]:
        """Tell the command line where the daemon listens, while inside."""
        write_atomic(self.api_file, f'url = "{url}"\npid = {os.getpid()}\n')
        try:
            yield
        finally:
            self.api_file.unlink(missing_ok=True)

    def find_daemon(self) -> Endpoint:
        """Return where the running daemon listens. Raises NotRunning."""
        is_locked = self.is_locked()
        if is_locked and not self.api_file.is_file():
            raise NotRunning(
                f"the daemon of {self.root} is starting, stopping, or busy without an API",
                fix="try again in a moment; `omnibazaar logs` shows what it does",
            )
        if not is_locked:
            raise NotRunning(
                f"no daemon runs in {self.root}",
                fix="start it with `omnibazaar run`, or name another one with --data-dir or --url",
            )
        values = _read_toml(self.api_file)
        pid = values.get("pid")
        return Endpoint(url=str(values.get("url", "")), pid=pid if isinstance(pid, int) else 0)

    def token(self) -> str:
        """Return the operator's token, made when there is none."""
        if self.token_file.is_file():
            text = self.token_file.read_text().strip()
            if len(text) >= TOKEN_BYTES:
                return text
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(self.token_file, token + "\n")
        return token

    def _in_use(self, text: str) -> DataDirInUse:
        with contextlib.suppress(tomllib.TOMLDecodeError):
            pid = tomllib.loads(text).get("pid", "?")
            return DataDirInUse(
                f"the data directory {self.root} is in use by omnibazaar, process {pid}",
                fix=f"stop it (kill {pid}), or use another --data-dir",
            )
        return DataDirInUse(f"the data directory {self.root} is in use", fix="stop the other one")


def default_root(network: str) -> Path:
    """Return `~/.omnibazaar/<network>`, or what OMNIBAZAAR_HOME says."""
    home = os.environ.get("OMNIBAZAAR_HOME")
    return Path(home) if home else Path.home() / ".omnibazaar" / network


def write_atomic(path: Path, text: str | bytes, mode: int = 0o600) -> None:
    """Write a file so that after a crash there is the old or the new one, never a part.

    Raises OSError when the disk refuses; the old one is there then.
    """
    write_draft(path, text.encode() if isinstance(text, str) else text, os.replace, mode)


def write_new(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that must not exist, whole or not at all. Raises OSError, FileExistsError."""
    write_draft(path, data, _give_name, mode)


def write_draft(path: Path, data: bytes, publish: Callable[[Path, Path], None], mode: int) -> None:
    """Write a file under another name, have it on the disk, then let it have its own name."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(file, left) :]  # a disk that fills up takes a part of it
            os.fsync(file)
        finally:
            os.close(file)
        publish(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _give_name(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)  # never over another file
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.replace(draft, path)


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}",
            code="DIR003",
            fix="`omnibazaar init` makes a new data directory",
        ) from None


@contextlib.contextmanager
def _readable_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{error.filename or root}: {error.strerror}",
            code="DIR004",
            fix="make the place writable for this user, or use another --data-dir",
        ) from None
