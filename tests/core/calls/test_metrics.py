"""Figures: counted in passing, read when asked."""

from __future__ import annotations

import random

import pytest

from core.calls.ways import dispatcher, plugin
from plughost.contracts.metrics import HookMetrics
from plughost.core.calls.metrics import CallMetrics, Counter, Histogram, Recent
from plughost.hookspecs import hookspec


class Specs:
    @hookspec(sync=True, timeout=None)
    def ask(self, what): ...


def test_a_snapshot_has_a_row_for_each_hook_and_plugin_in_order():
    metrics = CallMetrics()
    for hook, name in [("b", "y"), ("a", "z"), ("b", "x")]:
        metrics.tally(hook, name).counted += 1
    rows = metrics.snapshot()
    assert [(row.hook, row.plugin) for row in rows] == [("a", "z"), ("b", "x"), ("b", "y")]
    assert rows[0] == HookMetrics("a", "z", calls=1, errors=0, timeouts=0, p50=None, p95=None)


def test_a_snapshot_does_not_change_afterwards():
    metrics = CallMetrics()
    metrics.tally("a", "b").counted += 1
    before = metrics.snapshot()
    metrics.tally("a", "b").counted += 1
    assert before[0].calls == 1


def test_timings_come_from_the_clock_that_was_handed_in():
    class Ticking:
        now = 0.0

        def monotonic(self):
            self.now += 0.5
            return self.now

    from plughost.core.calls.dispatch import HookDispatcher

    hosts = HookDispatcher(clock=Ticking())
    hosts.add_hookspecs(Specs)
    hosts.register("a", plugin("ask", lambda what: 1))
    report = hosts.hooks.ask.report(what=1)
    assert report.outcomes[0].duration == 0.5
    assert hosts.metrics.snapshot()[0].p50 == pytest.approx(0.5, rel=0.1)


def test_a_hot_hook_is_still_measured_now_and_then():
    hosts = dispatcher(Specs, plugin("ask", lambda what: what), sample_every=16)
    for number in range(1000):
        hosts.hooks.ask(what=number)
    tally = hosts.metrics.tally("ask", "a")
    assert tally.calls == 1000
    assert 64 < len(tally.timings) < 128 + 1


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95, 0.99])
def test_a_quantile_is_off_by_less_than_ten_per_cent(share):
    chance = random.Random(7)  # noqa: S311
    values = sorted(chance.lognormvariate(-6, 2) for _ in range(10_000))
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    assert histogram.quantile(share) == pytest.approx(values[int(share * len(values)) - 1], rel=0.1)
    assert histogram.count == 10_000
    assert histogram.total == pytest.approx(sum(values))


def test_without_observations_there_is_no_quantile():
    assert Histogram().quantile(0.5) is None


def test_zero_seconds_can_be_observed():
    histogram = Histogram()
    histogram.observe(0.0)
    assert histogram.quantile(0.5) == pytest.approx(0.0, abs=1e-6)


def test_recent_durations_tell_the_usual_and_the_slow():
    recent = Recent(size=100)
    assert recent.quantile(0.5) is None
    for number in range(1, 201):
        recent.observe(float(number))
    assert len(recent) == 100
    assert (recent.quantile(0.5), recent.quantile(0.95), recent.quantile(0), recent.quantile(1)) == (
        150,
        195,
        101,
        200,
    )


def test_a_counter_counts():
    counter = Counter()
    counter.add()
    counter.add(3)
    assert counter.value == 4
