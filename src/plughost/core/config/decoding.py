"""Turning plain values into typed ones, noting everything that is wrong and not only the first of it."""

from __future__ import annotations

import enum
import re
import typing
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from plughost.contracts.error_text import error_line, error_text
from plughost.contracts.secret import MASK, Secret
from plughost.core.config.environment import from_environment
from plughost.core.config.paths import SettingPath, dotted, folded, origin_of_setting
from plughost.core.config.records import KnownType, Record, is_tuple
from plughost.core.config.references import UNRESOLVED
from plughost.core.config.words import members, read_time, read_words
from plughost.core.containment import Point, contained
from plughost.exceptions import ConfigError, ConfigProblem, PluginConfigError, did_you_mean

UNKNOWN: Final = "unknown setting."

FAILED: Final = object()
"""Stands for a value that could not be decoded; the problem is noted."""

_WORDS_OF_TOML: Final = {"object": "table", "array": "list"}
_KINDS: Final = r"`(\w+(?: \| \w+)*)`"
_MSGSPEC_PATH: Final = r"(?s) - at `\$(?P<path>.*)`$"
_PATTERN: Final = r"matching regex (?P<pattern>.*)$"
_SHORTEST_SCRUBBED: Final = 3  # characters; to hide a shorter secret would garble the message and tell it


class Decoder:
    """Decodes values of one configuration.

    Args:
        origins: Dotted name to origin. Strings from the environment are read leniently, all else strictly.
        resolved: Dotted names of values that came through a reference: read leniently too.
        secrets: Strings that must not appear in a message.
    """

    def __init__(
        self, origins: Mapping[str, str], *, resolved: Collection[str] = (), secrets: Collection[str] = ()
    ) -> None:
        self.problems: list[ConfigProblem] = []
        self._origins = origins
        self._resolved = resolved
        self._secrets = sorted((s for s in secrets if len(s) >= _SHORTEST_SCRUBBED), key=len, reverse=True)
        self._known: dict[int, KnownType] = {}  # each holds its type, so that no other gets its id

    def decode(self, value: Any, kind: Any, path: SettingPath) -> Any:
        """Return ``value`` as ``kind``, or ``FAILED`` with the problems noted."""
        if value is UNRESOLVED:
            return FAILED
        is_lenient = self.is_lenient(path)
        if is_lenient:
            value = read_words(value, kind)
        known = self._known.get(id(kind)) or self._known.setdefault(id(kind), KnownType(kind))
        if isinstance(value, known.classes):
            return value  # code may give what is decoded already
        is_table = isinstance(value, Mapping)
        if is_table and known.record is not None:
            return self._decode_record(value, known.record, path)
        # Tables go value by value: each has an origin of its own. Lists of records go item by item, because
        # msgspec would ignore the unknown keys of a dataclass.
        if is_table and known.table is not None:
            keys, inner = known.table
            names = [self.decode(key, keys, (*path, key)) for key in value] if keys is not str else []
            table = {key: self.decode(one, inner, (*path, key)) for key, one in value.items()}
            return FAILED if _has_failed([*names, *table.values()]) else table
        if isinstance(value, (list, tuple)) and (inner := known.items) is not None:
            items = [self.decode(one, inner, (*path, place)) for place, one in enumerate(value)]
            return FAILED if _has_failed(items) else tuple(items) if is_tuple(kind) else items
        name = dotted(path)
        holds_resolved = any(one.startswith((f"{name}[", f"{name}.")) for one in self._resolved)
        strict = not (holds_resolved or is_lenient)
        try:
            return msgspec.convert(read_time(value, kind), kind, strict=strict, dec_hook=_decode_custom)
        except msgspec.ValidationError as error:
            self.note(*_explained(error, value, kind, path))
        except NotImplementedError as error:
            self.note(path, error_text(error))
        except TypeError as error:  # msgspec cannot make sense of the annotation
            self.note(path, f"the type of this setting cannot be used: {error_text(error)}")
        return FAILED

    def note(self, path: SettingPath, message: str) -> None:
        """Note a problem, with every known secret taken out of its message."""
        for secret in self._secrets:
            message = message.replace(secret, MASK)
        self.problems.append(ConfigProblem(dotted(path), origin_of_setting(path, self._origins), message))

    def _decode_record(self, value: Mapping[str, Any], record: Record, path: SettingPath) -> Any:
        before = len(self.problems)
        arguments: dict[str, Any] = {}
        for key, inner in value.items():
            known = key if key in record.fields else None
            if known is None and from_environment(origin_of_setting((*path, key), self._origins)):
                known = next((field for field in record.fields if folded(field) == folded(key)), None)
            if known is None:
                self.note((*path, key), f"{UNKNOWN}{did_you_mean(key, record.fields)}")
                continue
            field = record.fields[known]
            arguments[field.attribute] = self.decode(inner, field.type, (*path, key))
        for key, field in record.fields.items():
            if field.required and field.attribute not in arguments:
                names = [
                    one.__name__ if isinstance(one, type) else str(one).replace("typing.", "")
                    for one in members(field.type)
                ]
                described = " or ".join(f"`{name}`" for name in names)
                self.note((*path, key), f"missing: expected {described}")
        if len(self.problems) > before or _has_failed(arguments.values()):
            return FAILED
        try:
            return contained(Point.CONFIG, lambda: record.build(**arguments))
        except Exception as error:  # whatever the record's own checks raise
            self.note(path, reason_of(error))
            return FAILED

    def is_lenient(self, path: SettingPath) -> bool:
        """Whether the value there was written as a word: in the environment, or behind a reference."""
        return dotted(path) in self._resolved or from_environment(origin_of_setting(path, self._origins))


def _has_failed(values: Iterable[Any]) -> bool:
    return any(value is FAILED for value in values)  # by identity: a stranger's == may do anything


def raise_problems(problems: Collection[ConfigProblem], *, plugin: str | None = None) -> None:
    """Raise one error that names them all; nothing when there are none.

    Raises:
        ConfigError: There are problems.
        PluginConfigError: The same, when ``plugin`` is named.
    """
    if not problems:
        return
    first, *others = problems
    message = "\n  ".join([f"{len(problems)} problems:", *map(str, problems)]) if others else str(first)
    error: ConfigError
    if plugin is None:
        error = ConfigError(message, path=first.path, origin=first.origin)
    else:
        error = PluginConfigError(message, plugin=plugin, path=first.path, origin=first.origin)
    error.problems = tuple(problems)
    raise error


def reason_of(error: Exception) -> str:
    """Return what the check of a plugin's class said: its words if it meant to say something."""
    return error_text(error) if isinstance(error, ValueError) and error_text(error) else error_line(error)


def _decode_custom(kind: type[Any], value: Any) -> Any:
    if isinstance(value, kind):
        return value
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if issubclass(kind, Path) and value == "":
        raise ValueError(
            "Expected a path, and it is empty: take the setting out, or write '.' for the folder itself"
        )
    if issubclass(kind, Path) and isinstance(value, str):
        return kind(value)
    if kind is Secret or issubclass(kind, Path):
        raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
    raise NotImplementedError(f"a {kind.__name__} cannot be made of what a configuration holds")


def _explained(error: Exception, value: Any, kind: Any, path: SettingPath) -> tuple[SettingPath, str]:
    message = str(error)
    if found := re.search(_MSGSPEC_PATH, message):
        message = message[: found.start()]
        parts = re.findall(r"\.([^.\[\]]+)|\[(\d+)\]|\[(\.\.\.)\]", found["path"])
        path = (*path, *(key or (int(place) if place else "...") for key, place, _ in parts))
    if message.startswith("Invalid enum value"):
        # msgspec's own message shows the value, and the value may be a secret in the wrong place.
        choices = [str(choice) for one in members(kind) for choice in _choices(one)]
        if not choices:
            return path, "not one of the values that are allowed here"
        return path, f"expected one of {', '.join(map(repr, choices))}.{did_you_mean(str(value), choices)}"
    if (found := re.search(_PATTERN, message)) and (example := _example(kind, found["pattern"])):
        return path, f"expected text like {example!r}"

    def in_words_of_toml(found: re.Match[str]) -> str:
        """Name the kinds of a value; TOML has no null, so nobody can write what would be right besides."""
        kinds = found[1].split(" | ")
        named = [_WORDS_OF_TOML.get(kind, kind) for kind in kinds if kind != "null" or len(kinds) == 1]
        return " or ".join(f"`{kind}`" for kind in named)

    message = re.sub(_KINDS, in_words_of_toml, message)
    return path, message[:1].lower() + message[1:]


def _example(kind: Any, shown: str) -> Any:
    """Return how text of the kind that has this pattern is written, if its type says so."""
    for note in getattr(kind, "__metadata__", ()):
        if isinstance(note, msgspec.Meta) and note.examples and repr(note.pattern) == shown:
            return note.examples[0]
    return next(filter(None, (_example(one, shown) for one in typing.get_args(kind))), None)


def _choices(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) is Literal:
        return typing.get_args(kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return tuple(member.value for member in kind)
    return ()
