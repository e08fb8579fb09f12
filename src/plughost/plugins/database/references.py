"""Code that an app names in its configuration: seeds and models."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from plughost.contracts import error_line
from plughost.exceptions import ConfigError

# One import at a time: parallel imports of modules that need each other can lock each other out.
_IMPORT_LANE: Final = threading.Lock()


def import_module(name: str, *, path: str) -> ModuleType:
    """Import what a setting names; blocking, so call it in a worker thread.

    Raises:
        ConfigError: There is no such module, or it failed while it was imported.
    """
    with _IMPORT_LANE:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise ConfigError(f"{path}: there is no module {error.name!r}", path=path) from error
        except Exception as error:
            raise ConfigError(f"{path}: importing {name!r} failed: {error_line(error)}", path=path) from error


def import_callable(reference: str, *, path: str) -> Callable[[Any], Any]:
    """Import ``module:callable``; blocking, so call it in a worker thread.

    Raises:
        ConfigError: It is not written so, is not there, or cannot be called.
    """
    module_name, _, attributes = reference.partition(":")
    if not module_name or not attributes:
        raise ConfigError(f"{path} must be written 'module:callable', not {reference!r}", path=path)
    value: Any = import_module(module_name, path=path)
    for attribute in attributes.split("."):
        try:
            value = getattr(value, attribute)
        except AttributeError:
            raise ConfigError(f"{path}: {module_name!r} has no {attributes!r}", path=path) from None
    if not callable(value):
        raise ConfigError(f"{path}: {reference!r} is not callable", path=path)
    return value  # type: ignore[no-any-return]


def tables_of(module: ModuleType) -> tuple[str, ...]:
    """Return the names of the SQLAlchemy tables in a module of models; empty when it shows none."""
    base = getattr(module, "metadata", None) or getattr(getattr(module, "Base", None), "metadata", None)
    return tuple(sorted(getattr(base, "tables", ())))
