"""Hold what all commands share: which data directory, which node, whether anybody can be asked.

Rule: nothing is asked without a terminal or with `--yes`; heavy modules are imported where used.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import click

from node.datadir import DataDir, default_root
from primitives.errors import ConfigError, KeystoreError, NotRunning, WrongNetwork

if TYPE_CHECKING:
    from node.config import Loaded
    from primitives.secp256k1 import PrivateKey

DEVNET = Path(".devnet/v0")
"""Where a devnet of the current folder has its first validator."""
F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The options before the command."""

    data_dir: Path | None
    network: str
    url: str | None
    yes: bool

    @property
    def data(self) -> DataDir:
        """The data directory meant, made or not."""
        return DataDir((self.data_dir or default_root(self.network)).expanduser())

    @property
    def may_ask(self) -> bool:
        """True when somebody sits at a terminal and wants to be asked."""
        return not self.yes and sys.stdin.isatty()

    def spell(self, command: str) -> str:
        """Return what to type for another command about the same data directory."""
        if self.data_dir is not None:
            return f"{name_program()} -d {self.data_dir} {command}"
        of_network = "" if self.network == "devnet" else f"-n {self.network} "
        return f"{name_program()} {of_network}{command}"

    def load_config(self, flags: dict[str, Any] | None = None) -> Loaded:
        """Return the settings of the data directory. Raises ConfigError."""
        from node.config import load_config

        loaded = load_config(self.data.config_file, environ=os.environ, flags=flags)
        for warning in loaded.warnings:
            click.echo(f"warning: {warning}", err=True)
        return loaded

    def find_url(self) -> str:
        """Return the URL of the node to talk to. Raises NotRunning."""
        url = self.url or os.environ.get("OMNIBAZAAR_URL")
        if url:
            return url.rstrip("/")
        try:
            return self.data.find_daemon().url
        except NotRunning as error:
            if self.data_dir is not None or not DEVNET.is_dir():
                raise
            raise NotRunning(
                str(error),
                fix=f"there is a devnet here: {name_program()} -d {DEVNET} …, if it is up",
            ) from None

    @property
    def network_id(self) -> bytes | None:
        """The network whose file is here; None for a trader who knows a node by URL only."""
        from node.network_file import load_network

        file = self.data.network_file
        return load_network(file).network_id if file.is_file() else None

    def find_domain(self, url: str) -> bytes:
        """Return the EIP-712 domain separator to sign under.

        A node that says to serve another network than the file here is refused: what is signed for
        it could be used there. Without a file its word is all there is. Raises WrongNetwork.
        """
        from node.cli import http
        from primitives.eip712 import network_domain

        said = bytes.fromhex(http.get(url, "/v1/status")["network_id"].removeprefix("0x"))
        if self.network_id not in (None, said):
            raise WrongNetwork(
                f"the node at {url} serves network 0x{said.hex()[:8]}…, not that of "
                f"{self.data.network_file}",
                fix="use a node of this network, or the --data-dir of the other",
            )
        return network_domain(said)

    def find_token(self) -> str:
        """Return the operator's token, which goes to no other machine. Raises NotRunning when it is
        not here, ConfigError when the node asked is elsewhere.
        """
        if not self.data.token_file.is_file():
            raise NotRunning(
                f"there is no operator token in {self.data.run}",
                fix="run this on the node's own machine, with its --data-dir",
            )
        self._verify_own(self.find_url())
        return self.data.token()

    def _verify_own(self, url: str) -> None:
        """Refuse to send the token where somebody else could read it. Raises ConfigError."""
        host = urlsplit(url).hostname or ""
        if is_here(host):  # this machine, or a tunnel that begins on it
            return
        try:
            if url == self.data.find_daemon().url:
                return
        except NotRunning:
            pass
        raise ConfigError(
            f"the operator's token is not sent to {host or url!r}",
            fix="run this on the node's own machine without --url, or through `ssh -L`",
        )

    def ask_password(self, file: Path | None, *, is_new: bool = False) -> str:
        """Return a password from a file, systemd, the configuration or the terminal."""
        password = _read_own_password(file)
        if password is None and not is_new:
            password = _read_own_password(self._configured_password_file())
        if password is not None:
            return password
        if not self.may_ask:
            raise KeystoreError(
                "a password is needed and there is no terminal to ask on",
                code="KEY006",
                fix="give --password-file FILE",
            )
        text = click.prompt("Password", hide_input=True, confirmation_prompt=is_new, err=True)
        return str(text)

    def load_key(self, prefix: str, password_file: Path | None) -> PrivateKey:
        """Open a key by the first digits of its address, or by its role. Raises KeystoreError."""
        from node.keys.keystore import find_key, load_key

        try:
            info = find_key(self.data.keys, prefix)
        except KeystoreError as error:
            if self.data_dir is None and DEVNET.is_dir():
                error.fix += f"; of the devnet here: add -d {DEVNET}"
            raise
        return load_key(info, self.ask_password(password_file))

    def find_address(self, key: str) -> str:
        """Return the address of a key here, checksummed; no password. Raises KeystoreError."""
        from node.keys.keystore import find_key
        from primitives.address import to_checksum

        return to_checksum(find_key(self.data.keys, key).address)

    def _configured_password_file(self) -> Path | None:
        if not self.data.config_file.is_file():
            return None
        name = self.load_config().config.validator.password_file
        file = self.data.root / name
        return file if name and file.is_file() else None


def _read_own_password(file: Path | None) -> str | None:
    """Return the password in a file; say so when others can read it too. Raises KeystoreError."""
    from node.keys.keystore import read_password

    password = read_password(file)
    if file is not None and file.stat().st_mode & 0o077:
        click.echo(f"warning: other users can read {file}: chmod go= {file}", err=True)
    return password


def is_here(host: str) -> bool:
    """Tell whether a host is this machine, without asking anybody."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def name_program() -> str:
    """Return what to type for this program: its name if the shell finds it, else its path."""
    program = Path(sys.argv[0])
    found = shutil.which("omnibazaar")
    if program.name != "omnibazaar" or (found and Path(found).samefile(program)):
        return "omnibazaar"
    return os.path.relpath(program)
