"""The sessions service: what it promises to applications."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from plughost.contracts.session import SessionManager
from plughost.exceptions import SessionDataError
from plughost.plugins.sessions.announcements import SessionChange
from plughost.plugins.sessions.manager import Sessions
from plughost.plugins.sessions.tokens import digest_of_id, new_session_id
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


def test_it_is_a_session_manager(sessions: Sessions) -> None:
    assert isinstance(sessions, SessionManager)


async def test_a_session_comes_back_as_it_was_made(sessions: Sessions) -> None:
    made = await sessions.create(
        "7",
        username="ada",
        roles=["admin"],
        metadata={"ip_address": "::1"},
        fields={"character": {"level": 3}},
    )
    found = await sessions.get(made.session_id)
    assert found == made
    assert found.user_id == "7"
    assert found.username == "ada"
    assert found.roles == ("admin",)
    assert found.fields == {"character": {"level": 3}}
    assert found.metadata == {"ip_address": "::1"}


async def test_lifetimes_may_be_given_as_seconds_or_timedelta(sessions: Sessions, clock: FakeClock) -> None:
    short = await sessions.create("7", ttl=60)
    longer = await sessions.create("7", ttl=timedelta(minutes=2), absolute=timedelta(minutes=3))
    assert short.expires_at == pytest.approx(clock.time() + 60)
    assert longer.expires_at == pytest.approx(clock.time() + 120)
    assert longer.absolute_expires_at == pytest.approx(clock.time() + 180)


async def test_an_idle_time_never_outlives_the_absolute_limit(sessions: Sessions, clock: FakeClock) -> None:
    made = await sessions.create("7", ttl=timedelta(days=7))
    assert made.expires_at == made.absolute_expires_at == pytest.approx(clock.time() + 28800)


@pytest.mark.parametrize(
    "ttl", [0, -1, float("nan"), float("inf"), pytest.param(10**400, id="long"), timedelta(0)]
)
async def test_a_lifetime_that_is_none_is_refused(sessions: Sessions, ttl: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        await sessions.create("7", ttl=ttl)


HALF_A_SIGN = "a\udcff"
"""What a name of a file that is not UTF-8 becomes."""


@pytest.mark.parametrize("door", ["create", "sign_in", "list_user", "destroy_user", "end_handle"])
async def test_a_user_id_that_not_every_store_can_keep_is_refused(sessions: Sessions, door: str) -> None:
    first = {"sign_in": (None,)}.get(door, ())
    more = {"end_handle": ("handle",)}.get(door, ())
    with pytest.raises(SessionDataError, match="half of a sign"):
        await getattr(sessions, door)(*first, HALF_A_SIGN, *more)


@pytest.mark.parametrize("door", ["create", "sign_in"])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"username": 5}, "username is text, not int"),
        ({"username": None}, "username is text, not NoneType"),
        ({"roles": "admin"}, r"write roles=\['admin'\]"),
        ({"roles": ["admin", 1]}, "a role is text, not int"),
        ({"roles": [None]}, "a role is text, not NoneType"),
        ({"username": HALF_A_SIGN}, "cannot be stored"),
        ({"roles": [HALF_A_SIGN]}, "cannot be stored"),
        ({"metadata": {"place": HALF_A_SIGN}}, "cannot be stored"),
        ({"fields": {HALF_A_SIGN: 1}}, "named by a text"),
    ],
)
async def test_who_cannot_be_read_again_is_refused_and_nothing_is_kept_or_ended(
    sessions: Sessions, told: list[SessionChange], door: str, wrong: dict[str, Any], said: str
) -> None:
    before = await sessions.create("7")
    first = {"sign_in": (before.session_id,)}.get(door, ())
    with pytest.raises((TypeError, SessionDataError), match=said):
        await getattr(sessions, door)(*first, "7", **wrong)
    assert [one.handle for one in await sessions.list_user("7")] == [before.handle]
    assert [change.kind for change in told] == ["created"]


async def test_a_list_holds_no_more_than_was_asked_for(sessions: Sessions) -> None:
    for _ in range(3):
        await sessions.create("7")
    assert [len(await sessions.list_user("7", limit)) for limit in (1, 3, 4, None)] == [1, 3, 3, 3]
    for wrong in (0, -1, "3"):
        with pytest.raises(ValueError, match="limit is how many"):
            await sessions.list_user("7", wrong)  # type: ignore[arg-type]


async def test_names_to_remove_are_several(sessions: Sessions) -> None:
    made = await sessions.create("7", fields={"a": 1, "ab": 2})
    with pytest.raises(TypeError, match=r"write remove=\['ab'\]"):
        await sessions.update(made.session_id, remove="ab")
    found = await sessions.get(made.session_id)
    assert found is not None
    assert found.fields == {"a": 1, "ab": 2}


async def test_a_coroutine_function_changes_nothing_and_is_told_so(sessions: Sessions) -> None:
    async def change(fields: dict[str, Any]) -> None:
        fields["seen"] = True

    made = await sessions.create("7")
    with pytest.raises(TypeError, match="is a plain function"):
        await sessions.transform(made.session_id, change)  # type: ignore[arg-type]


async def test_update_sets_and_removes_fields_and_keeps_the_others(sessions: Sessions) -> None:
    made = await sessions.create("7", fields={"a": 1, "b": 2, "c": 3})
    changed = await sessions.update(made.session_id, values={"b": 20, "d": [1]}, remove=["c"])
    assert changed is not None
    assert changed.fields == {"a": 1, "b": 20, "d": [1]}


async def test_extend_prolongs_the_idle_clock_only_up_to_the_limit(
    sessions: Sessions, clock: FakeClock
) -> None:
    made = await sessions.create("7")
    extended = await sessions.extend(made.session_id, 7200)
    assert extended is not None
    assert extended.expires_at == pytest.approx(clock.time() + 7200)
    capped = await sessions.extend(made.session_id, timedelta(days=30))
    assert capped is not None
    assert capped.expires_at == made.absolute_expires_at


async def test_a_transformation_counts_without_losing_a_step(sessions: Sessions) -> None:
    made = await sessions.create("7", fields={"count": 0})
    calls = 0

    def add(fields: dict[str, int]) -> None:
        nonlocal calls
        calls += 1
        fields["count"] += 1

    for _ in range(5):
        await sessions.transform(made.session_id, add)
    found = await sessions.get(made.session_id)
    assert found is not None
    assert found.fields == {"count": 5}
    assert calls == 5


async def test_a_destroyed_session_is_gone_for_every_method(sessions: Sessions) -> None:
    made = await sessions.create("7")
    assert await sessions.destroy(made.session_id) is True
    assert await sessions.destroy(made.session_id) is False
    assert await sessions.get(made.session_id) is None
    assert await sessions.update(made.session_id, values={"x": 1}) is None
    assert await sessions.extend(made.session_id, 60) is None
    assert await sessions.rotate(made.session_id) is None
    assert await sessions.transform(made.session_id, lambda fields: None) is None


async def test_rotation_changes_the_id_and_nothing_else(sessions: Sessions, clock: FakeClock) -> None:
    made = await sessions.create("7", username="ada", fields={"x": 1})
    await clock.advance(100)
    rotated = await sessions.rotate(made.session_id)
    assert rotated is not None
    assert rotated.session_id != made.session_id
    assert (rotated.handle, rotated.user_id, rotated.username) == (made.handle, "7", "ada")
    assert rotated.fields == {"x": 1}
    assert rotated.absolute_expires_at == made.absolute_expires_at


async def test_a_rotated_id_reads_for_ten_seconds_and_then_ends_the_session(
    sessions: Sessions, clock: FakeClock, told: list[SessionChange]
) -> None:
    made = await sessions.create("7")
    rotated = await sessions.rotate(made.session_id)
    assert rotated is not None
    assert await sessions.get(made.session_id) is not None
    await clock.advance(11)
    assert await sessions.get(made.session_id) is None
    assert await sessions.get(rotated.session_id) is None
    assert told[-1].reason == "dead id reused"


async def test_an_id_in_its_grace_cannot_be_rotated_into_a_fresh_one(sessions: Sessions) -> None:
    made = await sessions.create("7")
    assert await sessions.rotate(made.session_id) is not None
    assert await sessions.rotate(made.session_id) is None


async def test_signing_in_changes_the_id_and_carries_the_visitors_fields(sessions: Sessions) -> None:
    visitor = await sessions.create(None, fields={"cart": ["book"]})
    signed_in = await sessions.sign_in(visitor.session_id, "7", username="ada", fields={"theme": "dark"})
    assert signed_in.session_id != visitor.session_id
    assert signed_in.handle != visitor.handle
    assert signed_in.fields == {"cart": ["book"], "theme": "dark"}
    assert await sessions.get(visitor.session_id) is None


async def test_signing_in_as_somebody_else_carries_nothing_over(sessions: Sessions) -> None:
    first = await sessions.create("7", fields={"private": "diary"})
    second = await sessions.sign_in(first.session_id, "8")
    assert second.fields == {}
    assert await sessions.get(first.session_id) is None


async def test_signing_in_again_begins_a_new_absolute_clock(sessions: Sessions, clock: FakeClock) -> None:
    first = await sessions.create("7")
    await clock.advance(1000)
    second = await sessions.sign_in(first.session_id, "7")
    assert second.absolute_expires_at == pytest.approx(first.absolute_expires_at + 1000)


async def test_signing_in_works_without_and_with_a_dead_session(sessions: Sessions) -> None:
    for session_id in (None, "", "nonsense", new_session_id()):
        assert (await sessions.sign_in(session_id, "7")).user_id == "7"


async def test_all_sessions_of_a_user_end_but_the_one_that_asks(sessions: Sessions) -> None:
    mine, other, stranger = [await sessions.create(user) for user in ("7", "7", "8")]
    assert await sessions.destroy_user("7", keep=mine.session_id) == 1
    assert await sessions.get(mine.session_id) is not None
    assert await sessions.get(other.session_id) is None
    assert await sessions.get(stranger.session_id) is not None


async def test_keeping_a_strangers_session_keeps_nothing_of_the_user(sessions: Sessions) -> None:
    mine, stranger = await sessions.create("7"), await sessions.create("8")
    assert await sessions.destroy_user("7", keep=stranger.session_id) == 1
    assert await sessions.get(mine.session_id) is None
    assert await sessions.get(stranger.session_id) is not None


async def test_a_collision_of_ids_is_tried_again_and_overwrites_nothing(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await sessions.create("7", fields={"mine": True})
    ids = iter([first.session_id, first.session_id, new_session_id()])
    monkeypatch.setattr("plughost.plugins.sessions.records.new_session_id", lambda: next(ids))
    second = await sessions.create("8")
    assert second.session_id != first.session_id
    assert await sessions.get(first.session_id) == first


async def test_a_list_carries_no_ids(sessions: Sessions) -> None:
    made = await sessions.create("7", metadata={"device": "Firefox on Linux"})
    (listed,) = await sessions.list_user("7")
    assert listed.session_id == ""
    assert listed.handle == made.handle
    assert listed.metadata == {"device": "Firefox on Linux"}


async def test_one_session_is_ended_by_its_handle_by_its_owner_only(sessions: Sessions) -> None:
    made = await sessions.create("7")
    assert await sessions.end_handle("8", made.handle) is False
    assert await sessions.get(made.session_id) is not None
    assert await sessions.end_handle("7", made.handle) is True
    assert await sessions.get(made.session_id) is None


async def test_a_handle_is_no_credential(sessions: Sessions) -> None:
    made = await sessions.create("7")
    assert await sessions.get(made.handle) is None


async def test_a_clean_up_says_what_it_removed(sessions: Sessions, clock: FakeClock) -> None:
    for _ in range(3):
        await sessions.create("7", ttl=60)
    await clock.advance(61)
    assert (await sessions.stats()).expired == 3
    assert (await sessions.cleanup_expired()).removed == 3
    assert (await sessions.cleanup_expired()).removed == 0


async def test_what_happens_is_announced_in_order(sessions: Sessions, told: list[SessionChange]) -> None:
    visitor = await sessions.create(None)
    signed_in = await sessions.sign_in(visitor.session_id, "7")
    rotated = await sessions.rotate(signed_in.session_id)
    assert rotated is not None
    await sessions.destroy(rotated.session_id)
    await sessions.destroy_user("7")
    assert [(one.kind, one.handle, one.subject, one.reason) for one in told] == [
        ("created", visitor.handle, None, "created"),
        ("ended", visitor.handle, None, "sign-in"),
        ("created", signed_in.handle, "7", "sign-in"),
        ("rotated", signed_in.handle, "7", "rotation"),
        ("ended", signed_in.handle, "7", "destroyed"),
        ("ended", "", "7", "user ended"),
    ]


@pytest.mark.parametrize(
    "value",
    [object(), {1: "x"}, float("nan"), float("inf"), 2**63, {"a": {1, 2}}, "\ud800", 1j],
)
async def test_what_cannot_be_kept_is_refused_by_name(sessions: Sessions, value: object) -> None:
    with pytest.raises(SessionDataError, match="thing"):
        await sessions.create("7", fields={"thing": value})


async def test_what_is_too_deep_or_too_large_is_refused(sessions: Sessions) -> None:
    deep: list[object] = []
    for _ in range(20):
        deep = [deep]
    with pytest.raises(SessionDataError, match="deep"):
        await sessions.create("7", fields={"thing": deep})
    with pytest.raises(SessionDataError, match="max_bytes"):
        await sessions.create("7", fields={"thing": "x" * 20_000})
    with pytest.raises(SessionDataError, match="named"):
        await sessions.create("7", fields={"n" * 129: 1})


async def test_the_secret_id_is_in_no_repr_and_in_no_store(sessions: Sessions) -> None:
    made = await sessions.create("7", fields={"password_hint": "canary-value"})
    assert made.session_id not in repr(made)
    assert "canary-value" not in repr(made)
    digest = digest_of_id(made.session_id)
    assert digest is not None
    stored = repr(sessions.records.store.__dict__)
    assert made.session_id not in stored
    assert "canary-value" not in stored


@pytest.mark.parametrize("user", [7, 7.0, True, b"7", ("7",)])
async def test_a_user_who_is_no_text_is_refused_at_every_door(sessions: Sessions, user: Any) -> None:
    made = await sessions.create("7")
    for call in (
        lambda: sessions.create(user),
        lambda: sessions.sign_in(None, user),
        lambda: sessions.sign_in(made.session_id, user),
        lambda: sessions.destroy_user(user),
        lambda: sessions.list_user(user),
        lambda: sessions.end_handle(user, made.handle),
    ):
        with pytest.raises(TypeError, match=r"str\(user_id\)"):
            await call()
    assert (await sessions.stats()).active == 1
    assert await sessions.destroy_user("7") == 1
