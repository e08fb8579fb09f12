"""Warnings that point at the line that calls a hook, however many functions of plughost are between."""

from __future__ import annotations

import sys
import warnings


def warn_caller(warning: Warning) -> None:
    """Warn whoever called: the nearest function outside of plughost."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("plughost."):
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)
