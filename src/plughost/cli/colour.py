"""Whether to write in colour; click itself does not look at NO_COLOR and FORCE_COLOR."""

from __future__ import annotations

from collections.abc import Mapping


def colour_choice(environ: Mapping[str, str], *, refused: bool = False) -> bool | None:
    """Return what was decided, or None when the terminal decides.

    Args:
        environ: NO_COLOR (no-color.org) and FORCE_COLOR count when they are not empty; NO_COLOR wins.
        refused: Whether ``--no-color`` was given.
    """
    if refused or environ.get("NO_COLOR"):
        return False
    return True if environ.get("FORCE_COLOR") else None


def wants_colour(environ: Mapping[str, str], *, tty: bool) -> bool:
    """Return whether to write in colour to something that is, or is not, a terminal."""
    choice = colour_choice(environ)
    return tty if choice is None else choice
