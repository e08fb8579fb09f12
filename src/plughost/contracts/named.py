"""An object that a configuration names, such as a store: by an entry point's name, or as ``module:attribute``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

import msgspec

from plughost._dataclasses import dataclass
from plughost.contracts.bytes_store import StoreSetup
from plughost.contracts.error_text import error_line
from plughost.exceptions import ConfigError, did_you_mean


def named_object(name: str, what: str, *, path: str, group: str = "", known: Iterable[str] = ()) -> Any:
    """Return what a setting names; importing it runs its module.

    Args:
        name: ``module:attribute``, or the name of an entry point in ``group``.
        what: What it should be, for errors: ``policy``, ``session store``.
        path: The setting, for errors.
        group: Entry points by which distributions offer such objects; empty when there are none.
        known: Names that the caller knows itself, for errors.

    Raises:
        ConfigError: There is none of that name, two distributions offer it, or it cannot be imported.
    """
    module, _, attribute = (name if ":" in name else _installed(name, what, path, group, known)).partition(
        ":"
    )
    try:
        found = import_module(module.strip())
        for part in attribute.strip().split("."):
            found = getattr(found, part)
    except Exception as error:  # a stranger's module may raise anything
        message = f"{what} {name!r} cannot be imported: {error_line(error)}"
        raise ConfigError(message, path=path) from error
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStore:
    """A store of somebody else, as the configuration of a plugin names it.

    Attributes:
        what: What it should be, for errors: ``session store``.
        section: The table of the configuration with ``store`` and ``store_settings``.
        group: Entry points by which distributions offer such stores.
        known: Names that the plugin knows itself.
    """

    what: str
    section: str
    group: str
    known: tuple[str, ...] = ()

    def maker(self, name: str, settings: Mapping[str, Any]) -> tuple[Callable[[StoreSetup], Any], Any]:
        """Return what makes the store of that name, and its settings, checked.

        Raises:
            ConfigError: There is no such store, it cannot be called, or its settings are wrong.
        """
        path = f"{self.section}.store"
        make = named_object(name, self.what, path=path, group=self.group, known=self.known)
        if not callable(make):
            message = (
                f"{self.what} {name!r} cannot be called: name a class, or a function that makes the store"
            )
            raise ConfigError(message, path=path)
        shape = getattr(make, "Config", None)
        if shape is None:
            return make, dict(settings)
        try:
            return make, msgspec.convert(settings, shape)
        except (msgspec.ValidationError, ValueError) as error:
            message = f"{self.what} {name!r} does not take these settings: {error_line(error)}"
            raise ConfigError(message, path=f"{self.section}.store_settings") from error

    def made(self, name: str, settings: Mapping[str, Any], setup: StoreSetup) -> Any:
        """Return the store of that name, not yet opened, whatever it can.

        Raises:
            ConfigError: It cannot be made.
        """
        make, checked = self.maker(name, settings)
        try:
            return make(msgspec.structs.replace(setup, settings=checked))
        except ConfigError:
            raise
        except Exception as error:
            message = f"{self.what} {name!r} cannot be made: {error_line(error)}"
            raise ConfigError(message, path=f"{self.section}.store") from error


def _installed(name: str, what: str, path: str, group: str, known: Iterable[str]) -> str:
    """Return the reference that a distribution gives for a name."""
    offered: dict[str, set[str]] = {}
    if group:
        from importlib.metadata import entry_points  # slow to import, and hardly ever needed

        for point in entry_points(group=group):
            offered.setdefault(point.name, set()).add(point.value)
    match offered.get(name):
        case None:
            names = [*known, *sorted(offered)]
            listed = f"one of {', '.join(names)}, or " if names else ""
            also = f", or install a distribution with such an entry point in {group!r}" if group else ""
            raise ConfigError(
                f"there is no {what} {name!r}: use {listed}module:Class{also}.{did_you_mean(name, names)}",
                path=path,
            )
        case references if len(references) > 1:
            raise ConfigError(
                f"{len(references)} installed distributions offer a {what} {name!r}: say which, as one of"
                f" {', '.join(sorted(references))}",
                path=path,
            )
        case references:
            return next(iter(references))
