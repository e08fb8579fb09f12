"""What a status means, and how long to wait after it."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from plughost_upstream.protocols import (
    UpstreamBusyError,
    UpstreamError,
    UpstreamGarbageError,
    UpstreamMissingError,
    UpstreamRefusedError,
    UpstreamRejectedError,
    UpstreamUnavailableError,
)

_LONGEST: Final = 120.0
_UNSAID: Final = 10.0


def error_of(status: int, retry_after: str, now: float) -> UpstreamError:
    """Return the error that a status above 299 is.

    Args:
        status: What the service answered.
        retry_after: Its header ``Retry-After``; empty for none.
        now: Seconds since the epoch.
    """
    if status == 429:
        wait = seconds_to_wait(retry_after, now)
        return UpstreamBusyError(
            "the service says that it is asked too often",
            retry_after=_UNSAID if wait is None else wait,
            status=status,
        )
    if status in (401, 403):
        return UpstreamRefusedError("the service does not accept the key or token", status=status)
    if status in (404, 410):
        return UpstreamMissingError("the service has no such thing", status=status)
    if status >= 500:
        wait = seconds_to_wait(retry_after, now)
        return UpstreamUnavailableError(f"the service answers {status}", retry_after=wait, status=status)
    if status < 400:
        return UpstreamGarbageError(
            "the service answers with a redirection, which is not followed", status=status
        )
    return UpstreamRejectedError(f"the service answers {status} to what was asked", status=status)


def seconds_to_wait(retry_after: str, now: float) -> float | None:
    """Return what ``Retry-After`` says, from 1 to 120 seconds; None when it says nothing that can be read."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(max(float(text[:9]), 1.0), _LONGEST)
    try:
        moment = parsedate_to_datetime(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 1.0), _LONGEST)
