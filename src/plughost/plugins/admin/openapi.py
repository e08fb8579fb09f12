"""The OpenAPI document of the API, made of the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from plughost.http import Route
from plughost.http.problems import PROBLEM_TYPE

_PARAMETER = re.compile(r"{(\w+)}")
_QUERIES: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "/cache/keys": (
        ("cache", {"type": "string", "default": "default"}),
        ("limit", {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 100}),
    ),
    "/sessions/users/{id}": (
        ("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),
        ("cursor", {"type": "string"}),
    ),
    "/cache/debug": (("limit", {"type": "integer", "minimum": 1, "maximum": 1000}),),
    "/audit": (
        ("limit", {"type": "integer", "minimum": 1, "maximum": 1000}),
        ("before", {"type": "integer", "minimum": 0, "maximum": 10**17 - 1}),
    ),
    "/events": (
        ("tab", {"type": "string", "default": "plugins"}),
        ("as", {"type": "string", "enum": ["figures", "parts"]}),
    ),
}
_REFUSALS = {
    "401": "Nobody is known, or the credential is wrong.",
    "403": "The scope is missing, or another site made the request.",
    "404": "There is no such thing.",
    "429": "Too often.",
    "503": "A plugin or a store that is needed is not there.",
}
_OF_BODIES = {
    "400": "The body is not JSON.",
    "405": "The host is administered read-only.",
    "409": "It cannot be done as things are.",
    "413": "The body is too large or too deep.",
    "415": "The body is no JSON by its type.",
}


def openapi(routes: Iterable[Route], base: str) -> dict[str, Any]:
    """Return the document of ``routes``, whose paths begin with ``base``."""
    paths: dict[str, Any] = {}
    bodies = [route.body for route in routes if route.body is not None]
    _, schemas = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    for route in routes:
        for method in sorted((route.methods or set()) - {"HEAD"}):
            paths.setdefault(route.path, {})[method.lower()] = _operation(route, method, base)
    members = {"type": "string", "title": "string", "status": "integer", "detail": "string", "code": "string"}
    problem = {
        "type": "object",
        "properties": {name: {"type": kind} for name, kind in members.items()},
        "required": ["type", "title", "status"],
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "plughost administration", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": problem},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(route: Route, method: str, base: str) -> dict[str, Any]:
    named = _PARAMETER.findall(route.path)
    stream = route.path.endswith("/events")
    kind = "text/event-stream" if stream else "application/json"
    fine = {"description": "Fine.", "content": {kind: {"schema": {"type": "string" if stream else "object"}}}}
    refusals = {**_REFUSALS, "422": "Something given does not fit.", **(_OF_BODIES if route.body else {})}
    problem = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [
            *({"name": n, "in": "path", "required": True, "schema": _PATH_PART} for n in named),
            *(
                {"name": n, "in": "query", "schema": s}
                for n, s in _QUERIES.get(route.path.removeprefix(base), ())
            ),
        ],
        "responses": {
            "200": fine,
            **{code: {"description": text, "content": problem} for code, text in sorted(refusals.items())},
        },
    }
    if route.guard.wants:
        operation["description"] = f"Needs the scope `{route.guard.wants}`."
    schema = _body(route.body, named) if route.body is not None else None
    if schema is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return operation


_PATH_PART = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^/\x00-\x1f]+$"}


def _body(kind: Any, in_path: list[str]) -> dict[str, Any] | None:
    """Return the schema of a body, without what the path says already; None when nothing is left to say."""
    (schema,), components = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    own = components[schema["$ref"].rpartition("/")[2]]
    properties = {name: part for name, part in own["properties"].items() if name not in in_path}
    if not properties:
        return None
    required = [name for name in own.get("required", ()) if name not in in_path]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
