"""A change goes from one host to the next, and back when something goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import anyio
import pytest

from plughost import Host
from plughost.contracts import (
    CallCounts,
    Fleet,
    FleetChange,
    Rollout,
    RolloutChanged,
    RolloutPlan,
    Steering,
    StoredMember,
    View,
)
from plughost.exceptions import FleetError
from plughost.plugins.fleet.failing import RecentCalls
from plughost.plugins.fleet.lagging import LAGS_AFTER, behind, lags
from plughost.plugins.fleet.rollouts import Roll, advanced, check
from plughost.plugins.fleet.waiting import waits_for
from plughost.testing import FakeClock

pytestmark = pytest.mark.anyio

NOW = 1_000_000


def member(name: str, applied: int = 1, **more: Any) -> StoredMember:
    """A member that is heard of all the time."""
    given: dict[str, Any] = {
        "incarnation": 1,
        "joined": 0,
        "seen": NOW + 10**9,
        "ttl": 1,
        "ready": True,
    } | more
    return StoredMember(member=name, applied=applied, **given)


def roll(**more: Any) -> Roll:
    plan = RolloutPlan(**more.pop("plan", {}))
    return Roll(revision=2, plan=plan, since=NOW, moved=NOW, **more)


def driven(
    members: dict[str, StoredMember], course: Roll, follows: Callable[[StoredMember], StoredMember]
) -> list[Roll]:
    """Let whoever's turn has come follow, until the roll-out goes no further; return its states."""
    now, seen = NOW, [course]
    for _ in range(100):
        for name in course.turn:
            members[name] = follows(members[name])
        now += 11_000
        after = advanced(course, [*members.values()], now)
        if after is not course:
            seen.append(after)
        course = after
    return seen


def applied(one: StoredMember) -> StoredMember:
    return member(one.member, 2, ready=one.ready)


def waves(courses: Sequence[Roll]) -> list[int]:
    sizes = [len(course.turn) for course in courses if course.state == "rolling"]
    return [after - before for before, after in zip([0, *sizes], sizes, strict=False)]


@pytest.mark.parametrize(
    ("number", "plan", "expected"),
    [
        (1, {}, [1]),
        (4, {}, [1, 1, 1, 1]),
        (8, {"max_unavailable": 4}, [1, 2, 2, 2, 1]),
        (8, {"max_unavailable": 2, "batch": "50%"}, [1, 2, 2, 2, 1]),
        (10, {"canary": 2, "batch": "3", "max_unavailable": 5}, [2, 3, 3, 2]),
        (3, {"batch": "100%", "max_unavailable": 9}, [1, 2]),
    ],
)
def test_a_canary_comes_first_and_then_as_many_as_may_be_away(
    number: int, plan: dict[str, Any], expected: list[int]
) -> None:
    members = {f"m{place}": member(f"m{place}") for place in range(number)}
    courses = driven(members, roll(plan=plan), applied)
    assert waves(courses) == expected
    assert courses[-1].state == "done"
    assert set(courses[-1].turn) == set(members)


@pytest.mark.parametrize("away", ["not ready", "lost"])
def test_a_host_that_is_away_anyhow_counts_as_one_of_those_that_may_be(away: str) -> None:
    ill = member("ill", ready=False) if away == "not ready" else member("ill", 2, lost=True)
    members = [member("a"), member("b"), ill]
    course = roll(turn=("ill",), state="settling") if away == "lost" else roll()
    later = NOW + 20_000
    assert advanced(course, members, later) is course
    roomy = roll(turn=course.turn, state=course.state, plan={"max_unavailable": 2})
    assert advanced(roomy, members, later).turn == (*course.turn, "a")
    stuck = advanced(course, members, NOW + 601_000)
    assert (stuck.state, "no host could be spared: ill" in stuck.reason) == ("reverting", True)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ({"refused": "lamp: it does not start"}, "m0: lamp: it does not start"),
        ({"applied": 1}, "m0 did not follow and become ready in time"),
        ({"ready": False}, "m0 did not follow and become ready in time"),
    ],
)
@pytest.mark.parametrize("reverts", [True, False])
def test_what_goes_wrong_on_the_canary_reaches_no_other_host(
    trouble: dict[str, Any], said: str, reverts: bool
) -> None:
    members = {f"m{place}": member(f"m{place}") for place in range(5)}
    plan = {"revert": reverts, "healthy_deadline": 30.0}
    courses = driven(members, roll(plan=plan), lambda one: member(one.member, **({"applied": 2} | trouble)))
    first_failure = next(course for course in courses if course.state in ("reverting", "failed"))
    assert first_failure.state == ("reverting" if reverts else "failed")
    assert first_failure.reason == said
    assert all(course.turn in ((), ("m0",)) for course in courses)


def test_a_host_that_left_in_order_or_was_forgotten_is_not_missed() -> None:
    """As where each process has a name of its own, and another comes in its place."""
    course = roll(turn=("left", "forgotten"), state="settling")
    members = [member("left", 2, gone=1), member("instead"), member("other")]
    assert advanced(course, members, NOW + 11_000).turn == ("left", "forgotten", "instead")


def test_a_host_that_is_ready_at_first_and_not_for_long_is_found_while_it_settles() -> None:
    course = roll(state="settling", turn=("a",))
    after = advanced(course, [member("a", 2, ready=False), member("b")], NOW + 1_000)
    assert (after.state, after.reason) == ("reverting", "a: it was ready, and is no more")


def test_nobody_follows_before_those_who_settle_were_heard_of_meanwhile() -> None:
    course = roll(state="settling", turn=("a",), plan={"settle": 0.5})
    silent = member("a", 2, seen=NOW, ttl=60_000)
    assert advanced(course, [silent, member("b")], NOW + 20_000) is course
    after = advanced(course, [member("a", 2), member("b")], NOW + 20_000)
    assert (after.state, after.turn) == ("rolling", ("a", "b"))
    without_it = advanced(course, [silent, member("b")], NOW + 60_000)  # it was lost
    assert without_it.turn == ("a",)


@pytest.mark.parametrize(
    ("here", "elsewhere", "before", "more", "said"),
    [
        ((100, 12), (900, 9), (0, 0), {}, "a: 12 of 100 calls failed, elsewhere 9 of 900"),
        ((100, 4), (900, 0), (0, 0), {}, ""),  # too few to tell anything
        ((100, 20), (900, 90), (0, 0), {}, ""),  # just twice as often
        ((100, 21), (900, 90), (0, 0), {}, "a: 21 of 100"),
        ((100, 21), (900, 90), (0, 0), {"max_error_ratio": 3.0}, ""),
        ((100, 99), (900, 0), (0, 0), {"max_error_ratio": 0.0}, ""),
        ((100, 50), (900, 450), (100, 0), {}, ""),  # everybody has the same trouble
        ((100, 50), (0, 0), (100, 40), {}, ""),  # it always had
        ((100, 50), (0, 0), (100, 1), {}, "a: 50 of 100 calls failed, before 1 of 100"),
        ((100, 5), (0, 0), (0, 0), {}, "a: 5 of 100 calls failed, before 0 of 0"),
    ],
)
def test_a_change_with_which_calls_fail_more_than_twice_as_often_reaches_no_other_host(
    here: tuple[int, int],
    elsewhere: tuple[int, int],
    before: tuple[int, int],
    more: dict[str, Any],
    said: str,
) -> None:
    course = roll(state="settling", turn=("a",), plan=more)
    first = member("a", 2, calls=here[0], failures=here[1], calls_before=before[0], failures_before=before[1])
    others = [member(name, calls=elsewhere[0] // 2, failures=elsewhere[1] // 2) for name in "bc"]
    others[0] = member("b", calls=elsewhere[0] - elsewhere[0] // 2, failures=elsewhere[1] - elsewhere[1] // 2)
    after = advanced(course, [first, *others], NOW + 1_000)
    assert (after.state, said in after.reason) == ("reverting" if said else "settling", True)
    last = advanced(course, [first, *others], NOW + 11_000)
    assert last.state == ("reverting" if said else "rolling")


async def test_calls_are_counted_for_a_minute_and_anew_with_each_revision() -> None:
    clock, counts = FakeClock(), [CallCounts()]
    recent = RecentCalls(lambda: counts[0], clock)

    async def look(calls: int, failures: int, applied: int) -> tuple[CallCounts, CallCounts]:
        counts[0] += CallCounts(calls, failures)
        await clock.advance(20.0)
        return recent.look(applied)

    assert await look(10, 1, 0) == (CallCounts(10, 1), CallCounts())
    assert await look(10, 0, 0) == (CallCounts(20, 1), CallCounts())
    await look(10, 0, 0)
    assert await look(10, 0, 0) == (CallCounts(30, 0), CallCounts())
    assert await look(10, 2, 1) == (CallCounts(), CallCounts(30, 2))
    assert await look(10, 3, 1) == (CallCounts(10, 3), CallCounts(30, 2))


def test_hosts_that_go_back_are_waited_for_and_one_that_cannot_is_named() -> None:
    course = roll(state="reverting", turn=("a", "b"), returning=("a", "b"), back=3, reason="why")
    ready = [member("a", 3), member("b", 3), member("c", 3)]
    assert advanced(course, [*ready[:1], member("b", 2)], NOW + 1) is course
    assert advanced(course, ready, NOW + 1).state == "reverted"
    stuck = advanced(course, [member("a", 3, refused="lamp: no"), member("b", 3)], NOW + 1)
    assert (stuck.state, stuck.reason) == ("stuck", "why; a cannot go back: lamp: no")
    late = advanced(course, [member("a", 3), member("b", 2)], NOW + 301_000)
    assert (late.state, late.reason) == ("stuck", "why; b did not go back in time")


def test_no_more_hosts_go_back_at_a_time_than_may_be_away() -> None:
    course = roll(state="reverting", turn=("a", "b", "c", "d"), back=3, plan={"max_unavailable": 2})
    members = {name: member(name, 2) for name in "abcd"} | {"e": member("e", 3)}
    members["d"] = member("d", 2, ready=False)
    course = advanced(course, [*members.values()], NOW + 1)
    assert set(course.returning) == {"d", "a"}  # one that is away loses nothing
    wanted = {name: course.wanted_of(name, 3, one.applied) for name, one in members.items()}
    assert wanted == {"a": 3, "b": 2, "c": 2, "d": 3, "e": 3}
    assert advanced(course, [*members.values()], NOW + 2) is course
    members["a"] = member("a", 3)
    course = advanced(course, [*members.values()], NOW + 3)
    assert course.returning[2:] == ("b",)
    # It was started anew, and has no reason to follow what went wrong.
    assert course.wanted_of("c", 3, 0) == 3
    members |= {name: member(name, 3) for name in "bd"}
    course = advanced(course, [*members.values()], NOW + 4)
    assert advanced(course, [*members.values(), member("c", 3)], NOW + 5).state == "reverted"


def test_a_host_that_takes_no_work_is_left_out_and_counts_as_away() -> None:
    members = [member("a", draining=True), member("b"), member("c")]
    assert advanced(roll(), members, NOW) is not None
    assert advanced(course := roll(), members, NOW) is course
    roomy = roll(plan={"max_unavailable": 2, "batch": "100%"})
    first = advanced(roomy, members, NOW)
    assert first.turn == ("b",)
    last = roll(turn=("b", "c"), state="settling")
    done = advanced(last, [members[0], member("b", 2), member("c", 2)], NOW + 11_000)
    assert done.state == "done"


def test_only_those_whose_turn_has_come_follow_and_all_of_them_go_back() -> None:
    going = roll(state="rolling", turn=("a",))
    assert (going.wanted_of("a", 1, 0), going.wanted_of("b", 1, 0)) == (2, 1)
    assert roll(state="paused", turn=("a",)).wanted_of("a", 1, 0) == 2
    back = roll(state="reverting", turn=("a",), returning=("a",), back=3)
    assert (back.wanted_of("a", 3, 2), back.wanted_of("b", 3, 1)) == (3, 3)
    urgent = going.wanted_of("a", 5, 2)
    assert urgent == 5


@pytest.mark.parametrize(
    ("course", "others", "later", "said"),
    [
        ({}, {"draining": True}, 0, "a host that can be spared: b is drained, and max_unavailable is 1"),
        ({}, {"ready": False}, 0, "a host that can be spared: b is not ready, and max_unavailable is 1"),
        ({}, {}, 0, "the host that takes it further"),
        ({"state": "rolling", "turn": ("a",)}, {}, 0, "a to follow and be ready"),
        ({"state": "rolling", "turn": ("gone",)}, {}, 0, "gone to follow and be ready"),
        ({"state": "settling", "turn": ("left", "forgotten")}, {}, 10_000, "the host that takes it further"),
        ({"state": "rolling", "turn": ("b",)}, {"applied": 2}, 0, "the host that takes it further"),
        ({"state": "reverting", "turn": ("b",), "back": 3}, {"applied": 3}, 0, "the host that takes it further"),
        ({"state": "settling", "turn": ("a",)}, {}, 1, "a to stay ready for 10 s"),
        ({"state": "settling", "turn": ("b",)}, {"seen": NOW, "ttl": 10**6}, 10_000, "the next sign of life of b"),
        ({"state": "settling", "turn": ("gone",)}, {}, 10_000,
         "a host that can be spared: gone is lost, and max_unavailable is 1"),
        ({"state": "paused", "turn": ("a",)}, {}, 0, "somebody who has it go on, or aborts it"),
        ({"state": "reverting", "turn": ("a", "b"), "back": 3}, {"applied": 3}, 0, "a to go back"),
        ({"state": "rolling", "turn": tuple("cdefghi")}, {}, 0, "c, d, e, f, g, 2 more to follow and be ready"),
        ({"state": "done", "turn": ("a", "b")}, {}, 0, ""),
        ({"state": "stuck", "turn": ("a", "b")}, {}, 0, ""),
    ],
)  # fmt: skip
def test_what_a_change_waits_for_is_said(
    course: dict[str, Any], others: dict[str, Any], later: int, said: str
) -> None:
    members = [member("a"), member("b", **others), member("gone", lost=True)]
    found = roll(**course)
    assert waits_for(found, members, NOW + later) == said


@pytest.mark.parametrize("state", ["paused", "done", "failed", "reverted", "stuck"])
def test_what_is_held_up_or_has_ended_goes_no_further(state: Any) -> None:
    course = roll(state=state, turn=("a",))
    assert advanced(course, [member("a", 2), member("b")], NOW + 10_000_000) is course


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"batch": "0"}, "batch"), ({"batch": "half"}, "batch"), ({"batch": "101%"}, "batch"),
        ({"batch": "-1"}, "batch"),
        ({"canary": 0}, "canary"), ({"max_unavailable": 0}, "max_unavailable"), ({"settle": -1.0}, "settle"),
        ({"settle": float("nan")}, "settle"), ({"healthy_deadline": 0.0}, "deadlines"),
        ({"max_error_ratio": -1.0}, "max_error_ratio"), ({"max_error_ratio": float("nan")}, "max_error_ratio"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_followed_is_refused(plan: dict[str, Any], said: str) -> None:
    assert said in check(RolloutPlan(**plan))
    assert check(RolloutPlan()) == ""


# with real hosts

LAMP = """
from pathlib import Path
from plughost import Plugin

class Lamp(Plugin):
    async def start(self, context):
        if {breaks!r}:
            with Path(__file__).with_suffix(".tried").open("a") as tries:
                tries.write("x")
            raise RuntimeError("it does not light up")
"""
QUICK = RolloutPlan(settle=0.2, batch="50%", healthy_deadline=30.0)


def write(module: Path, *, breaks: bool) -> None:
    module.write_text(LAMP.format(breaks=breaks))


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    module = tmp_path / "code" / f"lamp_{token_hex(4)}.py"  # each test has another: modules stay imported
    module.parent.mkdir()
    write(module, breaks=False)
    monkeypatch.syspath_prepend(str(module.parent))
    return module


@asynccontextmanager
async def workers(code: Path, number: int) -> AsyncIterator[list[Host]]:
    config = {
        "host": {"data_dir": str(code.parent / "data"), "allow": ["fleet", "lamp"]},
        "plugins": {"fleet": {"config": {"interval": 1}}, "lamp": {"module": f"{code.stem}:Lamp"}},
    }
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Host("shop", config=config, environ={}, worker=worker))
            for worker in range(number)
        ]


async def ended(fleet: Fleet, rollout: Rollout) -> Rollout:
    with anyio.fail_after(60):
        while not rollout.ended:
            await anyio.sleep(0.02)
            found = await fleet.rollout(rollout.id)
            assert found is not None
            rollout = found
    return rollout


def generations(hosts: list[Host]) -> list[int]:
    return [host.plugins["lamp"].generation for host in hosts]


async def test_a_reload_goes_from_host_to_host_and_then_it_is_what_all_follow(
    tmp_path: Path, code: Path
) -> None:
    async with workers(code, 3) as hosts:
        told: list[RolloutChanged] = []
        for host in hosts:
            host.events.subscribe(RolloutChanged, told.append)
        before = generations(hosts)
        fleet = hosts[1].use(Fleet)
        rollout = await ended(fleet, await fleet.propose(FleetChange("reload", "lamp"), QUICK))
        assert (rollout.state, {*rollout.results.values()}) == ("done", {"applied"})
        assert generations(hosts) == [one + 1 for one in before]
        sizes = [len(one.turn) for one in told if one.state == "rolling"]
        assert sizes == [1, 2, 3]
        with anyio.fail_after(60):
            while told[-1].state != "done":  # noqa: ASYNC110
                await anyio.sleep(0.02)
            while (await fleet.status()).revision != 1:  # noqa: ASYNC110
                await anyio.sleep(0.02)


async def test_a_version_that_does_not_start_reaches_one_host_and_is_taken_back(
    tmp_path: Path, code: Path
) -> None:
    async with workers(code, 3) as hosts:
        fleet = hosts[0].use(Fleet)
        write(code, breaks=True)
        rollout = await ended(fleet, await fleet.propose(FleetChange("reload", "lamp"), QUICK))
        assert (rollout.state, "it does not light up" in rollout.reason) == ("reverted", True)
        assert sorted(rollout.results.values()) == ["not yet", "not yet", "taken back"]
        assert [str(host.plugins["lamp"].state) for host in hosts] == ["ready"] * 3
        assert (generations(hosts), code.with_suffix(".tried").read_text()) == ([1, 1, 1], "x")
        # What comes next is not built on it, and hosts that join have never heard of it.
        write(code, breaks=False)
        rollout = await ended(fleet, await fleet.propose(FleetChange("disable", "lamp"), QUICK))
        assert (rollout.state, rollout.revision) == ("done", 3)


async def test_a_change_that_is_paused_waits_and_one_that_is_aborted_goes_back(
    tmp_path: Path, code: Path
) -> None:
    slow = RolloutPlan(settle=60.0)
    async with workers(code, 2) as hosts:
        fleet = hosts[0].use(Fleet)
        rollout = await fleet.propose(FleetChange("disable", "lamp"), slow)
        with anyio.fail_after(60):
            while sorted(str(host.plugins["lamp"].state) for host in hosts) != ["disabled", "ready"]:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        with pytest.raises(FleetError, match=r"revision 1 is on its way .*rollout abort 1"):
            await fleet.propose(FleetChange("reload", "lamp"))
        assert (await fleet.steer_rollout(rollout.id, "pause")).state == "paused"
        assert (await fleet.steer_rollout(rollout.id, "pause")).state == "paused"
        assert (await fleet.steer_rollout(rollout.id, "resume")).state in ("rolling", "settling")
        await fleet.steer_rollout(rollout.id, "abort")
        rollout = await ended(fleet, rollout)
        assert (rollout.state, rollout.reason) == ("reverted", "it was aborted")
        assert [str(host.plugins["lamp"].state) for host in hosts] == ["ready", "ready"]
        with pytest.raises(FleetError, match="is not being rolled out"):
            await fleet.steer_rollout(rollout.id, "resume")


async def test_an_urgent_stop_does_not_wait_for_a_change_that_is_on_its_way(
    tmp_path: Path, code: Path
) -> None:
    async with workers(code, 2) as hosts:
        fleet = hosts[0].use(Fleet)
        await fleet.propose(FleetChange("reload", "lamp"), RolloutPlan(settle=60.0))
        rollout = await ended(fleet, await fleet.propose(FleetChange("quarantine", "lamp", "it burns")))
        assert rollout.state == "done"
        assert [str(host.plugins["lamp"].state) for host in hosts] == ["disabled", "disabled"]


def test_only_those_lag_whose_turn_it_has_been_for_long() -> None:
    rolling = roll(state="rolling", turn=("a", "b"))
    members = (member("a", 1), member("b", 2), member("c", 1), member("d", 0, lost=True))
    view = View(now=NOW, epoch="e", members=members, jobs=())
    found = behind(view, Steering(active=1, newest=2), rolling)
    assert [(one.member, wanted) for one, wanted in found] == [("a", 2)]
    moments = (NOW + LAGS_AFTER - 1, NOW + LAGS_AFTER)
    assert [bool(lags(members[0], 2, NOW, at)) for at in moments] == [False, True]
    assert not lags(member("e", 0, joined=NOW + 1), 2, NOW, NOW + LAGS_AFTER)
