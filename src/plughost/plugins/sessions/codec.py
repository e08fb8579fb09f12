"""Values become bytes and come back: data only, of known shapes, within limits, and no second decoder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from plughost.contracts import error_type_name, several
from plughost.exceptions import SessionDataError
from plughost.plugins.sessions.tokens import is_writable

MAX_DEPTH = 16
MAX_NAME = 128
_MAX_INT = 2**63
_PLAIN = (str, bool, type(None), bytes)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class About(msgspec.Struct, frozen=True, array_like=True):
    """Who a session belongs to and where it came from; stored as one value."""

    username: str = ""
    roles: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}


_decode_about = msgspec.msgpack.Decoder(About).decode


def about_of(username: str, roles: Sequence[str], metadata: Mapping[str, Any] | None = None) -> About:
    """Return who a session belongs to, as the application says it.

    Raises:
        TypeError: The name is not text, or the roles are not several texts: it would be kept and could not be read.
    """
    if not isinstance(username, str):
        raise TypeError(f"username is text, not {type(username).__name__}")
    held = several("roles", roles)
    for role in held:
        if not isinstance(role, str):
            raise TypeError(f"a role is text, not {type(role).__name__}")
    return About(username, held, dict(metadata or {}))


def encode_value(name: str, value: object) -> bytes:
    """Return the bytes of one field.

    Raises:
        SessionDataError: The name or something in the value cannot be kept.
    """
    if not isinstance(name, str) or not is_writable(name) or not 0 < len(name.encode()) <= MAX_NAME:
        raise SessionDataError(f"a session field is named by a text of 1 to {MAX_NAME} bytes")
    _check(name, value, 0)
    try:
        return _encode(value)
    except (UnicodeEncodeError, msgspec.MsgspecError) as error:
        raise SessionDataError(
            f"session field {name!r} cannot be stored: {error_type_name(error)}"
        ) from error


def decode_value(raw: bytes) -> Any:
    """Return the value of one field.

    Raises:
        msgspec.DecodeError: The bytes are not of our making.
    """
    return _decode(raw)


def encode_about(about: About) -> bytes:
    """Return the bytes of name, roles and metadata.

    Raises:
        SessionDataError: Something in them cannot be kept.
    """
    _check("metadata", about.metadata, 0)
    try:
        return _encode(about)
    except (UnicodeEncodeError, msgspec.MsgspecError) as error:
        raise SessionDataError(
            f"the name, the roles or the metadata of a session cannot be stored: {error_type_name(error)}"
        ) from error


def decode_about(raw: bytes) -> About:
    """Return name, roles and metadata.

    Raises:
        msgspec.DecodeError: The bytes are not of our making.
    """
    return _decode_about(raw)


def _check(name: str, value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise SessionDataError(f"session field {name!r} is nested more than {MAX_DEPTH} deep")
    if isinstance(value, _PLAIN):
        return
    if isinstance(value, int):
        _require(-_MAX_INT <= value < _MAX_INT, name, "holds a number of more than 64 bits")
    elif isinstance(value, float):
        _require(math.isfinite(value), name, "holds a number that is not finite")
    elif isinstance(value, list | tuple):
        for item in value:
            _check(name, item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _require(isinstance(key, str), name, "holds a mapping with a key that is not a text")
            _check(name, item, depth + 1)
    else:
        _require(False, name, f"holds a {type(value).__name__}; keep text, numbers, lists and mappings")


def _require(condition: bool, name: str, complaint: str) -> None:
    if not condition:
        raise SessionDataError(f"session field {name!r} {complaint}")
