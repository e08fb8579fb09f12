"""A request and its session: when it is loaded, when it is saved, what the browser is told."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_browser import Answer, Browser
from plughost.contracts.session import RequestSession, session_of
from plughost.exceptions import SessionDataError, StoreUnavailableError
from plughost.plugins.sessions.desk import Desk
from plughost.plugins.sessions.manager import Sessions
from plughost.plugins.sessions.stores.memory import MemoryStore
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio

COOKIE = "__Host-acme_session"


async def count(session: RequestSession) -> int:
    session["views"] = session.get("views", 0) + 1
    return session["views"]


async def look(session: RequestSession) -> object:
    return session.get("views")


async def ignore(session: RequestSession) -> str:
    return "hello"


class Counting(MemoryStore):
    """A memory store that notes which calls are made."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.calls: list[str] = []

    def read_now(self, digest: bytes) -> Any:
        self.calls.append("read")
        return super().read_now(digest)

    async def create(self, new: Any) -> Any:
        self.calls.append("create")
        return await super().create(new)

    async def patch(self, digest: bytes, patch: Any) -> Any:
        found = await super().patch(digest, patch)
        self.calls[-1] = "patch"
        return found

    async def touch(self, digest: bytes) -> None:
        await super().touch(digest)
        self.calls[-1] = "touch"


@pytest.fixture
def calls(sessions: Sessions, desk: Desk) -> list[str]:
    """Names of the calls the store gets, in order."""
    store = Counting(sessions.records.now)
    sessions.records.store = desk._immediate = store
    return store.calls


async def test_a_counter_counts(wrap: Any) -> None:
    browser = wrap(count)
    assert [(await browser.get()).body for _ in range(3)] == [b"1", b"2", b"3"]


async def test_who_keeps_nothing_gets_no_cookie_and_takes_no_room(wrap: Any, calls: list[str]) -> None:
    for handler in (ignore, look):
        browser = wrap(handler)
        answer = await browser.get()
        assert answer.set_cookies == []
    assert calls == []


async def test_a_session_that_is_not_looked_at_costs_the_store_nothing(wrap: Any, calls: list[str]) -> None:
    browser = wrap(count)
    await browser.get()
    calls.clear()
    twin = wrap(ignore)
    twin.cookies = browser.cookies
    answer = await twin.get()
    assert calls == []
    assert answer.header("vary") is None
    assert answer.header("cache-control") is None


async def test_reading_reads_once_and_writes_nothing(wrap: Any, calls: list[str]) -> None:
    browser = wrap(count)
    await browser.get()
    calls.clear()
    twin = wrap(look)
    twin.cookies = browser.cookies
    answer = await twin.get()
    assert answer.body == b"1"
    assert calls == ["read"]
    assert answer.set_cookies == []


@pytest.mark.parametrize(
    "look_at",
    [
        lambda session: session.get("x"), lambda session: "x" in session, len, list, bool, dict,
        lambda session: list(session.keys()), lambda session: list(session.items()),
        lambda session: session.user_id, lambda session: session.roles, lambda session: session.username,
        lambda session: session.handle, lambda session: session.csrf_token, lambda session: session == {},
        lambda session: session.expires_at, lambda session: session.metadata,
        lambda session: session.pop("x", None), lambda session: session.setdefault("x"),
    ],
)  # fmt: skip
async def test_cve_2026_27205_every_way_to_look_keeps_shared_caches_away(wrap: Any, look_at: Any) -> None:
    async def handler(session: RequestSession) -> str:
        look_at(session)
        return ""

    answer = await wrap(handler).get()
    assert "Cookie" in (answer.header("vary") or "")
    assert (answer.header("cache-control") or "").startswith(("private", "no-store"))


async def test_nested_changes_are_seen_and_only_what_changed_is_written(
    wrap: Any, sessions: Sessions
) -> None:
    async def fill(session: RequestSession) -> None:
        session["cart"] = {"items": []}
        session["other"] = [1]

    async def add(session: RequestSession) -> None:
        session["cart"]["items"].append("book")
        assert session["other"] == [1]

    browser = wrap(fill)
    await browser.get()
    session_id = browser.cookies[COOKIE]
    patches: list[Any] = []
    original = sessions.records.store.patch

    async def patch(digest: bytes, change: Any) -> Any:
        patches.append(change)
        return await original(digest, change)

    sessions.records.store.patch = patch  # type: ignore[method-assign]
    twin = wrap(add)
    twin.cookies = browser.cookies
    await twin.get()
    found = await sessions.get(session_id)
    assert found is not None
    assert found.fields["cart"] == {"items": ["book"]}
    assert [list(change.set) for change in patches] == [["cart"]]


async def test_setting_the_same_value_again_is_a_change_and_looking_is_none(wrap: Any) -> None:
    async def handler(session: RequestSession) -> str:
        session["a"] = [1]
        del session["a"]
        session["a"] = [2]
        return str((dict(session), len(session), "a" in session, list(session)))

    assert (await wrap(handler).get()).body == b"({'a': [2]}, 1, True, ['a'])"


async def test_two_requests_at_once_keep_both_keys(wrap: Any, sessions: Sessions) -> None:
    browser = wrap(count)
    await browser.get()

    async def slow(session: RequestSession) -> None:
        session["slow"] = 1
        session.get("views")
        fast = wrap(set_fast)
        fast.cookies = browser.cookies
        await fast.get()

    async def set_fast(session: RequestSession) -> None:
        session["fast"] = 1

    twin = wrap(slow)
    twin.cookies = browser.cookies
    await twin.get()
    found = await sessions.get(browser.cookies[COOKIE])
    assert found is not None
    assert found.fields == {"views": 1, "slow": 1, "fast": 1}


async def test_cve_2025_46336_a_slow_request_does_not_bring_a_signed_out_session_back(
    wrap: Any, sessions: Sessions
) -> None:
    browser = wrap(count)
    await browser.get()
    session_id = browser.cookies[COOKIE]

    async def slow(session: RequestSession) -> None:
        session["late"] = session["views"] + 1
        await sessions.destroy(session_id)

    twin = wrap(slow)
    twin.cookies = dict(browser.cookies)
    answer = await twin.get()
    assert answer.status == 200
    assert twin.cookies == {}, "the browser is told to forget the dead id"
    assert await sessions.get(session_id) is None
    assert (await sessions.stats()).active == 0


async def test_cve_2024_38513_an_id_from_outside_is_never_adopted(wrap: Any, sessions: Sessions) -> None:
    browser = wrap(count)
    chosen = "A" * 43
    browser.cookies = {COOKIE: chosen}
    answer = await browser.get()
    assert browser.cookies[COOKIE] != chosen
    assert "no-store" in (answer.header("cache-control") or "")
    assert await sessions.get(chosen) is None


async def test_a_dead_id_is_taken_out_of_the_browser(wrap: Any) -> None:
    browser = wrap(look)
    browser.cookies = {COOKIE: "B" * 43}
    answer = await browser.get()
    assert browser.cookies == {}
    assert answer.set_cookies[0].startswith(f"{COOKIE}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure")


async def test_clearing_ends_the_session_and_what_follows_begins_another(
    wrap: Any, sessions: Sessions
) -> None:
    browser = wrap(count)
    await browser.get()
    before = browser.cookies[COOKIE]

    async def start_over(session: RequestSession) -> None:
        session.clear()
        session["fresh"] = True

    twin = wrap(start_over)
    twin.cookies = browser.cookies
    await twin.get()
    assert twin.cookies[COOKIE] != before
    assert await sessions.get(before) is None
    found = await sessions.get(twin.cookies[COOKIE])
    assert found is not None
    assert found.fields == {"fresh": True}


async def test_cve_2018_1000519_a_cleared_session_is_no_session(wrap: Any, sessions: Sessions) -> None:
    browser = wrap(count)
    await browser.get()
    thief = browser.copy()

    async def clear(session: RequestSession) -> None:
        session.clear()

    twin = wrap(clear)
    twin.cookies = browser.cookies
    await twin.get()
    assert twin.cookies == {}
    assert (await thief.get()).body == b"1", "the old id leads nowhere: counting begins anew"
    assert (await sessions.stats()).active == 1


async def test_cve_2023_20862_nothing_of_who_it_was_is_left_after_clearing(
    wrap: Any, sessions: Sessions
) -> None:
    made = await sessions.create("7", username="ada", roles=["admin"], fields={"x": 1})

    async def clear(session: RequestSession) -> str:
        assert session.roles == ("admin",)
        session.clear()
        session["fresh"] = 1
        return f"{session.user_id} {session.username!r} {session.roles} {dict(session)}"

    browser = wrap(clear)
    browser.cookies = {COOKIE: made.session_id}
    assert (await browser.get()).body == b"None '' () {'fresh': 1}"
    found = await sessions.get(browser.cookies[COOKIE])
    assert found is not None
    assert (found.user_id, found.roles) == (None, ())


async def test_signing_in_changes_the_id_and_keeps_the_cart(wrap: Any, sessions: Sessions) -> None:
    async def fill(session: RequestSession) -> None:
        session["cart"] = ["book"]

    async def sign_in(session: RequestSession) -> str:
        session["late"] = "pen"
        await session.sign_in("7", username="ada", roles=["reader"])
        return f"{session.user_id} {session.username} {session.roles} {dict(session)}"

    browser = wrap(fill)
    await browser.get()
    thief = browser.copy()
    twin = wrap(sign_in)
    twin.cookies = browser.cookies
    answer = await twin.get()
    assert answer.body == b"7 ada ('reader',) {'cart': ['book'], 'late': 'pen'}"
    assert twin.cookies[COOKIE] != thief.cookies[COOKIE]
    assert await sessions.get(thief.cookies[COOKIE]) is None
    found = await sessions.get(twin.cookies[COOKIE])
    assert found is not None
    assert found.metadata["ip_address"] == "203.0.113.9"


async def test_a_sign_in_with_roles_that_are_none_leaves_the_visitor_as_it_was(
    wrap: Any, sessions: Sessions
) -> None:
    async def sign_in(session: RequestSession) -> str:
        session["cart"] = ["book"]
        with pytest.raises(TypeError, match="may be several"):
            await session.sign_in("7", roles="reader")
        return str(session.user_id)

    browser = wrap(sign_in)
    assert (await browser.get()).body == b"None"
    found = await sessions.get(browser.cookies[COOKIE])
    assert found is not None
    assert (found.user_id, found.fields) == (None, {"cart": ["book"]})


async def test_signing_out_is_durable_before_the_response_begins(wrap: Any, sessions: Sessions) -> None:
    browser = wrap(count)
    await browser.get()
    session_id = browser.cookies[COOKIE]

    async def sign_out(session: RequestSession) -> str:
        await session.sign_out()
        return str((await sessions.get(session_id), session.user_id, dict(session)))

    twin = wrap(sign_out)
    twin.cookies = browser.cookies
    assert (await twin.get()).body == b"(None, None, {})"
    assert twin.cookies == {}


async def test_rotating_saves_what_changed_and_changes_the_id(wrap: Any, sessions: Sessions) -> None:
    async def rotate(session: RequestSession) -> None:
        session["x"] = 1
        await session.rotate()
        session["y"] = 2

    browser = wrap(count)
    await browser.get()
    before = browser.cookies[COOKIE]
    twin = wrap(rotate)
    twin.cookies = browser.cookies
    await twin.get()
    assert twin.cookies[COOKIE] != before
    found = await sessions.get(twin.cookies[COOKIE])
    assert found is not None
    assert found.fields == {"views": 1, "x": 1, "y": 2}


async def test_a_parallel_tab_with_the_rotated_id_is_not_signed_out(
    wrap: Any, sessions: Sessions, clock: FakeClock
) -> None:
    browser = wrap(count)
    await browser.get()
    await sessions.rotate(browser.cookies[COOKIE])
    answer = await browser.get()
    assert answer.body == b"2"
    assert answer.set_cookies == []
    await clock.advance(11)
    assert (await browser.get()).body == b"1", "after the grace the id is dead, and the session with it"
    assert (await sessions.stats()).active == 1


async def test_use_is_noted_not_more_often_than_the_touch_interval(
    wrap: Any, calls: list[str], clock: FakeClock
) -> None:
    browser = wrap(count)
    await browser.get()
    twin = wrap(look)
    twin.cookies = browser.cookies
    calls.clear()
    for _ in range(3):
        await clock.advance(25)
        await twin.get()
    assert calls == ["read", "read", "read", "touch"]


async def test_a_session_in_use_lives_past_its_idle_time_but_not_past_its_limit(
    wrap: Any, clock: FakeClock
) -> None:
    browser = wrap(count)
    await browser.get()
    for hour in range(15):
        await clock.advance(1799 if hour else 1200)
        assert (await browser.get()).body == b"%d" % (hour + 2)
    await clock.advance(1799 * 2)
    assert (await browser.get()).body == b"1"


async def test_the_cookie_lives_as_long_as_the_session_can(wrap: Any, clock: FakeClock) -> None:
    answer = await wrap(count).get()
    assert "Max-Age=28800" in answer.set_cookies[0] or "Max-Age=28799" in answer.set_cookies[0]


async def test_a_server_error_saves_nothing(wrap: Any, sessions: Sessions) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        session_of(scope)["views"] = 99
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    browser = Browser(wrap.app(failing))
    answer = await browser.get()
    assert answer.set_cookies == []
    assert (await sessions.stats()).active == 0


async def test_what_cannot_be_kept_fails_the_request_and_names_the_field(wrap: Any) -> None:
    async def handler(session: RequestSession) -> None:
        session["thing"] = object()

    with pytest.raises(SessionDataError, match="thing"):
        await wrap(handler).get()


async def test_a_first_look_after_the_response_began_is_refused(wrap: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        session_of(scope).get("x")

    with pytest.raises(RuntimeError, match="response began"):
        await Browser(wrap.app(app)).get()


async def test_changes_while_the_body_streams_are_saved_at_its_end(wrap: Any, sessions: Sessions) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = session_of(scope)
        assert session["views"] == 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        session["streamed"] = True
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})
        with pytest.raises(RuntimeError, match="cannot be changed"):
            session["too late"] = True

    browser = wrap(count)
    await browser.get()
    browser.app = wrap.app(app)
    await browser.get()
    found = await sessions.get(browser.cookies[COOKIE])
    assert found is not None
    assert found.fields == {"views": 1, "streamed": True}


async def test_a_session_cannot_begin_once_the_response_has(wrap: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = session_of(scope)
        assert not session
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with pytest.raises(RuntimeError, match="cannot be changed"):
            session["x"] = 1
        with pytest.raises(RuntimeError, match="new session id"):
            await session.sign_in("7")
        await send({"type": "http.response.body", "body": b""})

    assert (await Browser(wrap.app(app)).get()).status == 200


async def test_a_public_answer_that_looked_at_the_session_is_made_private(wrap: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        session_of(scope).get("x")
        headers = [(b"cache-control", b"public, max-age=60, s-maxage=600"), (b"vary", b"Accept")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    answer = await Browser(wrap.app(app)).get()
    assert answer.header("cache-control") == "private, max-age=60"
    assert answer.header("vary") == "Accept, Cookie"


class Away(MemoryStore):
    """A store that cannot be reached."""

    def read_now(self, digest: bytes) -> Any:
        raise StoreUnavailableError("away")

    async def patch(self, digest: bytes, patch: Any) -> Any:
        raise StoreUnavailableError("away")


def assert_unavailable(answer: Answer) -> None:
    assert answer.status == 503
    assert int(answer.header("retry-after") or 0) > 0
    assert answer.set_cookies == []
    assert answer.json()["status"] == 503


@pytest.mark.parametrize("preload", [False, True])
async def test_a_store_that_is_away_is_told_and_never_taken_for_signed_out(
    wrap: Any, sessions: Sessions, preload: bool
) -> None:
    wrap.preload = preload
    browser = wrap(look)
    browser.cookies = {COOKIE: "C" * 43}
    sessions.records.store = wrap.desk._immediate = Away(sessions.records.now)
    assert_unavailable(await browser.get())
    assert browser.cookies == {COOKIE: "C" * 43}, "the browser keeps its id"
    other = wrap(ignore)
    other.cookies = browser.cookies
    assert (await other.get()).status == 200, "who does not need a session is served"


async def test_an_error_page_about_an_absent_store_becomes_a_503(wrap: Any, sessions: Sessions) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            session_of(scope).get("x")
        except StoreUnavailableError:
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b"Internal Server Error"})

    sessions.records.store = wrap.desk._immediate = Away(sessions.records.now)
    browser = Browser(wrap.app(app))
    browser.cookies = {COOKIE: "C" * 43}
    assert_unavailable(await browser.get())


@pytest.mark.parametrize("verb", ["save", "sign_out", "rotate", "is_alive", "sign_in"])
async def test_whatever_a_handler_wanted_of_an_absent_store_becomes_a_503(
    wrap: Any, sessions: Sessions, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    browser = wrap(count)
    await browser.get()

    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailableError("away")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = await session_of(scope).load()
        session["n"] = 7
        await getattr(session, verb)(*(["ada"] if verb == "sign_in" else []))

    other = Browser(wrap.app(app))
    other.cookies = browser.cookies
    for name in ("patch", "delete", "create", "rotate", "read", "replace"):
        if hasattr(sessions.records.store, name):
            monkeypatch.setattr(sessions.records.store, name, away)
    monkeypatch.setattr(sessions.records, "goes_on", away)
    assert_unavailable(await other.get())


async def test_another_store_that_a_handler_found_away_is_not_taken_for_that_of_the_sessions(
    wrap: Any,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await session_of(scope).load()
        raise StoreUnavailableError("a cache of a plugin")

    with pytest.raises(StoreUnavailableError, match="a cache of a plugin"):
        await Browser(wrap.app(app)).get()


async def test_a_save_that_fails_is_a_503_and_not_a_success(wrap: Any, sessions: Sessions) -> None:
    browser = wrap(count)
    await browser.get()

    async def patch(digest: bytes, change: Any) -> Any:
        raise StoreUnavailableError("away")

    sessions.records.store.patch = patch  # type: ignore[method-assign]
    answer = await browser.get()
    assert_unavailable(answer)
    assert b"2" not in answer.body[:2]


async def test_cve_2025_7339_strange_orders_of_messages_do_no_harm(wrap: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        session_of(scope)["x"] = 1
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.start", "status": 200, "headers": ()})
        await send({"type": "http.response.body"})
        await send({"type": "http.response.body", "body": b"again"})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    browser = Browser(None)
    await wrap.app(app)(browser.scope("GET", "/"), None, send)
    assert [one["type"] for one in sent] == ["http.response.start"] * 2 + ["http.response.body"] * 2
    assert any(name == b"set-cookie" for name, _ in sent[0]["headers"])
    assert not any(name == b"set-cookie" for name, _ in sent[1]["headers"])


async def test_lifespan_passes_through(wrap: Any) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    await wrap.app(app)({"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]


def test_a_scope_without_a_session_says_what_to_do() -> None:
    with pytest.raises(LookupError, match="sessions plugin"):
        session_of({"type": "http"})


async def test_fields_stay_in_the_order_they_were_set(wrap: Any) -> None:
    names = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh"]

    async def handler(session: RequestSession) -> str:
        if not session:
            session.update(dict.fromkeys(names, 1))
            return ""
        session |= {"eighth": 2, "first": 3}
        return ",".join(session)

    browser = wrap(handler)
    await browser.get("/")
    for _ in range(2):
        assert (await browser.get("/")).body.decode() == ",".join([*names, "eighth"])


@pytest.mark.parametrize("names", [("a", "b"), ("zebra", "ant", "mole")])
async def test_popping_an_item_takes_the_field_that_was_set_last(wrap: Any, names: tuple[str, ...]) -> None:
    async def fill(session: RequestSession) -> None:
        session.update(dict.fromkeys(names, 1))

    async def pop(session: RequestSession) -> object:
        return session.popitem()[0], list(session)

    async def empty(session: RequestSession) -> None:
        session.clear()
        with pytest.raises(KeyError, match="no fields"):
            session.popitem()

    browser = wrap(fill)
    await browser.get()
    popping = wrap(pop)
    popping.cookies = browser.cookies
    for number in (1, 2):
        wanted = (names[-number], list(names[:-number]))
        assert (await popping.get()).body.decode() == repr(wanted)
    emptied = wrap(empty)
    emptied.cookies = browser.cookies
    assert (await emptied.get()).status == 200
