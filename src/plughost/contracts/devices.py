"""What a client says it is, made readable."""

from __future__ import annotations

from typing import Literal

from plughost._dataclasses import dataclass

DeviceKind = Literal["desktop", "mobile", "tablet", "tv", "console", "bot", "program", "unknown"]
"""Sorts of devices; ``program`` is something without a person in front of it, such as curl."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The device behind a user agent, as far as it can be told. For people to recognise; never for decisions.

    Attributes:
        kind: What sort of device it is.
        name: What to show, such as ``Firefox on Linux``.
        browser: Its program, such as ``Firefox``; empty when unknown.
        system: Its operating system, such as ``Linux``; empty when unknown.
    """

    kind: DeviceKind = "unknown"
    name: str = ""
    browser: str = ""
    system: str = ""
