"""Figures of hook calls: plain integers that are counted up in passing and read when somebody asks."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

from plughost.contracts.metrics import HookMetrics
from plughost.contracts.steering import CallCounts
from plughost.core.calls.drain import Traffic


class Counter:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def add(self, amount: int = 1) -> None:
        """Count up by ``amount``."""
        self.value += amount


class Histogram:
    """How long things took, in buckets whose bounds grow by a quarter of a power of two each.

    A quantile read from it is off by less than ten per cent, whatever the distribution, and the memory is
    that of the buckets in use. The idea of relative-error buckets is DDSketch's (Masson, Rim and Lee, 2019).
    """

    __slots__ = ("_buckets", "count", "total")

    _PER_DOUBLING = 4
    _LEAST = 1e-9  # seconds; what is shorter counts as this long

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Note that something took that long."""
        least = seconds if seconds > self._LEAST else self._LEAST  # max() takes longer than the logarithm
        bucket = round(math.log2(least) * self._PER_DOUBLING)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.total += seconds

    def quantile(self, share: float) -> float | None:
        """Return what a ``share`` (0 to 1) of the observations does not exceed; None without any."""
        wanted = share * self.count
        seen = 0
        for bucket, count in sorted(self._buckets.items()):
            seen += count
            if seen >= wanted:
                return float(2.0 ** (bucket / self._PER_DOUBLING))
        return None


class Recent:
    """The last durations of something, enough of them to tell the usual from the slow."""

    __slots__ = ("_durations", "observe")

    def __init__(self, size: int = 128) -> None:
        self._durations: deque[float] = deque(maxlen=size)
        self.observe = self._durations.append
        """Note that something took so many seconds."""

    def __len__(self) -> int:
        return len(self._durations)

    def quantile(self, share: float) -> float | None:
        """Return what a ``share`` (0 to 1) of the durations does not exceed; None without any."""
        durations = sorted(self._durations)
        return durations[max(0, math.ceil(share * len(durations)) - 1)] if durations else None


_MOST_CASES = 20


class Tally:
    """What is counted for one plugin in one hook; it outlives reloads of the plugin.

    Attributes:
        counted: Calls that were counted one by one.
        errors: How many calls raised.
        timeouts: How many passed their limit.
        observed: How many verdicts and refusals were not applied.
        timings: The durations of those that were measured.
    """

    __slots__ = ("_cases", "_traffic", "_written", "counted", "errors", "observed", "timeouts", "timings")

    def __init__(self) -> None:
        self.counted = 0
        self.errors = 0
        self.timeouts = 0
        self.observed = 0
        self.timings = Recent()
        self._traffic: dict[Traffic, None] = {}
        self._cases: deque[str] | None = None  # made for the few plugins that do not enforce
        self._written = 0

    def observe(self, what: str) -> None:
        """Count a verdict or refusal that was not applied, and hold on to what it was."""
        if self._cases is None:
            self._cases = deque(maxlen=_MOST_CASES)
        self.observed += 1
        self._cases.append(what)

    def take_observed(self) -> tuple[int, tuple[str, ...]]:
        """Return how many were observed since this was last asked, and the last of these."""
        new, self._written = self.observed - self._written, self.observed
        cases = tuple(self._cases.popleft() for _ in range(len(self._cases))) if self._cases else ()
        return new, cases

    @property
    def calls(self) -> int:
        """All calls: also those that a plan counts once for all of its steps."""
        return self.counted + sum(traffic.passed for traffic in [*self._traffic])

    def follow(self, traffic: Traffic) -> None:
        """Count what passes on a plan from now on; a second time does nothing."""
        self._traffic[traffic] = None

    def settle(self, traffic: Traffic) -> None:
        """Take over the count of a plan on which nothing passes any more."""
        del self._traffic[traffic]
        self.counted += traffic.passed


class CallMetrics:
    """All tallies of one dispatcher."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str], Tally] = {}

    def tally(self, hook: str, plugin: str) -> Tally:
        """Return the tally to count into, made when first asked for."""
        return self._tallies.setdefault((hook, plugin), Tally())

    def take_observed(self) -> Iterator[tuple[str, str, int, tuple[str, ...]]]:
        """Yield hook, plugin, number and last cases of what was observed since this was last asked."""
        for (hook, plugin), tally in list(self._tallies.items()):
            if tally.observed:
                new, cases = tally.take_observed()
                if new:
                    yield hook, plugin, new, cases

    def counts(self) -> CallCounts:
        """Return the calls of all plugins together, and how many of them failed or passed their limit."""
        tallies = list(self._tallies.values())
        failures = sum(tally.errors + tally.timeouts for tally in tallies)
        return CallCounts(sum(tally.calls for tally in tallies), failures)

    def snapshot(self) -> tuple[HookMetrics, ...]:
        """Return the figures as they stand, by hook and plugin in alphabetical order."""
        return tuple(
            HookMetrics(
                hook=hook,
                plugin=plugin,
                calls=tally.calls,
                errors=tally.errors,
                timeouts=tally.timeouts,
                p50=tally.timings.quantile(0.5),
                p95=tally.timings.quantile(0.95),
                observed=tally.observed,
            )
            for (hook, plugin), tally in sorted(self._tallies.items())
        )
