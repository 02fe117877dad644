"""Describe the API as OpenAPI 3.1, made from the same endpoints and views that serve it.

Rule: nothing is described by hand that the code knows; a test compares paths and answers.
Spec: https://spec.openapis.org/oas/v3.1.0. Deviations: none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from node.api.endpoint import INTERVALS_MS, Endpoint, Parameter
from node.api.errors import CODES
from node.api.render import json_form
from node.api.views import View

FORMS: Final[dict[str, dict[str, Any]]] = {
    "amount": {"type": "string", "pattern": "^[0-9]+$", "description": "atoms, decimal"},
    "address": {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$", "description": "EIP-55"},
    "hex": {"type": "string", "pattern": "^0x([0-9a-f]{2})*$"},
    "terms": {"type": "object", "description": "an entry of the network file"},
}
PLAIN: Final[dict[type, str]] = {int: "integer", str: "string", bool: "boolean"}
ERROR_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "risk", "fix"],
            "properties": {
                "code": {"type": "string", "enum": sorted(CODES)},
                "message": {"type": "string"},
                "risk": {"type": "string"},
                "fix": {"type": "string"},
                "oldest_height": {"type": "integer", "description": "of `pruned`"},
            },
        }
    },
}


def build_openapi(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """Return the description document."""
    schemas: dict[str, Any] = {"Error": ERROR_SCHEMA}
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, schemas)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OmniBazaar node",
            "version": version,
            "description": "Prices are ticks, sizes are lots, amounts are decimal strings of "
            "atoms. WebSocket at /v1/ws; see docs/reference/api.md.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"operator": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.handler.__name__,
        "summary": endpoint.summary,
        "responses": {
            "200": {"description": "ok", "content": _answer_content(endpoint, schemas)},
            "default": {
                "description": "refused",
                "content": {"application/json": {"schema": _reference("Error")}},
            },
        },
    }
    if endpoint.parameters:
        operation["parameters"] = [_parameter(item, endpoint) for item in endpoint.parameters]
    if endpoint.body is not None:
        content = {"application/json": {"schema": _body_schema(endpoint.body, schemas)}}
        if endpoint.body_msgpack is not None:
            content["application/msgpack"] = {
                "schema": {"description": "array of [payload, signature] pairs of raw bytes"}
            }
        operation["requestBody"] = {"required": True, "content": content}
    if endpoint.operator:
        operation["security"] = [{"operator": []}]
    return operation


def _answer_content(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    if isinstance(endpoint.answer, str):
        return {endpoint.answer.partition(";")[0]: {}}
    schema = schema_of(endpoint.answer, schemas)
    return {"application/json": {"schema": schema}, "application/msgpack": {}}


def _parameter(parameter: Parameter, endpoint: Endpoint) -> dict[str, Any]:
    is_path = "{" + parameter.name + "}" in endpoint.path
    schema: dict[str, Any] = {"type": "string"}
    if parameter.kind == "integer":
        schema = {
            "type": "integer",
            "minimum": parameter.minimum,
            "maximum": parameter.maximum,
        }
        if parameter.default is not None:
            schema["default"] = parameter.default
    elif parameter.kind == "interval":
        schema = {"type": "string", "enum": list(INTERVALS_MS)}
    return {
        "name": parameter.name,
        "in": "path" if is_path else "query",
        "required": is_path or parameter.required,
        "description": parameter.about,
        "schema": schema,
    }


def schema_of(annotation: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of an annotation; views are collected in `schemas`."""
    form = json_form(annotation)
    if form is not None:
        return FORMS[form]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return schema_of(arguments[0], schemas)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": schema_of(arguments[0], schemas)}
    if origin in (Union, UnionType):
        return {"anyOf": [schema_of(argument, schemas) for argument in arguments]}
    if annotation is NoneType:
        return {"type": "null"}
    if isinstance(annotation, type) and issubclass(annotation, View):
        return _view_schema(annotation, schemas)
    return {"type": PLAIN[annotation]}


def _view_schema(view: type[View], schemas: dict[str, Any]) -> dict[str, Any]:
    name = view.__name__
    if name not in schemas:
        schemas[name] = {}  # reserves the name while its fields are described
        hints = get_type_hints(view, include_extras=True)
        fields = {
            field.encode_name: schema_of(hints[field.name], schemas)
            for field in msgspec.structs.fields(view)
        }
        about = re.sub(r"\s+", " ", view.__doc__ or "").strip()
        if view.__struct_config__.array_like:
            schemas[name] = {
                "type": "array",
                "description": about,
                "prefixItems": list(fields.values()),
                "minItems": len(fields),
                "maxItems": len(fields),
            }
        else:
            optional = _optional_names(view)
            schemas[name] = {
                "type": "object",
                "description": about,
                "required": [field for field in fields if field not in optional],
                "properties": fields,
            }
    return _reference(name)


def _optional_names(view: type[View]) -> set[str]:
    if not view.__struct_config__.omit_defaults:
        return set()
    return {
        field.encode_name
        for field in msgspec.structs.fields(view)
        if field.default is not msgspec.NODEFAULT
    }


def _body_schema(body: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    (schema,), found = msgspec.json.schema_components(
        [body], ref_template="#/components/schemas/{name}"
    )
    schemas.update(found)
    return schema


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
