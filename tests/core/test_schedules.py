"""Intervals go by the time that passes, cron expressions by the clock on the wall."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plughost.core.schedules import CronSchedule, IntervalSchedule, LocalZone
from plughost.testing.clock import FakeClock

BERLIN = ZoneInfo("Europe/Berlin")  # summer time from 2025-03-30 02:00 to 2025-10-26 03:00


def moment(text: str, zone: tzinfo = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def slots(expression: str, start: str, count: int, zone: tzinfo = BERLIN) -> list[str]:
    """Return the next slots after a moment, in local time with the offset."""
    clock = FakeClock(start=moment(start, zone))
    schedule = CronSchedule(expression, zone)
    schedule.start(clock)
    found = []
    for _ in range(count):
        clock.jump(schedule.seconds_left(clock))
        assert schedule.seconds_left(clock) == 0
        found.append(datetime.fromtimestamp(clock.time(), zone).isoformat(timespec="minutes"))
        schedule.take(clock)
    return found


def passed(clock: FakeClock, seconds: float) -> None:
    clock._now += seconds


def test_the_first_slot_of_an_interval_is_one_interval_away() -> None:
    clock = FakeClock()
    schedule = IntervalSchedule(60)
    schedule.start(clock)
    assert schedule.seconds_left(clock) == 60
    passed(clock, 45)
    assert schedule.seconds_left(clock) == 15


def test_an_interval_keeps_its_beat_when_a_slot_is_taken_late() -> None:
    clock = FakeClock()
    schedule = IntervalSchedule(60)
    schedule.start(clock)
    passed(clock, 70)
    schedule.take(clock)
    assert schedule.seconds_left(clock) == 50


def test_missed_slots_of_an_interval_are_taken_together() -> None:
    clock = FakeClock()
    schedule = IntervalSchedule(60)
    schedule.start(clock)
    passed(clock, 3600 + 30)
    schedule.take(clock)
    assert schedule.seconds_left(clock) == 30


def test_an_interval_does_not_care_about_the_wall_clock() -> None:
    clock = FakeClock()
    schedule = IntervalSchedule(60)
    schedule.start(clock)
    clock.jump(86400)
    assert schedule.seconds_left(clock) == 60


@settings(deadline=None)
@given(st.floats(0.001, 1e6), st.floats(0, 1e7))
def test_after_a_taken_slot_the_next_one_is_at_most_one_interval_away(interval: float, late: float) -> None:
    clock = FakeClock()
    schedule = IntervalSchedule(interval)
    schedule.start(clock)
    passed(clock, interval + late)
    schedule.take(clock)
    assert -1e-6 * (1 + late) <= schedule.seconds_left(clock) <= interval * (1 + 1e-9) + 1e-6


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_an_interval_is_a_finite_number_above_zero(seconds: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        IntervalSchedule(seconds)


def test_cron_slots_are_in_local_time() -> None:
    assert slots("0 2 * * *", "2025-01-10 12:00", 2) == ["2025-01-11T02:00+01:00", "2025-01-12T02:00+01:00"]
    assert slots("30 9 * * MON-FRI", "2025-01-10 12:00", 1) == ["2025-01-13T09:30+01:00"]
    assert slots("0 0 29 2 *", "2025-01-10 12:00", 1) == ["2028-02-29T00:00+01:00"]


def test_a_fixed_time_that_summer_time_leaves_out_comes_right_after_the_switch() -> None:
    assert slots("30 2 * * *", "2025-03-29 12:00", 2) == ["2025-03-30T03:00+02:00", "2025-03-31T02:30+02:00"]


def test_a_fixed_time_that_winter_time_doubles_comes_once() -> None:
    assert slots("30 2 * * *", "2025-10-25 12:00", 2) == ["2025-10-26T02:30+02:00", "2025-10-27T02:30+01:00"]


def test_every_half_hour_goes_by_the_time_that_passes() -> None:
    assert slots("*/30 * * * *", "2025-10-26 01:45", 5) == [
        "2025-10-26T02:00+02:00",
        "2025-10-26T02:30+02:00",
        "2025-10-26T02:00+01:00",
        "2025-10-26T02:30+01:00",
        "2025-10-26T03:00+01:00",
    ]
    assert slots("*/30 * * * *", "2025-03-30 01:15", 2) == [
        "2025-03-30T01:30+01:00",
        "2025-03-30T03:00+02:00",
    ]


def test_a_host_that_starts_in_the_second_pass_of_a_doubled_hour_runs_nothing_of_the_first() -> None:
    clock = FakeClock(start=moment("2025-10-26 01:15", UTC))  # 02:15 in winter
    schedule = CronSchedule("30 2 * * *", BERLIN)
    schedule.start(clock)
    assert schedule.seconds_left(clock) == moment("2025-10-27 01:30", UTC) - clock.time()


def cron_at(start: str) -> tuple[CronSchedule, FakeClock]:
    clock = FakeClock(start=moment(start, UTC))
    schedule = CronSchedule("0 * * * *", UTC)
    schedule.start(clock)
    return schedule, clock


def test_slots_missed_in_sleep_are_due_once() -> None:
    schedule, clock = cron_at("2025-01-10 12:30")
    clock.jump(5 * 3600)
    assert schedule.seconds_left(clock) <= 0
    schedule.take(clock)
    assert schedule.seconds_left(clock) == 1800


def test_a_clock_that_is_set_back_a_little_repeats_no_slot() -> None:
    schedule, clock = cron_at("2025-01-10 12:59")
    clock.jump(60)
    schedule.take(clock)
    clock.jump(-120)
    assert schedule.seconds_left(clock) == 3600 + 120


def test_a_clock_that_was_far_ahead_and_is_set_right_counts_anew() -> None:
    schedule, clock = cron_at("2035-01-10 12:30")
    clock.jump(-10 * 365 * 86400)
    assert 0 < schedule.seconds_left(clock) <= 3600


def test_a_clock_that_is_set_back_a_little_again_and_again_counts_anew() -> None:
    schedule, clock = cron_at("2025-01-10 12:30")
    for _ in range(5):
        clock.jump(-2 * 3600)
        left = schedule.seconds_left(clock)
    assert left <= 1800 + 3 * 3600


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("0 2 * *", "must have five fields"),
        ("0 0 2 * * *", "must have five fields"),
        ("", "must have five fields"),
        ("61 2 * * *", "bad minute; it has five fields"),
        ("0 24 * * *", "bad hour"),
        ("0 2 * * FUNDAY", "bad day-of-week"),
        ("0 2 31 2 *", "bad day-of-month"),
        ("@daily", "must have five fields"),
    ],
)
def test_a_wrong_cron_expression_says_what_is_wrong(expression: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        CronSchedule(expression)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the machine's own zone be Berlin's, without any file of zones."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
def test_the_machines_own_zone_knows_its_daylight_saving() -> None:
    assert slots("30 2 * * *", "2025-03-29 12:00", 2, LocalZone()) == slots(
        "30 2 * * *", "2025-03-29 12:00", 2
    )
    assert slots("*/30 * * * *", "2025-10-26 01:45", 5, LocalZone()) == slots(
        "*/30 * * * *", "2025-10-26 01:45", 5
    )


@pytest.mark.usefixtures("in_berlin")
def test_a_moment_goes_into_the_machines_own_zone_and_back() -> None:
    for hour in range(0, 24 * 365, 5):
        stamp = moment("2025-01-01 00:30", UTC) + hour * 3600
        local = datetime.fromtimestamp(stamp, LocalZone())
        assert local.timestamp() == stamp
        assert local.utcoffset() == datetime.fromtimestamp(stamp, BERLIN).utcoffset()
