"""Values to bytes and back, with the type they had.

MessagePack through msgspec, which knows None, bool, int, float, str, bytes, list and dict. What it would
silently turn into something else is wrapped in extension types here; what cannot come back as it was is
refused. Nothing is ever executed when bytes are read, and bytes that cannot be read are a miss.

JSON is for values that other programs read: only what survives a round trip is taken.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from msgspec.msgpack import Ext

from plughost.contracts import error_type_name
from plughost.exceptions import CacheValueError

Format = Literal["msgpack", "json"]

JSON: Final = 1
ZLIB: Final = 2
ZSTD: Final = 4

_ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes})
_KEY_ATOMS: Final = frozenset({str, bytes, int, float, bool, type(None)})
_STR: Final = frozenset({str})
_MAX_DEPTH: Final = 100

_TUPLE, _SET, _FROZENSET, _MAP, _BIG, _DATETIME, _DATE, _TIME, _DELTA, _UUID, _DECIMAL = range(1, 12)


class UndecodableError(Exception):
    """Bytes under one of our keys are not what we write."""


_SCALARS: Final[dict[type[Any], Callable[[Any], Ext]]] = {
    datetime: lambda value: Ext(_DATETIME, value.isoformat().encode() + (b"|1" if value.fold else b"")),
    date: lambda value: Ext(_DATE, value.isoformat().encode()),
    time: lambda value: Ext(_TIME, value.isoformat().encode() + (b"|1" if value.fold else b"")),
    timedelta: lambda value: Ext(_DELTA, f"{value.days},{value.seconds},{value.microseconds}".encode()),
    UUID: lambda value: Ext(_UUID, value.bytes),
    Decimal: lambda value: Ext(_DECIMAL, str(value).encode()),
}


class _Packer:
    """Wraps what MessagePack does not know; leaves alone what it does, so that most values are not copied."""

    def __init__(self) -> None:
        self._encode = msgspec.msgpack.Encoder().encode

    def __call__(self, value: Any, depth: int = 0) -> Any:
        kind = type(value)
        if kind in _ATOMS:
            return self._big(value) if kind is int else value
        if depth > _MAX_DEPTH:
            raise CacheValueError(f"a value is nested deeper than {_MAX_DEPTH} levels, or contains itself")
        if kind is dict:
            depth = depth + 1
            key_kinds = set(map(type, value))
            if not key_kinds <= _KEY_ATOMS or (key_kinds != _STR and not self._small(value)):
                pairs = [[self(key, depth), self(item, depth)] for key, item in value.items()]
                return Ext(_MAP, self._encode(pairs))
            kinds = set(map(type, value.values()))
            if kinds <= _ATOMS and (int not in kinds or self._small(value.values())):
                return value
            return {key: self(item, depth) for key, item in value.items()}
        if kind is list:
            return self._items(value, depth + 1)
        if kind is tuple:
            return Ext(_TUPLE, self._encode(self._items(list(value), depth + 1)))
        if kind is set or kind is frozenset:
            return Ext(_SET if kind is set else _FROZENSET, self._encode(self._items(list(value), depth + 1)))
        scalar = _SCALARS.get(kind)
        if scalar is None:
            name = f"{kind.__module__}.{kind.__qualname__}"
            way = (
                "store its model_dump() and validate what comes back"
                if hasattr(kind, "model_dump")  # pydantic's, which no type=... can read
                else "store a dict of it, or give the cache its type with caches.get(name, type=...)"
            )
            raise CacheValueError(f"a cache keeps data, and {name} is not: {way}")
        return scalar(value)

    @staticmethod
    def _big(value: int) -> Any:
        return value if -(2**63) <= value < 2**64 else Ext(_BIG, hex(value).encode())

    def _items(self, items: list[Any], depth: int) -> list[Any]:
        kinds = set(map(type, items))
        if kinds <= _ATOMS and (int not in kinds or self._small(items)):
            return items
        return [self(item, depth) for item in items]

    @staticmethod
    def _small(items: Any) -> bool:
        return all(type(item) is not int or -(2**63) <= item < 2**64 for item in items)


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Whether MessagePack gives it back as it is, whole numbers of more than 64 bits aside."""
    kind = type(value)
    if kind is dict:
        for key in value:  # a loop, which for the few of most values costs half of all()
            if type(key) is not str:
                return False
        value = value.values()
    elif kind is not list:
        return kind in _ATOMS
    if depth > _MAX_DEPTH:
        return False
    for item in value:  # noqa: SIM110 # the loop again
        if type(item) not in _ATOMS and not _is_plain(item, depth + 1):
            return False
    return True


def _unpack_time(data: bytes, kind: type[Any]) -> Any:
    text, _, fold = data.decode().partition("|")
    value = kind.fromisoformat(text)
    return value.replace(fold=1) if fold else value


def _unpack(code: int, view: memoryview) -> Any:
    data = bytes(view)
    if code in {_TUPLE, _SET, _FROZENSET, _MAP}:
        items = _decode_any(data)
        if code == _MAP:
            return {key: value for key, value in items}  # noqa: C416 # dict() takes pairs of any length
        return (tuple if code == _TUPLE else set if code == _SET else frozenset)(items)
    readers: dict[int, Callable[[bytes], Any]] = {
        _BIG: lambda raw: int(raw.decode(), 16),
        _DATETIME: lambda raw: _unpack_time(raw, datetime),
        _DATE: lambda raw: date.fromisoformat(raw.decode()),
        _TIME: lambda raw: _unpack_time(raw, time),
        _DELTA: lambda raw: timedelta(*map(int, raw.decode().split(","))),
        _UUID: lambda raw: UUID(bytes=raw),
        _DECIMAL: lambda raw: Decimal(raw.decode()),
    }
    return readers[code](data)


_decode_any = msgspec.msgpack.Decoder(ext_hook=_unpack).decode
_pack = _Packer()


class Codec:
    """Encodes the values of one cache.

    Args:
        form: ``msgpack`` or ``json``.
        value_type: What values are decoded as: anything msgspec knows, such as a ``Struct`` or a dataclass.
            None decodes plain data.
        compress_above: Payloads longer than this are compressed; None never.
    """

    def __init__(
        self, form: Format = "msgpack", value_type: Any = None, compress_above: int | None = 4096
    ) -> None:
        self._type = value_type
        self._above = compress_above
        self._flags = JSON if form == "json" else 0
        module = msgspec.json if form == "json" else msgspec.msgpack
        self._encode: Callable[[Any], bytes] = module.Encoder().encode
        self._decode: Callable[[bytes], Any]
        if value_type is not None:
            self._decode = module.Decoder(value_type).decode
        else:
            self._decode = msgspec.json.decode if form == "json" else _decode_any
        self._decoders = {self._flags: self._decode}
        self._compress, self._compressor = _compressor()

    def copy(self, value: Any, payload: bytes | None = None) -> Any:
        """Return the value as every tier would give it back: data, and nobody else's.

        Args:
            value: The value.
            payload: What ``pack`` made of it, where that is known already.

        Raises:
            CacheValueError: It is not data.
        """
        if type(value) in _ATOMS and self._type is None:
            return value
        packed = self.pack(value) if payload is None else payload
        try:
            return self._decode(packed)
        except (msgspec.MsgspecError, ValueError, TypeError) as error:
            raise CacheValueError(f"this value does not come back as it is: {error}") from error

    def pack(self, value: Any) -> bytes:
        """Return the payload, not compressed.

        Raises:
            CacheValueError: The value is not data.
        """
        try:
            if self._type is not None:
                return self._encode(
                    msgspec.convert(value, self._type)
                    if type(value) in _ATOMS or isinstance(value, dict | list)
                    else value
                )
            if self._flags & JSON:
                payload = self._encode(value)
                if msgspec.json.decode(payload) != value:
                    raise CacheValueError(
                        "this value would not come back from JSON as it is: use format = 'msgpack'"
                    )
                return payload
            if _is_plain(value):
                try:
                    return self._encode(value)
                except OverflowError:
                    pass  # a whole number that MessagePack has no room for
            return self._encode(_pack(value))
        except CacheValueError:
            raise
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            raise CacheValueError(f"this value cannot be kept: {error}") from error

    def seal(self, payload: bytes) -> tuple[int, bytes]:
        """Return the flags and the payload, compressed when it is long and worth it."""
        if self._above is None or len(payload) <= self._above:
            return self._flags, payload
        shorter = self._compress(payload)
        if len(shorter) > 0.9 * len(payload):
            return self._flags, payload
        return self._flags | self._compressor, shorter

    def open(self, flags: int, data: bytes) -> Any:
        """Return the value of sealed bytes.

        Raises:
            UndecodableError: They are not what this cache writes.
        """
        try:
            if flags & (ZLIB | ZSTD):
                data = _decompress(flags, data)
            decode = self._decoders.get(flags & JSON)
            if decode is not None:
                return decode(data)
            # Written before the configuration changed the format: a rolling deployment reads both.
            module = msgspec.json if flags & JSON else msgspec.msgpack
            if self._type is not None:
                return module.decode(data, type=self._type)
            return msgspec.json.decode(data) if flags & JSON else _decode_any(data)
        except Exception as error:
            raise UndecodableError(error_type_name(error)) from error


def _compressor() -> tuple[Callable[[bytes], bytes], int]:
    try:
        import zstandard
    except ImportError:
        return lambda payload: zlib.compress(payload, 1), ZLIB
    return lambda payload: zstandard.ZstdCompressor(level=3).compress(payload), ZSTD


_MAX_PLAIN: Final = 256 * 1024 * 1024  # a small reply must not become all of the memory


def _decompress(flags: int, data: bytes) -> bytes:
    if flags & ZLIB:
        machine = zlib.decompressobj()
        plain = machine.decompress(data, _MAX_PLAIN)
        if machine.unconsumed_tail or not machine.eof:
            raise UndecodableError("zlib")
        return plain
    import zstandard

    return bytes(zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_PLAIN))
