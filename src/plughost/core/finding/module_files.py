"""Where the code of a module lies, read without running any of it.

What stands in ``sys.modules`` need not be a module: lazy ones import what they stand for as soon as anybody asks
them for an attribute, and raise when that is not installed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import cast

from plughost.contracts.value_text import class_name


def file_of(module: object) -> str | None:
    """Return the file of a module; None when it has none or does not say so without being asked."""
    file = _own(module).get("__file__")
    return file if type(file) is str and file and _can_be_a_path(file) else None


def folder_of(module: object) -> str | None:
    """Return the first folder of a package; None when it is none."""
    path = _own(module).get("__path__")
    if type(path) is not list and class_name(type(path)) != _NAMESPACE:
        return None
    first = next(iter(cast("list[object]", path)), None)
    return first if type(first) is str and _can_be_a_path(first) else None


_NAMESPACE = "_frozen_importlib_external._NamespacePath"
"""The ``__path__`` of a package of several distributions: importlib's own list."""


def _can_be_a_path(text: str) -> bool:
    """Whether the operating system can be asked about it; Python raises ``ValueError`` for the others."""
    if "\0" in text:
        return False
    try:
        text.isascii() or os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _own(module: object) -> Mapping[str, object]:
    try:
        own = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}
    return own if type(own) is dict else {}
