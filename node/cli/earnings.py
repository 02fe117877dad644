"""Show what an account earned, traded, paid and moved; work out what a validator would earn.

Rule: figures are exact decimals; assumptions are printed with what follows from them.
Spec: docs/how-to/account-statement.md; docs/explanation/economics.md. Deviations: none.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import click

from node.cli.account_options import find_owner
from node.cli.context import Context, json_option
from node.cli.show import format_atoms, show_json, show_table
from node.cli.units import DECIMAL, price_step, show, size_step

if TYPE_CHECKING:
    from client.earnings import Assumptions, Estimate
    from client.statement import Entry, Statement

COLUMNS: Final = (
    "time", "height", "type", "sub", "asset", "amount", "balance",
    "market", "side", "price", "size", "reference",
)  # fmt: skip
EARNED: Final = ("fee share", "reward")
DAY_MS: Final = 86_400_000
ASSUMED: Final = (
    ("volume", "0", "traded a day, each trade counted once"),
    ("fee-percent", "0.3", "of a trade: 0.1 % maker and 0.2 % taker together"),
    ("other-fees", "0", "a day, from anything else that pays into the pot"),
    ("weight", "1", "of this validator"),
    ("network-weight", "50", "of all validators together"),
    ("score", "100", "of this validator, 0 to 100"),
    ("mean-score", "100", "of all validators by weight, 0 to 100"),
    ("xom-supply", "16600000000", "first supply of XOM"),
    ("xom-price", "0", "of one XOM; 0: rewards are worth nothing"),
    ("stake", "1000", "XOM"),
    ("costs", "0", "a month"),
    ("inflation-percent", "2", "of the first supply a year; the contract allows no more than 2"),
    ("validators-percent", "70", "of all fees; the ledger's rule is 70"),
)


class DecimalType(click.ParamType[Fraction]):
    """An exact decimal number of zero or more."""

    name = "decimal"

    def convert(self, value: Any, param: Any, ctx: Any) -> Fraction:
        """Read plain digits; underscores and exponents are refused."""
        if isinstance(value, Fraction):
            return value
        if not DECIMAL.fullmatch(value):
            self.fail(f"{value!r} is no plain decimal number", param, ctx)
        return Fraction(value)


class TimeType(click.ParamType[int]):
    """A day or a moment, UTC unless it says otherwise."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Return milliseconds since the Unix epoch."""
        if isinstance(value, int):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither 2026-01-31 nor 2026-01-31T12:00:00", param, ctx)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def assumption_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option per assumption."""
    for name, default, text in reversed(ASSUMED):
        option = click.option(
            f"--{name}", type=DecimalType(), default=default, show_default=True, help=text
        )
        command = option(command)
    return command


account_options = (
    click.option("--as", "key", default="trader", show_default=True, help="A key of this node."),
    click.option("--account", help="Any wallet's address instead of a key."),
)


def with_account(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name an account."""
    for option in reversed(account_options):
        command = option(command)
    return command


@click.command()
@with_account
@click.option("--from", "from_ms", type=TimeType(), default="1970-01-01", help="First day or time.")
@click.option("--to", "to_ms", type=TimeType(), help="First day or time that is left out.")
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv")
@json_option
@click.pass_obj
def statement(
    context: Context,
    key: str,
    account: str | None,
    from_ms: int,
    to_ms: int | None,
    form: str,
    as_json: bool,
) -> None:
    """Write trades, fees, deposits, withdrawals and earnings of an account.

    \b
    Example:
      omnibazaar wallet statement --as alice --from 2026-01-01 --to 2027-01-01 --format csv
    """
    found, markets = _read(context, key, account, from_ms, to_ms)
    if not found.is_whole:
        click.echo(
            "warning: this node has forgotten older events; opening balances are those before the "
            "first event it has. An archive node has all.",
            err=True,
        )
    if as_json or form == "json":
        show_json(show_statement(found, markets))
        return
    import csv
    import sys

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(iterate_rows(found, markets))


@click.command()
@with_account
@click.option("--days", type=click.IntRange(1), default=30, show_default=True, help="Looked back.")
@click.option("--what-if", is_flag=True, help="Ask no node; work it out from the assumptions.")
@assumption_options
@json_option
@click.pass_obj
def earnings(
    context: Context,
    /,
    key: str,
    account: str | None,
    days: int,
    what_if: bool,
    as_json: bool,
    **assumed: Fraction,
) -> None:
    """Sum up what a payout account earned, or what a validator would earn.

    \b
    Example:
      omnibazaar wallet earnings --account 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
      omnibazaar wallet earnings --what-if --volume 1000000 --xom-price 0.01 --costs 20
    """
    if what_if:
        _show_estimate(assumed, as_json)
        return
    now_ms = time.time_ns() // 1_000_000
    found, _ = _read(context, key, account, now_ms - days * DAY_MS, now_ms)
    rows = [
        {"asset": asset.symbol, "source": kind, "amount": _decimal(total, asset.decimals)}
        for asset in found.assets
        for kind in EARNED
        if (total := found.sums().get((asset.id, kind), 0))
    ]
    if as_json:
        show_json({"days": days, "complete": found.is_whole, "earned": rows})
        return
    show_table(
        ("asset", "source", "amount"),
        [(row["asset"], row["source"], row["amount"]) for row in rows],
    )
    if not found.is_whole:
        click.echo("warning: this node has forgotten older events", err=True)


def _read(
    context: Context, key: str, account: str | None, from_ms: int, to_ms: int | None
) -> tuple[Statement, dict[str, Any]]:
    import trio

    from client.rest import RestClient
    from client.statement import read_statement

    owner = find_owner(context, key, account)
    end = time.time_ns() // 1_000_000 if to_ms is None else to_ms
    if from_ms >= end:
        raise click.UsageError("--from is not before --to")

    async def main() -> tuple[Statement, dict[str, Any]]:
        async with RestClient(context.find_url()) as rest:
            found = await read_statement(rest, owner, from_ms=from_ms, to_ms=end)
            return found, {market.name: market for market in await rest.markets()}

    return trio.run(main)


def iterate_rows(found: Statement, markets: dict[str, Any]) -> list[tuple[object, ...]]:
    """Return opening balances, entries and closing balances as rows of COLUMNS."""
    assets = {asset.id: asset for asset in found.assets}
    rows: list[tuple[object, ...]] = []

    def add_balances(kind: str, time_ms: int, balances: dict[tuple[int, int], int]) -> None:
        for (sub, number), total in sorted(balances.items()):
            asset = assets[number]
            amount = _decimal(total, asset.decimals)
            rows.append((_time(time_ms), "", kind, sub, asset.symbol, "", amount, *[""] * 5))

    add_balances("opening", found.from_ms, found.opening)
    for entry in found.entries:
        asset = assets[entry.asset]
        amount = _decimal(entry.amount, asset.decimals)
        balance = _decimal(entry.balance, asset.decimals)
        when, price_size = _time(entry.time_ms), _terms(entry, markets)
        first = (when, entry.height, entry.kind, entry.sub, asset.symbol, amount, balance)
        rows.append((*first, entry.market, entry.side, *price_size, entry.reference))
    add_balances("closing", found.to_ms, found.closing)
    return rows


def show_statement(found: Statement, markets: dict[str, Any]) -> dict[str, Any]:
    """Return a statement as JSON."""
    from primitives.address import to_checksum

    sums = found.sums()
    return {
        "account": to_checksum(found.account),
        "from": _time(found.from_ms),
        "to": _time(found.to_ms),
        "height": found.height,
        "complete": found.is_whole,
        "totals": [
            {"asset": asset.symbol, "type": kind, "amount": _decimal(total, asset.decimals)}
            for asset in found.assets
            for (number, kind), total in sorted(sums.items())
            if number == asset.id
        ],
        "rows": [dict(zip(COLUMNS, row, strict=True)) for row in iterate_rows(found, markets)],
    }


def _terms(entry: Entry, markets: dict[str, Any]) -> tuple[str, str]:
    if not entry.market:
        return "", ""
    market = markets[entry.market]
    price = price_step(
        tick=market.tick,
        lot=market.lot,
        base_decimals=market.base.decimals,
        quote_decimals=market.quote.decimals,
    )
    size = size_step(lot=market.lot, base_decimals=market.base.decimals)
    return show(entry.price * price), show(entry.size * size)


def _decimal(atoms: int, decimals: int) -> str:
    sign = "-" if atoms < 0 else ""
    return sign + format_atoms(abs(atoms), decimals)


def _time(ms: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return re.sub(r"\+00:00$", "Z", moment.isoformat(timespec="milliseconds"))


def _show_estimate(assumed: dict[str, Fraction], as_json: bool) -> None:
    from client.earnings import Assumptions, estimate

    given = Assumptions(**assumed)
    try:
        found = estimate(given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    figures = _figures(given, found)
    if as_json:
        values = {name: None if value is None else _rounded(value) for name, value, _ in figures}
        show_json({"assumed": {n: show(v) for n, v in assumed.items()}, "year": values})
        return
    click.echo("assumed (nothing here is a forecast):")
    for name, _, text in ASSUMED:
        click.echo(f"  {name:20} {show(assumed[name.replace('-', '_')]):>16}  {text}")
    click.echo("what follows, for a year of 365 such days:")
    for name, value, text in figures:
        shown = "none" if value is None else _rounded(value)
        click.echo(f"  {name.replace('_', ' '):20} {shown:>16}  {text}")


def _figures(given: Assumptions, found: Estimate) -> tuple[tuple[str, Fraction | None, str], ...]:
    return (
        ("share_percent", found.share * 100, "weight x score / network weight x mean score"),
        ("fees", found.fees, "all fees of the network"),
        ("pot", found.pot, f"the validators' {show(given.validators_percent)} % of them"),
        ("fee_income", found.fee_income, "this validator's part"),
        ("minted_xom", found.minted_xom, "XOM for all validators"),
        ("reward_xom", found.reward_xom, "XOM for this one"),
        ("reward_value", found.reward_value, "at the assumed price"),
        ("income", found.income, "fees and rewards"),
        ("costs", found.costs, ""),
        ("profit", found.profit, "before taxes"),
        ("stake_value", found.stake_value, "at risk of slashing and of the price"),
        ("return_percent", found.return_percent, "profit / stake value"),
        ("volume_to_break_even", found.volume_to_break_even, "a day, at which profit is zero"),
    )


def _rounded(value: Fraction) -> str:
    """Write a figure with at most six decimals, cut off towards zero."""
    atoms = abs(value) * 10**6
    text = format_atoms(atoms.numerator // atoms.denominator, 6)
    return f"-{text}" if value < 0 and text != "0" else text
