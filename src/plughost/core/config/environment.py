"""Settings in environment variables: ``PLUGHOST_HOST__LOAD_TIMEOUT=10`` is ``load_timeout`` of ``[host]``."""

from __future__ import annotations

import json
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import msgspec

from plughost.contracts.config import HostConfig, HostSection
from plughost.core.config.paths import folded
from plughost.core.config.records import record_of
from plughost.core.config.words import members
from plughost.exceptions import ConfigProblem, did_you_mean

_ORIGIN: Final = "environment "

_SHORT: Final[Mapping[str, tuple[str, ...]]] = {
    "LOAD_PLUGINS": ("host", "allow"),
    "SAFE_MODE": ("host", "safe_mode"),
    "FLEET": ("host", "fleet"),
    "STRICT": ("host", "strict"),
    "TRACE_HOOKS": ("host", "trace_hooks"),
    "ENVIRONMENT": ("host", "environment"),
}
"""Variables with a name of their own."""

_OWN_PREFIX: Final = "PLUGHOST_"

_NEAR_MISS: Final = 0.8  # stricter than elsewhere: a variable may be somebody's own and need not be a mistake


class Variable(msgspec.Struct, frozen=True):
    """One environment variable that is a setting.

    Attributes:
        name: Its whole name.
        path: The setting it is.
        value: What it holds: a string, or a table that was written as JSON.
    """

    name: str
    path: tuple[str, ...]
    value: str | dict[str, Any]

    @property
    def origin(self) -> str:
        """How reports call it."""
        return f"{_ORIGIN}{self.name}"

    @property
    def layer(self) -> Mapping[str, Any]:
        """The setting as tables within tables."""
        value: Any = self.value
        for key in reversed(self.path):
            value = {key: value}
        return typing.cast("Mapping[str, Any]", value)


def from_environment(origin: str) -> bool:
    """Whether a value of that origin is the string of a variable."""
    return origin.startswith(_ORIGIN)


def prefixes(host_name: str) -> tuple[str, ...]:
    """Return the beginnings of the variables a host reads; those of a later one win."""
    own = f"{folded(host_name).upper()}_"
    return (_OWN_PREFIX,) if own == _OWN_PREFIX else (_OWN_PREFIX, own)


def variable(suffix: str, host_name: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return name and value of ``PLUGHOST_SUFFIX``, or of the host's own variable, which wins."""
    for prefix in reversed(prefixes(host_name)):
        if (value := environ.get(prefix + suffix)) is not None:
            return prefix + suffix, value
    return None


def settings(prefix: str, environ: Mapping[str, str], known: Mapping[str, Any]) -> Iterator[Variable]:
    """Yield the settings among the variables of that prefix, the short names last: they win.

    Keys are matched without regard to case, and to dashes against underscores, with those of ``HostConfig``
    and, for names that people choose, with those in ``known``: what was configured so far.
    """
    names = sorted(name for name in environ if name.startswith(prefix))
    for name in names:
        section, nested, _ = name.removeprefix(prefix).partition("__")
        if nested and section.lower() in HostConfig.__struct_fields__:
            path, is_table = _matched(tuple(name.removeprefix(prefix).split("__")), HostConfig, known)
            is_table = is_table or any(other.startswith(f"{name}__") for other in names)
            yield Variable(name, path, _table(environ[name]) if is_table else environ[name])
    for name in names:
        if short := _SHORT.get(name.removeprefix(prefix)):
            yield Variable(name, short, environ[name])


def misspelled(environ: Mapping[str, str], known: Collection[str] = ()) -> Iterator[ConfigProblem]:
    """Yield a problem for each ``PLUGHOST_`` variable that is not a setting but looks like one.

    Only in plughost's own namespace, and only near misses: the host's own prefix is shared with the settings
    of its application, and container platforms add variables such as ``PLUGHOST_PORT`` by themselves.

    Args:
        environ: The environment.
        known: Names of variables that have another use.
    """
    known_short = [*_SHORT, "CONFIG"]
    for name in sorted(environ):
        rest = name.removeprefix(_OWN_PREFIX)
        if rest == name or rest in known_short or name in known:
            continue
        section, nested, _ = rest.partition("__")
        if nested and section.lower() not in HostConfig.__struct_fields__:
            near = did_you_mean(section, (one.upper() for one in HostConfig.__struct_fields__))
            yield ConfigProblem(name, f"{_ORIGIN}{name}", f"there is no section {section}.{near}")
        elif not nested and folded(rest) in HostSection.__struct_fields__:
            yield ConfigProblem(name, f"{_ORIGIN}{name}", f"write {_OWN_PREFIX}HOST__{rest}")
        elif not nested and (near := did_you_mean(rest, known_short, cutoff=_NEAR_MISS)):
            yield ConfigProblem(name, f"{_ORIGIN}{name}", f"unknown setting.{near}")


def _matched(segments: tuple[str, ...], kind: Any, known: object) -> tuple[tuple[str, ...], bool]:
    """Return the path that the segments name, and whether a table is expected there."""
    if not segments:
        return (), isinstance(known, Mapping) or (kind is not Any and _has_keys(kind))
    (kind, *_) = members(kind)
    table = known if isinstance(known, Mapping) else {}
    if record := record_of(kind):
        key = _key(segments[0], record.fields)
        inner = record.fields[key].type if key in record.fields else Any
    else:
        inner = typing.get_args(kind)[1] if typing.get_origin(kind) is Mapping else Any
        if not _has_keys(inner):  # a name with a dot in it: what is left of the variable is one key
            segments = (".".join(segments),)
        key = _key(segments[0], table)
    path, is_table = _matched(segments[1:], inner, table.get(key))
    return (key, *path), is_table


def _has_keys(kind: Any) -> bool:
    (kind, *_) = members(kind)
    return kind is Any or record_of(kind) is not None or typing.get_origin(kind) is Mapping


def _key(segment: str, known: Mapping[str, Any]) -> str:
    return next((key for key in known if folded(str(key)) == folded(segment)), segment.lower())


def _table(value: str) -> str | dict[str, Any]:
    try:
        read = json.loads(value)
    except ValueError:
        return value
    return read if isinstance(read, dict) else value
