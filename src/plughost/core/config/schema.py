"""The JSON Schema of a whole configuration, for editors and for checks without a running host.

It walks classes as the decoder does, so both refuse the same keys; what is not a record, msgspec describes.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from plughost.contracts.config import HostConfig
from plughost.contracts.secret import Secret
from plughost.core.config.records import (
    NO_DEFAULT,
    Record,
    RecordField,
    is_model,
    record_among,
    record_of,
    records_of_list,
    values_of_table,
)
from plughost.core.config.redaction import redacted
from plughost.core.config.undecoded import is_undecoded
from plughost.core.config.words import members
from plughost.core.containment import Point, contained

Schema = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_FREE: Final[Mapping[str, Any]] = {"type": "object"}
_REFERENCE: Final[Mapping[str, Any]] = {
    "description": "A value that is not in the file: an environment variable, or the content of a file.",
    "oneOf": [
        {
            "type": "object",
            "properties": {kind: {"type": "string", "minLength": 1}},
            "required": [kind],
            "additionalProperties": False,
        }
        for kind in ("$env", "$file")
    ],
}


def config_schema(plugin_config_classes: Mapping[str, Any] | None = None) -> Schema:
    """Return the JSON Schema (draft 2020-12) of a configuration file.

    Where a value is expected, a reference is allowed too. Keys that nothing declares are refused, as they are
    when the configuration is loaded.

    Args:
        plugin_config_classes: The ``Config`` of each plugin by its name; None for one that declares none. A
            class that no schema can be made of gets a free table.
    """
    own = _Builder("")
    own.of(HostConfig)
    definitions = {**own.definitions, "Reference": dict(_REFERENCE)}
    section = definitions["PluginSection"]
    plugins: dict[str, Schema] = {}
    for name, kind in (plugin_config_classes or {}).items():
        table, added = _of_plugin(name, kind)
        definitions.update(added)
        plugins[name] = {**section, "properties": {**section["properties"], "config": table}}
    root = definitions["HostConfig"]
    sections = dict(root["properties"])
    sections["plugins"] = {**sections["plugins"], "properties": plugins}
    sections["environments"] = {
        "description": "What differs in each environment; PLUGHOST_ENVIRONMENT chooses one.",
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/HostConfig"},
    }
    return {"$schema": _DIALECT, **root, "properties": sections, "$defs": definitions}


def plugin_schema(name: str, kind: Any) -> Schema:
    """Return the JSON Schema of the table ``config`` of one plugin, with its own definitions; see ``config_schema``.

    Args:
        name: Name of the plugin.
        kind: Its ``Config``; None for one that declares none, which has no settings.
    """
    if kind is None:
        return {"$schema": _DIALECT, "type": "object", "properties": {}, "additionalProperties": True}
    if is_undecoded(kind):
        return plugin_schema(name, None) if kind.schema is None else dict(kind.schema)
    table, definitions = _of_plugin(name, kind)
    return {"$schema": _DIALECT, **table, "$defs": {**definitions, "Reference": dict(_REFERENCE)}}


def _of_plugin(name: str, kind: Any) -> tuple[Schema, dict[str, Schema]]:
    """Return the schema of a plugin's table, and the definitions it refers to, under names of their own."""
    builder = _Builder(f"{name}.")
    if kind is not None:
        # Whatever a stranger's class raises when it is looked at, the other plugins keep their schema.
        with contextlib.suppress(Exception):
            return contained(Point.CONFIG, builder.of_config, kind), builder.definitions
    return dict(_FREE), {}


class _Builder:
    """Collects the definitions of one plugin's classes.

    Args:
        prefix: Goes before their names, so that those of two plugins do not meet.
    """

    def __init__(self, prefix: str) -> None:
        self.definitions: dict[str, Schema] = {}
        self._prefix = prefix

    def of_config(self, kind: Any) -> Schema:
        """Return the schema of a plugin's class."""
        return self.of_model(kind) if is_model(kind) else self.of(kind)

    def of(self, kind: Any) -> Schema:
        """Return the schema of a type."""
        if (inner := values_of_table(kind)) is not None:
            return {"type": "object", "additionalProperties": self.of(inner)}
        if (inner := records_of_list(kind)) is not None:
            return _or_reference({"type": "array", "items": self.of(inner)})
        if (record := record_among(kind)) is None:
            return self._of_leaf(kind)
        kinds = members(kind)
        if len(kinds) == 1:
            return self._of_record(kinds[0], record)
        others = [self._of_leaf(one) for one in kinds if record_of(one) is None]
        (named,) = (one for one in kinds if record_of(one) is not None)
        return {"anyOf": [self._of_record(named, record), *others]}

    def of_model(self, kind: Any) -> Schema:
        """Return the schema of a pydantic model, as pydantic gives it, with references allowed."""
        whole = kind.model_json_schema(ref_template=self._pointer("{model}"))
        for name, schema in {**whole.pop("$defs", {}), kind.__name__: whole}.items():
            properties = {}
            for key, inner in schema.get("properties", {}).items():
                told = {
                    word: each for word, each in inner.items() if word != "default" or _is_open(key, each)
                }
                properties[key] = _or_reference(told)
            closed = {"additionalProperties": False, **schema, "properties": properties}
            self.definitions[self._prefix + name] = closed if "properties" in schema else schema
        return {"$ref": self._pointer(kind.__name__)}

    def _of_record(self, kind: type[Any], record: Record) -> Schema:
        name = self._prefix + kind.__name__
        if name not in self.definitions:
            self.definitions[name] = {}  # first the name: a class may hold itself
            docstring = inspect.cleandoc(kind.__doc__ or "")
            if docstring.startswith(f"{kind.__name__}("):  # the signature that dataclass writes
                docstring = ""
            _, _, section = docstring.partition("Attributes:\n")
            texts = {found[1]: " ".join(found[2].split()) for found in re.finditer(_ATTRIBUTE, section)}
            properties: dict[str, Schema] = {}
            for key, field in record.fields.items():
                text = texts.get(field.attribute)
                properties[key] = {
                    **({"description": text} if text else {}),
                    **self.of(field.type),
                    **_default(key, field),
                }
            self.definitions[name] = {
                **({"description": docstring.split("\n\n")[0]} if docstring else {}),
                "type": "object",
                "properties": properties,
                "required": [key for key, field in record.fields.items() if field.required],
                "additionalProperties": False,
            }
        return {"$ref": self._pointer(kind.__name__)}

    def _of_leaf(self, kind: Any) -> Schema:
        def of_custom(kind: type[Any]) -> Schema:
            if kind is Secret:
                return {"type": "string", "writeOnly": True}
            return {"type": "string"} if issubclass(kind, Path) else {}

        ((schema,), added) = msgspec.json.schema_components(
            [kind], schema_hook=of_custom, ref_template=self._pointer("{name}")
        )
        for name, one in added.items():
            self.definitions.setdefault(self._prefix + name, one)
        return schema if schema in ({}, _FREE) else _or_reference(schema)

    def _pointer(self, name: str) -> str:
        prefix = self._prefix.replace("~", "~0").replace("/", "~1")
        return f"#/$defs/{prefix}{name}"


def _or_reference(schema: Schema) -> Schema:
    if schema.get("type") == "object":
        return schema
    inner = dict(schema)
    kept: Schema = {key: inner.pop(key) for key in ("title", "description", "default") if key in inner}
    choices = inner.pop("anyOf", None) or [inner]
    return {**kept, "anyOf": [*choices, {"$ref": "#/$defs/Reference"}]}


def _default(key: str, field: RecordField) -> Schema:
    if field.default is NO_DEFAULT:
        return {}

    def plain_path(value: Any) -> str:
        if isinstance(value, Path):
            return str(value)
        raise TypeError

    try:
        default = msgspec.to_builtins(field.default, str_keys=True, enc_hook=plain_path)
    except (TypeError, ValueError):  # a Secret, or something that only code can give
        return {}
    return {"default": default} if _is_open(key, default) else {}


def _is_open(key: str, value: Any) -> bool:
    """Whether a default may be shown."""
    return bool(redacted(value, key=key) == value)


_ATTRIBUTE: Final = r"(?m)^    (\w+)(?: \([^)]*\))?: (.*(?:\n      .*)*)"
