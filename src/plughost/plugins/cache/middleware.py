"""The former address of ``plughost.http.middleware``; import from there."""

from __future__ import annotations

import warnings
from typing import Any

import plughost.http.middleware

_MOVED = frozenset({"KeyOf", "RateLimitMiddleware", "ResponseCacheMiddleware", "client_address"})


def __getattr__(name: str) -> Any:
    if name not in _MOVED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"import {name} from plughost.http.middleware: {__name__} is its former address",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(plughost.http.middleware, name)
