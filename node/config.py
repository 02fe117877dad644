"""Build the configuration from its layers and remember where each value came from.

Rule: flag > environment (OMNIBAZAAR_SECTION_KEY) > config.toml > profile > default; anything that
is not in the schema is refused with the place it stands and the name that was probably meant.
Spec: docs/reference/config.md. Deviations: none.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args, get_origin, get_type_hints

import msgspec

from node.config_schema import FORMS, PROFILES, Config, Section
from primitives.errors import ConfigError

ENV_PREFIX: Final = "OMNIBAZAAR_"
ENV_RESERVED: Final = frozenset({"HOME", "URL", "DATA", "SOAK", "ANVIL", "KUBO", "NODE_MODULES"})
FILE_BYTES_MAX: Final = 64 << 10

Layer = Literal["flag", "env", "file", "profile", "default"]
__all__ = ["Config", "Key", "Loaded", "all_keys", "find_key", "load_config", "parse_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One setting, as `config explain` shows it."""

    name: str  # "p2p.listen"
    about: str
    default: Any
    annotation: Any
    allowed: str  # human text: type and bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration and the layer each of its values came from."""

    config: Config
    origins: Mapping[str, Layer]
    warnings: tuple[str, ...]


@cache
def all_keys() -> Mapping[str, Key]:
    """Return every setting by its dotted name, in the order of the schema."""
    keys: dict[str, Key] = {}
    for name, annotation in get_type_hints(Config, include_extras=True).items():
        if isinstance(annotation, type) and issubclass(annotation, Section):
            for field, inner in get_type_hints(annotation, include_extras=True).items():
                default = getattr(annotation(), field)
                keys[f"{name}.{field}"] = _key(f"{name}.{field}", inner, default)
        else:
            keys[name] = _key(name, annotation, getattr(Config(), name))
    return keys


def find_key(name: str) -> Key:
    """Return a setting. Raises ConfigError that names the nearest one."""
    key = all_keys().get(name)
    if key is None:
        raise ConfigError(f"there is no setting {name!r}", code="CFG002", fix=_did_you_mean(name))
    return key


def load_config(
    file: Path | None, *, environ: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> Loaded:
    """Merge all layers. Raises ConfigError.

    `flags` are values by dotted name; None values are ignored. A missing file is an empty one.
    """
    from_file = _flatten(_read_file(file)) if file is not None else {}
    from_env, warnings = _read_environment(environ)
    from_flags = {name: value for name, value in (flags or {}).items() if value is not None}
    layers: list[tuple[Layer, Mapping[str, Any]]] = [
        ("file", from_file),
        ("env", from_env),
        ("flag", from_flags),
    ]
    profile = "home"
    for _, values in layers:
        profile = values.get("profile", profile)
    if profile in PROFILES:
        layers.insert(0, ("profile", PROFILES[profile]))
    merged: dict[str, Any] = {}
    origins: dict[str, Layer] = dict.fromkeys(all_keys(), "default")
    for layer, values in layers:
        for name, value in values.items():
            if name not in all_keys():
                raise _unknown(name, layer, file)
            merged[name] = value
            origins[name] = layer
    return Loaded(config=_convert(merged, origins, file), origins=origins, warnings=warnings)


def parse_text(key: Key, text: str) -> Any:
    """Turn the text of a variable or of `config set` into a value of the key's type."""
    kind = _plain_type(key.annotation)
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise _bad_value(key.name, "it is true or false")
        return text.lower() in ("true", "1", "yes")
    if kind is int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise _bad_value(key.name, "it is a whole number")
        return int(text)
    if kind is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _read_file(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read: {error.strerror}", fix="check its permissions"
        ) from None
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"{file} is larger than {FILE_BYTES_MAX} bytes", fix="keep settings only")
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{file}: {error}", fix="correct the line; the format is TOML") from None


def _flatten(tables: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tables.items():
        if isinstance(value, dict):
            flat.update({f"{name}.{inner}": item for inner, item in value.items()})
        else:
            flat[name] = value
    return flat


def _read_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    by_variable = {name.replace(".", "_").upper(): key for name, key in all_keys().items()}
    values: dict[str, Any] = {}
    warnings: list[str] = []
    for variable, text in sorted(environ.items()):
        if not variable.startswith(ENV_PREFIX):
            continue
        name = variable.removeprefix(ENV_PREFIX)
        key = by_variable.get(name)
        if key is not None:
            values[key.name] = parse_text(key, text)
        elif name not in ENV_RESERVED:
            near = difflib.get_close_matches(name, by_variable, n=1)
            hint = f"; did you mean {ENV_PREFIX}{near[0]}?" if near else ""
            warnings.append(f"the environment variable {variable} is not a setting{hint}")
    return values, tuple(warnings)


def _convert(merged: Mapping[str, Any], origins: Mapping[str, Layer], file: Path | None) -> Config:
    tables: dict[str, Any] = {}
    for name, value in merged.items():
        section, _, inner = name.rpartition(".")
        target = tables.setdefault(section, {}) if section else tables
        target[inner] = value
    try:
        return msgspec.convert(tables, Config)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$.")
        text = next((form for pattern, form in FORMS.items() if repr(pattern) in text), text)
        name = re.sub(r"\[.*", "", path.rstrip("`"))
        place = _place(name, origins.get(name, "default"), file)
        raise ConfigError(
            f"{name or 'the configuration'}: {text}{place}",
            fix=f"`omnibazaar config explain {name}` shows what is allowed",
        ) from None


def _unknown(name: str, layer: Layer, file: Path | None) -> ConfigError:
    message = f"there is no setting {name!r}{_place(name, layer, file)}"
    return ConfigError(message, code="CFG002", fix=_did_you_mean(name))


def _place(name: str, layer: Layer, file: Path | None) -> str:
    """Say where a value stands; for the file also the line."""
    if layer == "env":
        return f" (from {ENV_PREFIX}{name.replace('.', '_').upper()})"
    if layer != "file" or file is None:
        return f" (from the {layer})"
    section, _, inner = name.rpartition(".")
    current = ""
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1):
        header = re.match(r"\s*\[\s*([A-Za-z0-9_.-]+)\s*\]", line)
        if header:
            current = header[1]
        elif current == section and re.match(rf"\s*\"?{re.escape(inner)}\"?\s*=", line):
            return f" ({file}, line {number})"
    return f" ({file})"


def _did_you_mean(name: str) -> str:
    near = difflib.get_close_matches(name, all_keys(), n=1, cutoff=0.5)
    listing = "`omnibazaar config explain` lists all settings"
    return f"did you mean {near[0]!r}? {listing}" if near else listing


def _bad_value(name: str, text: str) -> ConfigError:
    return ConfigError(f"{name}: {text}", fix=f"`omnibazaar config explain {name}` says more")


def _key(name: str, annotation: Any, default: Any) -> Key:
    description, allowed = "", []
    for meta in _metas(annotation):
        description = meta.description or description
        allowed += [f"≥ {meta.ge}"] if meta.ge is not None else []
        allowed += [f"≤ {meta.le}"] if meta.le is not None else []
    kind = _plain_type(annotation)
    names = {bool: "true or false", int: "whole number", str: "text", tuple: "list of texts"}
    choices = _choices(annotation)
    text = " | ".join(str(choice) for choice in choices) if choices else names[kind]
    return Key(
        name=name,
        about=description,
        default=default,
        annotation=annotation,
        allowed=", ".join([text, *allowed]),
    )


def _metas(annotation: Any) -> list[msgspec.Meta]:
    metadata = getattr(annotation, "__metadata__", ())
    return [item for item in metadata if isinstance(item, msgspec.Meta)]


def _bare(annotation: Any) -> Any:
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    return annotation


def _choices(annotation: Any) -> tuple[Any, ...]:
    bare = _bare(annotation)
    return get_args(bare) if get_origin(bare) is Literal else ()


def _plain_type(annotation: Any) -> type:
    bare = _bare(annotation)
    origin = get_origin(bare)
    if origin is Literal:
        return type(get_args(bare)[0])
    return tuple if origin is tuple else cast("type", bare)
