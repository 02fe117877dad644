"""Show, change, check and explain settings.

Rule: `set` changes one line, keeps comments and keeps the old file beside it; every value is
checked before anything is written.
Spec: docs/reference/config.md. Deviations: none.
"""

from __future__ import annotations

from typing import Any

import click

from node.cli.context import Context, json_option
from node.cli.show import show_json, show_table


@click.group()
def config() -> None:
    """Show, change and explain settings.

    \b
    Example:
      omnibazaar config explain p2p.listen
    """


@config.command()
@click.option("--origin", is_flag=True, help="Also show which layer each value comes from.")
@json_option
@click.pass_obj
def show(context: Context, origin: bool, as_json: bool) -> None:
    """Show the settings in effect.

    \b
    Example:
      omnibazaar config show --origin
    """
    from node.config import all_keys

    loaded = context.load_config()
    values = {name: _plain(_value(loaded.config, name)) for name in all_keys()}
    if as_json:
        origins = loaded.origins
        show_json({name: {"value": v, "origin": origins[name]} for name, v in values.items()})
        return
    rows = [
        (name, _text(value), *([loaded.origins[name]] if origin else []))
        for name, value in values.items()
        if origin or loaded.origins[name] != "default"
    ]
    show_table(("setting", "value", *(["from"] if origin else [])), rows)
    if not origin:
        click.echo("Everything else has its default; --origin shows all.")


@config.command()
@click.argument("key")
@json_option
@click.pass_obj
def get(context: Context, key: str, as_json: bool) -> None:
    """Show one setting.

    \b
    Example:
      omnibazaar config get api.listen
    """
    from node.config import find_key

    value = _plain(_value(context.load_config().config, find_key(key).name))
    show_json(value) if as_json else click.echo(_text(value))


@config.command(name="set")
@click.argument("key")
@click.argument("value")
@json_option
@click.pass_obj
def set_(context: Context, key: str, value: str, as_json: bool) -> None:
    """Change one setting; takes effect at the next start.

    \b
    Example:
      omnibazaar config set api.listen 127.0.0.1:8650
    """
    import tomlkit

    from node.config import find_key, load_config, parse_text
    from node.datadir import write_atomic

    found = find_key(key)
    new = parse_text(found, value)
    file = context.data.config_file
    text = file.read_text() if file.is_file() else ""
    load_config(file, environ={})  # what is wrong already is said before anything is changed
    document = tomlkit.parse(text)
    section, _, name = found.name.rpartition(".")
    table: Any = document
    if section:
        table = document.setdefault(section, tomlkit.table())
    table[name] = new
    load_config(file, environ={}, flags={found.name: new})
    if text:
        write_atomic(file.with_name("config.toml.bak"), text)
    write_atomic(file, tomlkit.dumps(document))
    if as_json:
        show_json({"key": found.name, "value": _plain(new), "restart": True})
    else:
        click.echo(f"{found.name} = {_text(_plain(new))}   takes effect at the next start")


@config.command()
@json_option
@click.pass_obj
def check(context: Context, as_json: bool) -> None:
    """Check file and environment without starting anything.

    \b
    Example:
      omnibazaar config check
    """
    loaded = context.load_config()
    show_json({"ok": True, "warnings": list(loaded.warnings)}) if as_json else click.echo("ok")


@config.command()
@click.argument("key", required=False)
@json_option
@click.pass_obj
def explain(context: Context, key: str | None, as_json: bool) -> None:
    """Say what a setting means, what is allowed and what holds now.

    \b
    Example:
      omnibazaar config explain storage.archive
    """
    from node.config import all_keys, find_key

    keys = [find_key(key)] if key else list(all_keys().values())
    if as_json:
        show_json(
            [
                {
                    "name": item.name,
                    "about": item.about,
                    "allowed": item.allowed,
                    "default": _plain(item.default),
                }
                for item in keys
            ]
        )
        return
    if not key:
        rows = [(item.name, _text(_plain(item.default)), item.about) for item in keys]
        show_table(("setting", "default", "meaning"), rows)
        return
    loaded = context.load_config()
    item = keys[0]
    click.echo(f"{item.name}\n  meaning   {item.about}\n  allowed   {item.allowed}")
    click.echo(f"  default   {_text(_plain(item.default))}")
    value = _plain(_value(loaded.config, item.name))
    click.echo(f"  now       {_text(value)}   (from the {loaded.origins[item.name]})")
    click.echo(f"  variable  OMNIBAZAAR_{item.name.replace('.', '_').upper()}")


def _value(settings: Any, name: str) -> Any:
    for part in name.split("."):
        settings = getattr(settings, part)
    return settings


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "(none)"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if value != "" else "(empty)"
