"""An object that a configuration names: by an entry point's name, or as ``module:attribute``."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

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
            also = f", or install a distribution with such an entry point in {group!r}" if group else ""
            raise ConfigError(
                f"there is no {what} {name!r}: use one of {', '.join(names)}, or module:Class{also}."
                f"{did_you_mean(name, names)}",
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
