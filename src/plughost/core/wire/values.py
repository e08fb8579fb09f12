"""Values of which nothing is declared: plain data and records of ``plughost.contracts`` cross as what they are.

Plain data is what MessagePack knows by itself, and dates, sets, paths and the like, which are wrapped so that they
arrive as what they were. Everything else is refused: a live object has no copy elsewhere.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any, Final

import msgspec

from plughost import contracts
from plughost.contracts.secret import Secret
from plughost.contracts.value_text import class_name
from plughost.core.config.records import is_record
from plughost.core.wire.faults import Fault, as_fault

_RECORD: Final = 1
_WRAPPED: Final = 2
_FAULT: Final = 3
_DEEPEST: Final = 100

_AS_IT_IS: Final = frozenset({str, int, float, bool, bytes, type(None), msgspec.msgpack.Ext})

_WRAPPERS: Final[Mapping[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]]] = {
    "tuple": (tuple, list, tuple),
    "set": (set, list, set),
    "frozenset": (frozenset, list, frozenset),
    "bytearray": (bytearray, bytes, bytearray),
    "datetime": (dt.datetime, dt.datetime.isoformat, dt.datetime.fromisoformat),
    "date": (dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "time": (dt.time, dt.time.isoformat, dt.time.fromisoformat),
    "timedelta": (
        dt.timedelta,
        dt.timedelta.total_seconds,
        lambda s: dt.timedelta(seconds=s),
    ),
    "decimal": (decimal.Decimal, str, decimal.Decimal),
    "uuid": (uuid.UUID, str, uuid.UUID),
    "path": (PurePath, str, Path),
    "secret": (Secret, Secret.reveal, Secret),
}


def hook_out(value: Any) -> Any:
    """Return what is written for a value of a declared type that MessagePack does not know.

    Raises:
        TypeError: It cannot cross.
    """
    if isinstance(value, MappingProxyType | Mapping):
        return dict(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, BaseException):
        return as_fault(value)
    raise TypeError(f"it holds {_article(value)}, which cannot leave its process")


def hook_back(kind: type[Any], value: Any) -> Any:
    """Return the value of a declared type that MessagePack does not know."""
    if issubclass(kind, PurePath):
        return Path(value)
    if issubclass(kind, Secret):
        return Secret(value)
    if issubclass(kind, BaseException):
        return msgspec.convert(value, Fault).revived()
    raise NotImplementedError


ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=hook_out)


def decoder_of(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    """Return what reads values of a type; what nothing is declared of comes back as ``free_out`` had it."""
    return msgspec.msgpack.Decoder(kind, dec_hook=hook_back, ext_hook=free_back)


def free_out(value: Any, depth: int = 0) -> Any:
    """Return a value with all that MessagePack would garble wrapped; itself when nothing is to be wrapped.

    Raises:
        TypeError: Something in it cannot cross.
    """
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if depth > _DEEPEST:
        raise TypeError(f"it is nested more than {_DEEPEST} deep, or holds itself")
    if isinstance(value, list):
        listed = [free_out(each, depth + 1) for each in value]
        return value if all(mine is theirs for mine, theirs in zip(listed, value, strict=True)) else listed
    if isinstance(value, Mapping):
        return _mapping_out(value, depth)
    if _exported(kind):
        return msgspec.msgpack.Ext(_RECORD, ENCODER.encode((kind.__name__, _contents(value, depth))))
    if isinstance(value, BaseException):
        return msgspec.msgpack.Ext(_FAULT, ENCODER.encode(as_fault(value)))
    if not isinstance(value, enum.Enum):
        for name, (wrapped, out, _) in _WRAPPERS.items():
            if isinstance(value, wrapped):
                return msgspec.msgpack.Ext(_WRAPPED, ENCODER.encode((name, free_out(out(value), depth + 1))))
    raise TypeError(f"it holds {_article(value)}, which cannot leave its process")


def _contents(value: Any, depth: int) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
    else:
        names = tuple(field.name for field in dataclasses.fields(value) if field.init)
    return {name: free_out(getattr(value, name), depth + 1) for name in names}


def _mapping_out(value: Mapping[Any, Any], depth: int) -> Mapping[Any, Any]:
    if any(type(key) not in _AS_IT_IS for key in value):
        raise TypeError("it holds a mapping whose keys are not plain texts or numbers")
    out = {key: free_out(each, depth + 1) for key, each in value.items()}
    return value if all(out[key] is each for key, each in value.items()) else out


def free_back(code: int, data: memoryview) -> Any:
    """Return what stands in one of the wrappings that ``free_out`` makes.

    Raises:
        ValueError: Nothing it makes looks like this.
    """
    if code == _FAULT:
        return msgspec.msgpack.decode(data, type=Fault).revived()
    name, content = _WRAPPING.decode(data)
    if code == _WRAPPED and name in _WRAPPERS:
        return _WRAPPERS[name][2](_CONTENT.decode(content))
    kind: Any = getattr(contracts, name, None)
    if code == _RECORD and _exported(kind):
        inside = _CONTENT.decode(content)
        return kind(**inside) if is_record(kind) else kind(inside)
    raise ValueError(f"nobody wraps {name!r} as {code}")


def _exported(kind: Any) -> bool:
    """Whether it is a class of records, or an enumeration, that ``plughost.contracts`` exports."""
    if not (is_record(kind) or (isinstance(kind, type) and issubclass(kind, enum.Enum))):
        return False
    return getattr(contracts, kind.__name__, None) is kind


def _article(value: object) -> str:
    return f"an object of {class_name(type(value))}"


_WRAPPING: Final = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw])
_CONTENT: Final[msgspec.msgpack.Decoder[Any]] = decoder_of(Any)
