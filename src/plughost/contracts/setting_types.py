"""Kinds of settings that several sections share. Each has an example, with which a wrong value is answered."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

_SITE: Final = r"https?://([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"

PositiveSeconds = Annotated[float, Meta(gt=0)]
"""Seconds that something may take; ``inf`` means no limit."""

Count = Annotated[int, Meta(ge=1)]
"""How many of something there are or may be."""

GivenName = Annotated[str, Meta(pattern=r"^\S(.*\S)?\Z", examples=["sessions"])]
"""A name that somebody gave to a plugin, an app or a role."""

Origin = Annotated[str, Meta(pattern=rf"^{_SITE}\Z", examples=["https://acme.example"])]
"""Where a page comes from, as browsers say it: scheme, host and, if need be, port."""

SiteUrl = Annotated[str, Meta(pattern=rf"^({_SITE}(/[^?#\s]*)?)?\Z", examples=["https://acme.example/shop"])]
"""The address of a site, or of a part of one; empty for none."""

_SCOPE: Final = r"\*|[a-z][a-z0-9_-]*(:(\*|[a-z][a-z0-9_-]*))?"
ScopeText = Annotated[str, Meta(pattern=rf"^({_SCOPE})\Z", examples=["cache:read"])]
"""What somebody may do: ``area:verb``, ``area:*``, or ``*`` for everything."""


def is_given_name(name: object) -> bool:
    """Return whether a name that code gives is one that a configuration could give, too."""
    try:
        msgspec.convert(name, GivenName)
    except msgspec.ValidationError:
        return False
    return True
