"""Showing a configuration without what must not be shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any
from urllib.parse import unquote

import msgspec

from plughost.contracts.masking import is_secret_key, masked_text
from plughost.contracts.secret import MASK, Secret
from plughost.core.config.paths import folded
from plughost.core.config.records import is_model, keys_of
from plughost.core.config.references import is_reference, shown_reference


def secret_strings(value: Any, *, is_secret: bool = False) -> Iterator[str]:
    """Yield the strings under keys that look secret: messages of others must not show them."""
    if isinstance(value, str) and is_secret:
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from secret_strings(inner, is_secret=is_secret or is_secret_key(str(key)))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from secret_strings(inner, is_secret=is_secret)


def known_secrets(values: Any, decoded: Any) -> Iterator[str]:
    """Yield what a configuration declares or shows to be secret, with passwords out of urls.

    Args:
        values: The table as it was written, references followed.
        decoded: What became of it: its fields of the type ``Secret`` are secret under any name.
    """
    yield from secret_strings(values)
    for text in _strings(values):
        user, at, _ = text.partition("://")[2].rpartition("@")
        if at and (password := user.partition(":")[2]):
            yield from {password, unquote(password)}
    yield from _revealed(decoded)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(inner)


def _revealed(value: Any) -> Iterator[str]:
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            yield from _revealed(inner)
    else:
        for part in _parts(value) or ():
            yield from _revealed(part.value)


def redacted(value: Any, *, key: str = "", written: Any = None, hidden: bool = False) -> Any:
    """Return plain data that shows ``value`` and hides its secrets.

    Hidden are ``Secret`` values, every value under a key that looks secret (but for booleans, None and what
    is empty), passwords in urls, and what a reference stands for; the reference itself is named.

    Args:
        value: Anything a configuration holds: plain data, a Struct, a dataclass, a pydantic model.
        key: The key it stands under.
        written: The same part of the configuration as it was written, with its references.
        hidden: Whether a key further up looks secret.
    """
    if is_reference(written):
        value = written
    if is_reference(value):
        return shown_reference(value)
    hidden = hidden or is_secret_key(key)
    parts = _parts(value)
    if parts is not None:
        return {
            part.key: redacted(part.value, key=part.key, written=part.of(written), hidden=hidden)
            for part in parts
        }
    is_switch = value is None or isinstance(value, bool)
    if hidden and not is_switch and (value or not isinstance(value, (str, bytes, list, tuple))):
        return MASK
    if isinstance(value, (list, tuple, set, frozenset)):
        places = written if isinstance(written, (list, tuple)) else ()
        return [redacted(one, written=other) for one, other in zip_longest(value, places[: len(value)])]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Secret):
        return MASK
    return masked_text(str(value))


class _Part(msgspec.Struct, frozen=True):
    """One value inside another.

    Attributes:
        key: What it is shown under.
        value: The value.
        names: What it may have been written under.
    """

    key: str
    value: Any
    names: frozenset[str]

    def of(self, written: Any) -> Any:
        """Return the same part of a table as it was written, however its key was spelled."""
        if not isinstance(written, Mapping):
            return None
        return next((inner for key, inner in written.items() if folded(str(key)) in self.names), None)


def _part(key: str, value: Any, *others: Any) -> _Part:
    return _Part(key, value, frozenset(folded(name) for name in (key, *others) if isinstance(name, str)))


def _parts(value: Any) -> list[_Part] | None:
    """Return what is inside a table or a record; None when it is neither."""
    if isinstance(value, Mapping):
        return [_part(str(key), inner) for key, inner in value.items()]
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        return [_part(one.encode_name, getattr(value, one.name)) for one in fields]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [_part(one.name, getattr(value, one.name)) for one in dataclasses.fields(value)]
    if is_model(type(value)):
        return [
            _part(name, getattr(value, name), *keys_of(name, one))
            for name, one in type(value).model_fields.items()
        ]
    return None
