"""A plugin in front of TMDB."""

from __future__ import annotations

from plughost_tmdb.protocols import Answer, Tmdb, UsageRow

__all__ = ["Answer", "Tmdb", "UsageRow"]
