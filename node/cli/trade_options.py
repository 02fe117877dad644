"""Share what the trade commands have in common: who signs, what is ordered, the exits, the end.

Rule: an option means the same in every command and is written once, here; a command gets the
options of the signer as one value, and one that sends one order is made by `order_command`.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from node.cli import http
from node.cli.context import Context, json_option
from node.cli.show import show_result
from node.cli.units import count_steps, get_price_step, get_size_step
from node.cli.wallet_options import key_option, password_option

if TYPE_CHECKING:
    from client.trader import Trader

F = TypeVar("F", bound=Callable[..., Any])

above_option = click.option(
    "--above", nargs=2, help="PRICE LIMIT: reached by a trade at PRICE or higher."
)
below_option = click.option(
    "--below", nargs=2, help="PRICE LIMIT: reached by a trade at PRICE or lower."
)
rest_option = click.option("--rest", is_flag=True, help="What finds nothing rests at the limit.")
until_option = click.option(
    "--for", "seconds", type=click.IntRange(1), help="Seconds until it is cancelled."
)
sub_option = click.option(
    "--sub", type=click.IntRange(0, 127), default=0, show_default=True, help="Sub-account."
)
Leg = tuple[str, str]


class Signer(NamedTuple):
    """Whose key signs, and for which account."""

    key: str
    password_file: Path | None
    account: str | None
    sub: int


def signer_options(command: F) -> F:
    """Add the options that name a key, a sub-account and the account a session key acts for.

    The command gets them as `signer`.
    """

    @wraps(command)
    def with_signer(*arguments: Any, **options: Any) -> Any:
        signer = Signer(**{name: options.pop(name) for name in Signer._fields})
        return command(*arguments, signer=signer, **options)

    changed: Any = with_signer
    for option in (
        sub_option,
        click.option("--account", help="The wallet a session key acts for."),
        password_option,
        key_option,
    ):
        changed = option(changed)
    return changed  # type: ignore[no-any-return]


def wallet_options(command: F) -> F:
    """Add the options that name the wallet itself, for what no session key may sign.

    The command gets them as `signer`.
    """

    @wraps(command)
    def with_wallet(*arguments: Any, key: str, password_file: Path | None, **options: Any) -> Any:
        signer = Signer(key, password_file, None, options.pop("sub", 0))
        return command(*arguments, signer=signer, **options)

    changed: Any = key_option(password_option(with_wallet))
    return changed  # type: ignore[no-any-return]


def order_arguments(command: F) -> F:
    """Add side, size and market, in this order."""
    for argument in (
        click.argument("market"),
        click.argument("size"),
        click.argument("side", type=click.Choice(["buy", "sell"])),
    ):
        command = argument(command)
    return command


class Ordered(NamedTuple):
    """What every order says: its side, its size in lots, and the terms of its market."""

    side: int
    lots: int
    terms: dict[str, Any]

    @property
    def market(self) -> int:
        """The market's id."""
        return int(self.terms["id"])

    def count_lots(self, size: str, name: str) -> int:
        """Return another size in lots. Raises click.UsageError."""
        return count_lots(size, self.terms, name)

    def count_ticks(self, price: str, name: str = "--limit") -> int:
        """Return a price in ticks. Raises click.UsageError."""
        return count_ticks(price, self.terms, name)


def order_command(end: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of a function that turns what is ordered, and options of its own, into an
    operation. The command sends it and prints the order's number and `end`.
    """

    def decorate(make: Callable[..., Any]) -> click.Command:
        own = make.__dict__.pop("__click_params__", [])

        @wraps(make)
        def command(
            context: Context,
            /,
            *,
            side: str,
            size: str,
            market: str,
            as_json: bool,
            signer: Signer,
            **options: Any,
        ) -> None:
            terms = find_market(context, market)
            op = make(Ordered(int(side == "sell"), count_lots(size, terms), terms), **options)

            async def work(trader: Trader) -> dict[str, Any]:
                return {"order_id": await trader.place_waiting(op)}

            result = with_trader(context, signer, work)
            show_result(result, f"order {result['order_id']} {end}", as_json)

        changed: Any = signer_options(json_option(click.pass_obj(command)))
        changed.__click_params__ += own
        return click.command()(order_arguments(changed))

    return decorate


def exit_options(command: F) -> F:
    """Add the two legs that a price reaches."""
    return above_option(below_option(command))


def find_market(context: Context, reference: str) -> dict[str, Any]:
    """Return the terms of a market by name or id. Raises click.UsageError."""
    markets: list[dict[str, Any]] = http.get(context.find_url(), "/v1/markets")["markets"]
    for market in markets:
        if reference.upper() == market["name"] or reference == str(market["id"]):
            return market
    names = ", ".join(market["name"] for market in markets)
    raise click.UsageError(f"there is no market {reference!r}; there are {names}")


def count_lots(size: str, terms: dict[str, Any], name: str = "SIZE") -> int:
    """Return a size in lots. Raises click.UsageError."""
    return count_steps(size, get_size_step(terms), name)


def count_ticks(price: str, terms: dict[str, Any], name: str = "--limit") -> int:
    """Return a price in ticks. Raises click.UsageError."""
    return count_steps(price, get_price_step(terms), name)


def verify_exits(above: Leg | None, below: Leg | None) -> None:
    """Raise click.UsageError unless there is a leg."""
    if not above and not below:
        raise click.UsageError("give --above, --below, or both")


def read_exits(
    above: Leg | None, below: Leg | None, terms: dict[str, Any]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the price that reaches each leg and its limit in ticks; zeros for no leg."""
    return _read_leg(above, "--above", terms), _read_leg(below, "--below", terms)


def _read_leg(leg: Leg | None, name: str, terms: dict[str, Any]) -> tuple[int, int]:
    if leg is None:
        return 0, 0
    return count_ticks(leg[0], terms, name), count_ticks(leg[1], terms, name)


def end_of(seconds: int | None) -> int:
    """Return the time so many seconds from now in Unix ms, 0 for never."""
    import time

    return time.time_ns() // 1_000_000 + seconds * 1_000 if seconds else 0


def with_trader(context: Context, signer: Signer, work: Callable[[Trader], Any]) -> Any:
    """Open key, node and trader, do the work and return its result."""
    import trio

    from client.keys import Credentials
    from client.node_client import open_node
    from client.trader import open_trader
    from primitives.address import parse_address

    secret = context.load_key(signer.key, signer.password_file)
    credentials = (
        Credentials.of_session(parse_address(signer.account), secret)
        if signer.account
        else Credentials.of_wallet(secret)
    )
    url = context.find_url()

    async def main() -> Any:
        async with (
            open_node(url, network_id=context.network_id) as node,
            open_trader(node, credentials, sub=signer.sub) as trader,
        ):
            return await work(trader)

    return trio.run(main)
