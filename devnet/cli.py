"""Offer the devnet on the command line: up, status, down, logs, reset, fund and the faults.

Rule: text is for people and may change, `--json` and exit codes are the contract; nothing here
waits
without saying for what.
Spec: docs/reference/devnet.md (Commands). Deviations: none.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click
import msgspec
from click.core import ParameterSource

from devnet import faults
from devnet.folders import FOLDER, Folder, Record
from devnet.limits import EPOCH_BLOCKS
from devnet.show import print_banner, print_status, run_live_line
from devnet.start import (
    Wishes,
    keep_made,
    prepare,
    reset,
    start_all,
    stop_all,
    validator_names,
    wait_ready,
)
from devnet.status import read_status
from node.cli.context import name_program
from primitives.address import to_checksum
from primitives.errors import OperatorError


def here() -> Folder:
    """Return the devnet of the current directory."""
    return Folder(Path.cwd() / FOLDER)


@click.group()
def devnet() -> None:
    """Run a whole network on this machine.

    \b
    Example:
      omnibazaar devnet up --validators 4 --traders 2
    """


def list_left_away() -> set[str]:
    """Return the options that the command line does not name."""
    context = click.get_current_context()
    default = ParameterSource.DEFAULT
    return {name for name in context.params if context.get_parameter_source(name) is default}


@devnet.command()
@click.option("--validators", default=4, show_default=True, help="validator processes")
@click.option("--traders", default=2, show_default=True, help="demo traders")
@click.option("--seed", default=1, show_default=True, help="of all keys and of the market")
@click.option("--evm", default="embedded", show_default=True, help="embedded, coti, anvil or a URL")
@click.option("--replay", default="", help="folder with recorded orders to drive a market with")
@click.option("--speed", default="1", show_default=True, help="of the replay")
@click.option(
    "--epoch", default=EPOCH_BLOCKS, show_default=True, help="heights of an epoch, 0: one for ever"
)
@click.option("--chains", default=1, show_default=True, help="EVM chains with a vault each")
@click.option("--confirmations", default=1, show_default=True, help="EVM blocks until it counts")
@click.option("--detach", is_flag=True, help="return when all validators are ready")
@click.option("--json", "as_json", is_flag=True, help="print one JSON document")
def up(
    validators: int,
    traders: int,
    seed: int,
    evm: str,
    replay: str,
    speed: str,
    epoch: int,
    chains: int,
    confirmations: int,
    detach: bool,
    as_json: bool,
) -> None:
    """Start validators, EVM chain and traders.

    \b
    Example:
      omnibazaar devnet up --detach && omnibazaar devnet status
    """
    started = time.monotonic()
    folder = here()
    wishes = Wishes(
        validators=validators,
        traders=traders,
        seed=seed,
        evm=evm,
        replay=str(Path(replay).resolve()) if replay else "",
        speed=speed,
        epoch=epoch,
        chains=chains,
        confirmations=confirmations,
    )
    record, plan = prepare(folder, keep_made(folder, wishes, list_left_away()))
    try:
        start_all(folder, record, plan)
        wait_ready(folder, record)
    except BaseException:
        stop_all(folder)
        raise
    if as_json:
        click.echo(_json(read_status(folder, record)))
    else:
        print_banner(folder, record, plan, time.monotonic() - started)
    if detach:
        return
    try:
        run_live_line(folder, record, quiet=as_json)
    except KeyboardInterrupt:
        click.echo("\nstopping", err=True)
    finally:
        stop_all(folder)


@devnet.command()
@click.option("--json", "as_json", is_flag=True, help="print one JSON document")
def status(as_json: bool) -> None:
    """Show every validator, the markets and what is settled.

    \b
    Example:
      omnibazaar devnet status --json
    """
    folder = here()
    record = folder.load()
    found = read_status(folder, record)
    if as_json:
        click.echo(_json(found))
    else:
        print_status(found)
    if not any(validator.ready for validator in found.validators):
        sys.exit(7)


@devnet.command()
def down() -> None:
    """Stop everything; the state stays.

    \b
    Example:
      omnibazaar devnet down
    """
    folder = here()
    folder.load()
    stop_all(folder)


@devnet.command(name="reset")
def reset_command() -> None:
    """Stop everything and delete ./.devnet.

    \b
    Example:
      omnibazaar devnet reset
    """
    reset(here())


@devnet.command()
@click.argument("name", default="v0")
@click.option("-f", "--follow", is_flag=True, help="go on printing")
def logs(name: str, follow: bool) -> None:
    """Print what a process wrote: v0, v1, …, evm, traders.

    \b
    Example:
      omnibazaar devnet logs v2 -f
    """
    folder = here()
    folder.load()
    path = folder.root / "logs" / f"{name}.log"
    if not path.is_file():
        raise OperatorError(f"{name} has written nothing", code="DEV008", exit_code=2)
    with path.open(errors="replace") as file:
        while True:
            text = file.read(1 << 16)
            click.echo(text, nl=False)
            if text:
                continue
            if not follow:
                return
            time.sleep(0.2)


@devnet.command()
@click.argument("address")
def fund(address: str) -> None:
    """Give an address, or alice, bob or carol, native coin and 1,000,000 of every token.

    \b
    Example:
      omnibazaar devnet fund alice
      omnibazaar devnet fund 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    from devnet.funding import fund_address
    from devnet.start import plan_of

    folder = here()
    record = folder.load()
    plan = plan_of(record)
    person = plan.people.get(address)
    named = address if person is None else to_checksum(person.address)
    click.echo(f"asking the EVM chain for coins and tokens for {address} …", err=True)
    fund_address(record, plan, named, folder.outbox)
    home = os.path.relpath(folder.data(plan.validators[0].name).root)
    if person is None:
        click.echo(f"funded {address} on the EVM chain")
        return
    click.echo(
        f"funded {address} on the EVM chain; next: "
        f"{name_program()} -d {home} wallet deposit USDX 1000 --as {address}"
    )


def _fault(name: str, about: str) -> None:
    """Add a fault verb that takes names of processes."""

    @devnet.command(name=name, help=f"{about}\n\n\b\nExample:\n  omnibazaar devnet {name} v3")
    @click.argument("names", nargs=-1, required=True)
    def command(names: tuple[str, ...]) -> None:
        folder = here()
        record = folder.load()
        wanted = faults.resolve(folder, record, names)
        done = {
            "kill": lambda: faults.kill(folder, wanted),
            "start": lambda: faults.start(folder, record, wanted),
            "pause": lambda: faults.pause(folder, wanted),
            "resume": lambda: faults.resume(folder, wanted),
        }[name]()
        click.echo(f"{name}: {' '.join(done) or 'nothing to do'}")


_fault("kill", "End validators (or evm) at once, as a power cut would.")
_fault("start", "Start validators (or evm) that are down.")
_fault("pause", "Stop validators (or evm) where they are.")
_fault("resume", "Let paused validators (or evm) go on.")


@devnet.command()
@click.argument("groups", nargs=-1)
@click.option("--heal", is_flag=True, help="connect everybody again")
def partition(groups: tuple[str, ...], heal: bool) -> None:
    """Cut the network into groups that exchange nothing.

    \b
    Example:
      omnibazaar devnet partition v0,v1 v2,v3
      omnibazaar devnet partition --heal
    """
    folder = here()
    record = folder.load()
    if not groups and not heal:
        raise OperatorError("name the groups, or --heal", exit_code=2)
    parts = [set(validator_names(record))] if heal else faults.parse_groups(record, groups)
    failed = faults.partition(folder, record, parts)
    if failed:
        raise OperatorError(f"no answer from {', '.join(failed)}", code="DEV009")
    click.echo(" | ".join(",".join(sorted(part)) for part in parts))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def main() -> None:
    """Run the group by itself; errors end with their exit code."""
    try:
        devnet(prog_name="omnibazaar devnet")
    except OperatorError as error:
        click.echo(f"{error} ({error.code})", err=True)
        if error.fix:
            click.echo(f"  do  {error.fix}", err=True)
        sys.exit(error.exit_code)


__all__ = ["Record", "devnet", "main"]

if __name__ == "__main__":
    main()
