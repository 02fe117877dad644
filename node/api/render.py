"""Turn views into JSON and MessagePack.

Rule: a field's JSON form follows from its annotation in `views.py`; MessagePack carries the same
names with raw bytes and plain integers.
Spec: docs/reference/api.md (Encodings). Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from node.api.views import View
from primitives.address import to_checksum

_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()

Renderer = Callable[[Any], Any]


def encode_json(value: Any) -> bytes:
    """Encode a view, or plain values with views inside, as JSON."""
    return _json.encode(to_plain(value))


def encode_msgpack(value: Any) -> bytes:
    """Encode the same as MessagePack; bytes stay bytes, amounts beyond 64 bits become strings."""
    try:
        return _msgpack.encode(value)
    except OverflowError:
        return _msgpack.encode(_shrink(msgspec.to_builtins(value, builtin_types=(bytes,))))


def to_plain(value: Any) -> Any:
    """Return JSON-ready values. Bytes outside a view become hex, 20 of them an address."""
    if isinstance(value, View):
        return _renderer(type(value))(value)
    if isinstance(value, bytes):
        return to_checksum(value) if len(value) == 20 else "0x" + value.hex()
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def json_form(annotation: Any) -> str | None:
    """Return the JSON form named by an annotation: amount, address, hex or None."""
    if get_origin(annotation) is Annotated:
        for meta in get_args(annotation)[1:]:
            if isinstance(meta, msgspec.Meta) and meta.extra:
                form = meta.extra.get("json")
                return form if isinstance(form, str) else None
    return None


@cache
def _renderer(view: type[View]) -> Renderer:
    """Compile the renderer of one struct from its annotations."""
    hints = get_type_hints(view, include_extras=True)
    fields = [
        (field.name, field.encode_name, _field_renderer(hints[field.name]))
        for field in msgspec.structs.fields(view)
    ]
    config = view.__struct_config__
    if config.array_like:
        return lambda value: [
            render(getattr(value, name)) if render else getattr(value, name)
            for name, _, render in fields
        ]
    skip = {
        field.encode_name: field.default
        for field in msgspec.structs.fields(view)
        if config.omit_defaults and field.default is not msgspec.NODEFAULT
    }

    def render_object(value: Any) -> dict[str, Any]:
        out = {}
        for name, encoded, render in fields:
            item = getattr(value, name)
            if encoded in skip and item == skip[encoded]:
                continue
            out[encoded] = render(item) if render else item
        return out

    return render_object


def _field_renderer(annotation: Any) -> Renderer | None:
    """Return how one field is rendered; None when JSON takes it as it is."""
    form = json_form(annotation)
    if form is not None:
        return _FORMS[form]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        each = _field_renderer(arguments[0])
        return None if each is None else _render_each(each)
    if origin in (Union, UnionType):
        found = [render for render in map(_field_renderer, arguments) if render is not None]
        assert len(found) <= 1, "a union of two rendered forms cannot be told apart"
        return _render_optional(found[0]) if found else None
    if isinstance(annotation, type) and issubclass(annotation, View):
        return _renderer(annotation)
    return None


def _render_each(render: Renderer) -> Renderer:
    return lambda items: [render(item) for item in items]


def _render_optional(render: Renderer) -> Renderer:
    return lambda item: None if item is None else render(item)


def _to_hex(value: bytes) -> str:
    return "0x" + value.hex()


_FORMS: dict[str, Renderer] = {
    "amount": str,
    "address": to_checksum,
    "hex": _to_hex,
    "terms": to_plain,
}


def _shrink(value: Any) -> Any:
    """Replace integers that MessagePack cannot hold by decimal strings."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return str(value)
    if isinstance(value, dict):
        return {key: _shrink(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shrink(item) for item in value]
    return value
