"""Share the options of commands that look at an account: one's own key, or any address.

Rule: nothing is signed, so no password is asked for.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from node.cli.context import Context
from node.cli.wallet_options import key_option

F = TypeVar("F", bound=Callable[..., Any])


def account_options(command: F) -> F:
    """Add the options that name an account; the command gets its address as `owner`, 20 bytes."""

    @wraps(command)
    def with_owner(*arguments: Any, key: str, account: str | None, **options: Any) -> Any:
        context: Context = click.get_current_context().obj
        return command(*arguments, owner=find_owner(context, key, account), **options)

    changed: Any = click.option("--account", help="Any wallet's address instead of a key.")(
        with_owner
    )
    return key_option(changed)  # type: ignore[no-any-return]


def find_owner(context: Context, key: str, account: str | None) -> bytes:
    """Return the address meant. Raises KeystoreError, InvalidMessage."""
    from node.keys.keystore import find_key
    from primitives.address import parse_address

    return parse_address(account) if account else find_key(context.data.keys, key).address
