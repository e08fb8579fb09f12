"""Showing a configuration without what must not be shown."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, Final

import msgspec

from plughost.contracts.secret import MASK, Secret
from plughost.core.config.references import is_reference

_SECRET_WORDS: Final = frozenset(
    {"password", "passwd", "passphrase", "pass", "pwd", "secret", "secrets", "token", "tokens", "key", "keys"}
    | {
        "apikey",
        "dsn",
        "credential",
        "credentials",
        "private",
        "salt",
        "signature",
        "authorization",
        "bearer",
    }
    | {"cookie", "pin", "otp"}
)
_HARMLESS_ENDS: Final = frozenset(
    {"ttl", "name", "names", "prefix", "file", "path", "dir", "directory", "timeout", "limit", "length"}
    | {"lifetime", "count", "size", "bytes", "seconds", "enabled", "required", "algorithm"}
)
"""What a key with a secret word in it may end in to be shown all the same: ``token_ttl``, ``cookie_name``."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_URL_PASSWORD = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^:@/\s]*):\S+@")
_URL_TOKEN = re.compile(r"(https?://)[^:@/\s]+@")
_PAIR = re.compile(
    r"(?i)\b([a-z_-]*(?:password|passwd|pwd|secret|token|api_?key|access_?key|signature)=)[^&;\s]+"
)


def is_secret_key(key: str) -> bool:
    """Whether a key looks as if its value were a secret: ``api_key``, ``dsn``, ``clientSecret``."""
    words = [word.lower() for word in _WORD.findall(key)]
    return bool(_SECRET_WORDS.intersection(words)) and words[-1] not in _HARMLESS_ENDS


def masked_text(text: str) -> str:
    """Return the text with passwords in urls and connection strings hidden."""
    text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
    text = _URL_TOKEN.sub(rf"\1{MASK}@", text)
    return _PAIR.sub(rf"\1{MASK}", text)


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


def redacted(value: Any, *, key: str = "", written: Any = None) -> Any:
    """Return plain data that shows ``value`` and hides its secrets.

    Hidden are ``Secret`` values, everything under a key that looks secret (but for booleans, None and what is
    empty), passwords in urls, and what a reference stands for; the reference itself is named.

    Args:
        value: Anything a configuration holds: plain data, a Struct, a dataclass, a pydantic model.
        key: The key it stands under.
        written: The same part of the configuration as it was written, with its references.
    """
    if is_reference(written):
        value = written
    if is_reference(value):
        ((kind, name),) = value.items()
        return f"{MASK} ({kind} {name})"
    if (
        key
        and is_secret_key(key)
        and not (value is None or value is True or value is False or _is_empty(value))
    ):
        return MASK
    fields = _fields(value)
    if fields is not None:
        inside = written if isinstance(written, Mapping) else {}
        return {
            str(name): redacted(inner, key=str(name), written=inside.get(name))
            for name, inner in fields.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        places = written if isinstance(written, (list, tuple)) else ()
        return [
            redacted(inner, written=places[place] if place < len(places) else None)
            for place, inner in enumerate(value)
        ]
    return _shown(value)


def _is_empty(value: Any) -> bool:
    return isinstance(value, (str, bytes, list, tuple, Mapping)) and not value


def _fields(value: Any) -> Mapping[Any, Any] | None:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, msgspec.Struct):
        return {one.encode_name: getattr(value, one.name) for one in msgspec.structs.fields(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
    if hasattr(type(value), "model_fields"):
        return {name: getattr(value, name) for name in type(value).model_fields}
    return None


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, (str, PurePath)):
        return masked_text(str(value))
    return masked_text(str(value))
