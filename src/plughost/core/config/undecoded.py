"""The settings of a plugin whose ``Config`` is in another process: they are decoded there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, ClassVar

from plughost._dataclasses import dataclass


@dataclass(frozen=True)
class UndecodedSettings:
    """The table of a plugin, with references followed and types not checked.

    A subclass stands for the ``Config`` of one such plugin where the host asks for the class.

    Attributes:
        section: The name of the plugin's table under ``[plugins]``.
        values: The table.
        origins: Dotted name of each value to where it came from.
        lenient: Dotted names of the values that a reference stood for: their strings are read leniently.
        schema: JSON Schema of the real class; None when there is none.
        secrets: Which settings the real class declares secret: each key with the tree below it; ``*`` is any key or
            item.
    """

    section: str
    values: Mapping[str, Any] = field(repr=False)
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    lenient: tuple[str, ...] = ()

    schema: ClassVar[Mapping[str, Any] | None] = None
    secrets: ClassVar[Mapping[str, Any]] = {}


def undecoded_kind(schema: Mapping[str, Any] | None, secrets: Mapping[str, Any]) -> type[UndecodedSettings]:
    """Return what stands for the ``Config`` of one plugin in another process."""
    return type("SettingsElsewhere", (UndecodedSettings,), {"schema": schema, "secrets": secrets})


def is_undecoded(kind: Any) -> bool:
    """Whether a class stands for one in another process."""
    return isinstance(kind, type) and issubclass(kind, UndecodedSettings)
