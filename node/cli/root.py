"""Find the command, run it, and turn what goes wrong into four lines and an exit code.

Rule: no command is imported before it is invoked; its one-line help stands here so that the list of
commands needs no import either.
Spec: docs/reference/cli.md. Deviations: none.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, Final

import click

from node.cli import exits
from node.cli.context import Context
from node.cli.show import show_error
from primitives.errors import Doppelganger, NodeError, OperatorError, WouldEquivocate

COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    "init": ("node.cli.init", "init", "Make a data directory."),
    "run": ("node.cli.run", "run", "Run the node in the foreground."),
    "status": ("node.cli.status", "status", "Show whether the node is ready, on one screen."),
    "doctor": ("node.cli.doctor", "doctor", "Check machine, files and surroundings."),
    "logs": ("node.cli.logs", "logs", "Show the log in readable form."),
    "keys": ("node.cli.keys", "keys", "Make, import, list and export keys."),
    "signing": ("node.cli.signing", "signing", "Show, export, import the signing history."),
    "config": ("node.cli.config", "config", "Show, change and explain settings."),
    "peers": ("node.cli.peers", "peers", "List, add and ban peers."),
    "validator": ("node.cli.validator", "validator", "Join, leave, change keys; show scores."),
    "decision": ("node.cli.decision", "decision", "What the committee decides about vaults."),
    "restart": ("node.cli.restart", "restart", "Take over from a network that lost its keys."),
    "vault": ("node.cli.vault", "vault", "Vaults, and moving to a new one."),
    "trade": ("node.cli.trade_parts", "trade", "Buy, sell, cancel; books and orders."),
    "market": ("node.cli.market", "market", "Markets and their phases; this validator's word."),
    "protocol": ("node.cli.protocol", "protocol", "Show and decide the version of the rules."),
    "wallet": ("node.cli.wallet", "wallet", "Balances, deposits, withdrawals."),
    "chat": ("node.cli.chat", "chat", "Read and write messages."),
    "devnet": ("devnet.cli", "devnet", "Run a whole network on this machine."),
    "version": ("node.cli.version", "version", "Show the version."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, attribute, _ = entry
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one gets the nearest name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-d", "--data-dir", type=click.Path(path_type=Path), help="Data directory.")
@click.option("-n", "--network", default="devnet", help="Name under ~/.omnibazaar.  [devnet]")
@click.option("--url", help="Talk to this node instead of the one in the data directory.")
@click.option("-y", "--yes", is_flag=True, help="Never ask; take the safe default.")
@click.pass_context
def root(
    ctx: click.Context, data_dir: Path | None, network: str, url: str | None, yes: bool
) -> None:
    """OmniBazaar: a validator node of a decentralised exchange.

    \b
    Example:
      omnibazaar devnet up                  a local network with a live market
      omnibazaar init --network FILE        a node of your own; it says what comes next
      omnibazaar --url URL trade book WETH-USDX
    """
    ctx.obj = Context(data_dir=data_dir, network=network, url=url, yes=yes)


def run(arguments: list[str] | None = None) -> None:
    """Run and exit. Every expected failure ends with its documented code."""
    sys.exit(call(arguments))


def call(arguments: list[str] | None = None) -> int:
    """Run and return the exit code."""
    try:
        code: Any = root.main(args=arguments, prog_name="omnibazaar", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        return exits.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return exits.USAGE
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; that is no error
        return exits.OK
    except (NodeError, BaseExceptionGroup) as failure:
        expected = find_expected(failure)
        if expected is None:
            raise
        show_error(_explain(expected))
        return exit_code_of(expected)
    return code if isinstance(code, int) else exits.OK


def _explain(error: NodeError) -> NodeError:
    chain = sys.modules.get("contracts.errors")  # loaded only by the commands that use it
    if chain is None or not isinstance(error, chain.ContractRefused):
        return error
    from contracts.vault_reasons import explain_refusal

    return explain_refusal(error)


def find_expected(failure: BaseException) -> NodeError | None:
    """Return the expected error inside a group, None when there is a bug among them."""
    if isinstance(failure, NodeError):
        return failure
    if isinstance(failure, BaseExceptionGroup):
        found = [find_expected(inner) for inner in failure.exceptions]
        if found and all(found):
            return found[0]
    return None


def exit_code_of(error: NodeError) -> int:
    """Return the documented exit code of an error."""
    if isinstance(error, OperatorError):
        return error.exit_code
    if isinstance(error, Doppelganger):
        return exits.DOPPELGANGER
    if isinstance(error, WouldEquivocate):
        return exits.GUARD
    sdk = sys.modules.get("client.errors")  # loaded only by the commands that use it
    if sdk is not None and isinstance(error, sdk.OutcomeUnknown):
        return exits.TIMED_OUT
    if sdk is not None and isinstance(error, sdk.ConnectionLost):
        return exits.NOT_RUNNING
    return exits.ERROR
