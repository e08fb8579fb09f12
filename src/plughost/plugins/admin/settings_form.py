"""A form made from the JSON Schema of a plugin's settings, and what somebody wrote into it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from plughost.contracts import MASK, PluginSettings
from plughost.http import Problem

_PREFIX = "set."
_WORDS = {True: "yes", False: "no"}


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of a form.

    Attributes:
        key: Its key in the table ``config``.
        name: Name of the field.
        kind: ``text``, ``number``, ``choice``, ``json`` or ``secret``.
        text: What is in the field: empty when the setting has its default, or is secret.
        default: The default, for people; empty when there is none, or it is not told.
        required: Whether there is no default.
        choices: What a ``choice`` can be, beside its default.
        description: What it does.
        origin: Where its value comes from: a file, a variable, ``default``.
    """

    key: str
    name: str
    kind: str
    text: str
    default: str
    required: bool
    choices: tuple[str, ...]
    description: str
    origin: str


def fields_of(settings: PluginSettings) -> list[Field]:
    """Return the fields of a plugin's form; of one that was not imported those that are in the configuration."""
    if settings.schema is None:
        return [
            _field(settings, key, {"type": type(value).__name__}, False)
            for key, value in settings.values.items()
        ]
    root = _followed(settings.schema, settings.schema)
    required = set(root.get("required", ()))
    return [
        _field(settings, key, _followed(one, settings.schema), key in required)
        for key, one in root.get("properties", {}).items()
    ]


def changes_in(settings: PluginSettings, form: Mapping[str, str]) -> dict[str, Any]:
    """Return what a submitted form changes: key to new value, or to None where the default shall hold.

    A field that is as it was shown changes nothing; an empty secret stays as it is.

    Raises:
        Problem: 422, a field cannot be read; the sentence names it.
    """
    changes: dict[str, Any] = {}
    for field in fields_of(settings):
        written = form.get(field.name)
        if written is None or written.strip() == field.text:
            continue
        changes[field.key] = None if not written.strip() else _value(field, written.strip())
    return changes


def _field(settings: PluginSettings, key: str, schema: Mapping[str, Any], required: bool) -> Field:
    kind, choices = _kind(schema, settings.schema or {})
    value = settings.values.get(key)
    if _hides(value):
        kind = "secret"
    elif isinstance(value, Mapping | list | tuple):
        kind = "json"
    origin = "default"
    for entry in settings.entries:
        _, _, below = entry.path.partition(".config.")
        if below == key or below.startswith((f"{key}.", f"{key}[")):
            origin = entry.origin
            break
    shown = "" if kind == "secret" or key not in settings.values else _text(value, kind)
    return Field(
        key=key, name=_PREFIX + key, kind=kind, text=shown, required=required, choices=choices,
        default=_text(schema["default"], kind) if schema.get("default") is not None else "",
        description=str(schema.get("description", "")),
        origin=origin,
    )  # fmt: skip


def _kind(schema: Mapping[str, Any], root: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    found = list(_alternatives(schema, root))
    types = {str(one.get("type")) for one in found} - {"null"}
    if any(one.get("writeOnly") for one in found):
        return "secret", ()
    if types == {"boolean"}:
        return "choice", ("yes", "no")
    choices = [value for one in found for value in one.get("enum", ()) if value is not None]
    if choices and all(isinstance(value, str) for value in choices) and len(types) <= 1:
        return "choice", tuple(choices)
    if types and types <= {"integer", "number"}:
        return "number", ()
    return ("text", ()) if types in ({"string"}, {"str"}) else ("json", ())


def _alternatives(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if str(schema.get("$ref", "")).endswith("/Reference"):
        return
    inner = _followed(schema, root)
    if "anyOf" not in inner:
        yield inner
    for one in inner.get("anyOf", ()):
        yield from _alternatives(one, root)


def _followed(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    pointer = schema.get("$ref")
    if not isinstance(pointer, str):
        return schema
    name = pointer.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**root.get("$defs", {}).get(name, {}), **beside}


def _hides(value: Any) -> bool:
    """Whether a secret is in a value: it was hidden, so the value cannot be edited where it would be seen."""
    if isinstance(value, Mapping):
        return any(map(_hides, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_hides, value))
    return isinstance(value, str) and MASK in value


def _text(value: Any, kind: str) -> str:
    if isinstance(value, bool) and kind == "choice":
        return _WORDS[value]
    if isinstance(value, str) and kind != "json":
        return value
    return json.dumps(msgspec.to_builtins(value, enc_hook=str), ensure_ascii=False)


def _value(field: Field, written: str) -> Any:
    if field.kind in ("text", "secret"):
        return written
    if field.kind == "choice":
        words = {"yes": True, "no": False} if field.choices == ("yes", "no") else {}
        return words.get(written, written)
    try:
        return msgspec.json.decode(written)
    except msgspec.DecodeError:
        if field.kind == "json":  # a text, where a text or something else may stand
            return written
        raise Problem(
            422, f"{field.key} must be a number, not {written[:50]!r}.", code="invalid_body"
        ) from None
