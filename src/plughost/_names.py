"""Names that are looked up in their files when they are first used: nobody waits for what is not used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


class LateModule:
    """Stands for a module that is imported when something is taken out of it, such as by whoever reads annotations.

    Args:
        name: Name of the module.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):  # asked by those who look at what stands in a namespace
            raise AttributeError(name)
        return getattr(import_module(self._name), name)


def looked_up(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package (PEP 562).

    Args:
        package: Its name; it has ``__all__``.
        homes: Name -> the module that defines it.
    """
    known = vars(sys.modules[package])

    def look_up(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = known[name] = getattr(import_module(homes[name]), name)
        return value

    def names() -> list[str]:
        return sorted({*known, *known["__all__"]})

    return look_up, names
