"""Usage, performance and errors of the HTTP side, counted in passing and read when asked."""

from __future__ import annotations

from collections import deque

from plughost._dataclasses import dataclass
from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.steering import CallCounts
from plughost.core.calls.metrics import Histogram

_MINUTES = 120
_ERRORS_KEPT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFigures:
    """What one route did since the application was made.

    Attributes:
        method: The method, such as ``GET``.
        path: The route's path with its parameters as names; empty for what no route matched.
        plugin: Who contributed the route; empty for the host's own.
        requests: How many there were.
        refused: How many of them were answered with 4xx.
        failed: How many of them were answered with 5xx.
        p50: Median seconds to the end of the answer.
        p95: 95th percentile of the same.
    """

    method: str
    path: str
    plugin: str
    requests: int
    refused: int
    failed: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteFigures:
    """What happened in one minute; ``minute`` is its beginning in seconds since the epoch."""

    minute: float
    requests: int
    failed: int
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRequest:
    """A request that ended in a failure of ours, as far as administrators may see it.

    Attributes:
        at: When, in seconds since the epoch.
        request_id: Names the request in logs.
        method: The method.
        path: The route's path with its parameters as names.
        plugin: Whose route it was.
        kind: Class of the exception, or ``timeout``.
        message: Its text, shortened.
    """

    at: float
    request_id: str
    method: str
    path: str
    plugin: str
    kind: str
    message: str


class _Row:
    __slots__ = ("statuses", "timings")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.timings = Histogram()

    def answered(self, least: int, beyond: int) -> int:
        """Return how many were answered with a status from ``least`` on and below ``beyond``."""
        return sum(count for status, count in tuple(self.statuses.items()) if least <= status < beyond)


class _Minute:
    __slots__ = ("failed", "number", "requests", "seconds")

    def __init__(self, number: int) -> None:
        self.number = number
        self.requests = 0
        self.failed = 0
        self.seconds = 0.0


class HttpFigures:
    """The figures of one application.

    Args:
        clock: Tells which minute it is.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._rows: dict[tuple[str, str, str], _Row] = {}
        self._minute = _Minute(-1)  # the present one; this one is never shown
        self._minutes: deque[_Minute] = deque(maxlen=_MINUTES)
        self._failures: deque[FailedRequest] = deque(maxlen=_ERRORS_KEPT)
        self.started_at = clock.time()
        self.under_way = 0

    def observe(self, method: str, path: str, plugin: str, status: int, seconds: float) -> None:
        """Count one request that has ended."""
        key = (method, path, plugin)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Row()
        row.statuses[status] = row.statuses.get(status, 0) + 1
        row.timings.observe(seconds)
        number = int(self._clock.time() // 60)
        minute = self._minute
        if minute.number != number:
            minute = self._minute = _Minute(number)
            self._minutes.append(minute)
        minute.requests += 1
        minute.seconds += seconds
        if status >= 500:
            minute.failed += 1

    def note_failure(self, failure: FailedRequest) -> None:
        """Remember a failure, the last few hundred of which are kept."""
        self._failures.append(failure)

    def routes(self) -> list[RouteFigures]:
        """Return the figures by route, the busiest first."""
        rows = [
            RouteFigures(
                method=method,
                path=path,
                plugin=plugin,
                requests=row.timings.count,
                refused=row.answered(400, 500),
                failed=row.answered(500, 1000),
                p50=row.timings.quantile(0.5),
                p95=row.timings.quantile(0.95),
            )
            for (method, path, plugin), row in self._rows.items()
        ]
        return sorted(rows, key=lambda row: -row.requests)

    def counts(self) -> CallCounts:
        """Return all requests at routes of plugins, and how many were answered with a status from 500 on."""
        rows = [row for (_, _, plugin), row in self._rows.items() if plugin]
        return CallCounts(
            sum(row.timings.count for row in rows), sum(row.answered(500, 1000) for row in rows)
        )

    def minutes(self) -> list[MinuteFigures]:
        """Return the last two hours' busy minutes, oldest first; a minute without requests is left out."""
        return [
            MinuteFigures(
                minute=each.number * 60.0,
                requests=each.requests,
                failed=each.failed,
                mean=each.seconds / each.requests,
            )
            for each in self._minutes
        ]

    def failures(self) -> list[FailedRequest]:
        """Return the failures that are remembered, newest first."""
        return list(reversed(self._failures))

    def statuses(self) -> list[tuple[str, str, str, int, int]]:
        """Return method, path, plugin, status and how often, for metrics."""
        return [
            (method, path, plugin, status, count)
            for (method, path, plugin), row in self._rows.items()
            for status, count in row.statuses.items()
        ]

    def seconds(self) -> list[tuple[str, str, str, int, float]]:
        """Return method, path, plugin, how many requests and their seconds together, for metrics."""
        return [(*key, row.timings.count, row.timings.total) for key, row in self._rows.items()]
