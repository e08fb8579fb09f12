"""References: ``{"$env" = "NAME"}`` and ``{"$file" = "path"}`` instead of a value that must not be in a file.

They are followed when the section they are in is decoded and not before, so that the secret of a plugin that
is not loaded need not be there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Final

from plughost._dataclasses import dataclass
from plughost.contracts.secret import MASK
from plughost.core.config.paths import SettingPath, dotted, origin_of_setting
from plughost.exceptions import ConfigProblem

UNRESOLVED: Final = object()
"""Stands for what a reference that leads nowhere stands for; the problem is noted."""

_KINDS: Final = ("$env", "$file")
_LARGEST_FILE: Final = 1 << 20  # bytes; a secret is a line, and a reference to /dev/zero must end


def is_reference(value: object) -> bool:
    """Whether the value stands for another: a table with the one key ``$env`` or ``$file``."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in _KINDS


def shown_reference(reference: Mapping[str, Any]) -> str:
    """Return what is shown in place of what a reference stands for: ``*** ($env NAME)``."""
    ((kind, name),) = reference.items()
    return f"{MASK} ({kind} {name})"


def variables_in(value: Any) -> Iterator[str]:
    """Yield the names of the environment variables that references name."""
    if is_reference(value):
        name = value.get("$env")
        if isinstance(name, str):
            yield name
    elif isinstance(value, (Mapping, list, tuple)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from variables_in(inner)


def unresolved(value: Any) -> Any:
    """Return a copy in which every reference, and every list with one, is ``UNRESOLVED``."""
    if is_reference(value):
        return UNRESOLVED
    if isinstance(value, Mapping):
        return {key: unresolved(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        inside = [unresolved(inner) for inner in value]
        return UNRESOLVED if any(one is UNRESOLVED for one in inside) else inside
    return value


@dataclass
class Resolver:
    """Follows references.

    Attributes:
        environ: Where ``$env`` looks.
        directory: Where relative ``$file`` paths begin.
        origins: For messages.
        resolved: Dotted name of each value that came through a reference, to what is shown in its place.
        secrets: Those values themselves, for hiding them from messages of others.
        problems: References that lead nowhere.
    """

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    directory: Path = Path()
    origins: Mapping[str, str] = field(default_factory=dict)
    resolved: dict[str, str] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set, repr=False)
    problems: list[ConfigProblem] = field(default_factory=list)

    def resolve(self, value: Any, path: SettingPath) -> Any:
        """Return a copy of ``value`` in which every reference is replaced by what it stands for."""
        if isinstance(value, Mapping):
            if is_reference(value):
                ((kind, name),) = value.items()
                if not isinstance(name, str) or not name:
                    found: str | None = None
                    self._problem(path, f"{kind} must name {'a variable' if kind == '$env' else 'a file'}")
                elif kind == "$env":
                    if name not in self.environ:
                        self._problem(
                            path, f"environment variable {name} is not set: set it, or remove the reference"
                        )
                    found = self.environ.get(name)
                else:
                    found = self._from_file(name, path)
                self.resolved[dotted(path)] = shown_reference(value)
                if found:
                    self.secrets.add(found)
                return UNRESOLVED if found is None else found
            if len(value) > 1 and (mixed := [kind for kind in _KINDS if kind in value]):
                self._problem(path, f"{mixed[0]} must be the only key of its table")
            return {key: self.resolve(inner, (*path, str(key))) for key, inner in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.resolve(inner, (*path, place)) for place, inner in enumerate(value))
        return value

    def _from_file(self, name: str, path: SettingPath) -> str | None:
        file = self.directory / Path(name).expanduser()
        try:
            with file.open("rb") as opened:
                content = opened.read(_LARGEST_FILE + 1)
            if len(content) > _LARGEST_FILE:
                self._problem(path, f"file {file} is larger than {_LARGEST_FILE} bytes")
                return None
            return content.decode().removesuffix("\n").removesuffix("\r")
        except OSError as error:
            self._problem(path, f"file {file} cannot be read: {error.strerror or error}")
        except UnicodeDecodeError:
            self._problem(path, f"file {file} is not UTF-8 text")
        return None

    def _problem(self, path: SettingPath, message: str) -> None:
        self.problems.append(ConfigProblem(dotted(path), origin_of_setting(path, self.origins), message))
