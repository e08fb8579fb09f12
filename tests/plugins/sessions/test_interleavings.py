"""Two and three requests at once, paused at every call of the store, in every order there is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any

import pytest

from asgi_browser import Browser
from plughost.contracts.session import RequestSession, session_of
from plughost.contracts.session_store import SessionPatch, VersionConflict
from plughost.plugins.sessions.clocks import Lifetimes
from plughost.plugins.sessions.cookies import CookiePolicy, SessionCookie
from plughost.plugins.sessions.crypto import KeyRing, PlainEnvelope
from plughost.plugins.sessions.desk import Desk
from plughost.plugins.sessions.manager import Sessions
from plughost.plugins.sessions.middleware import SessionMiddleware
from plughost.plugins.sessions.records import SessionRecords, SessionRules
from plughost.plugins.sessions.rows import RowCodec
from plughost.plugins.sessions.sockets import SocketWatch
from plughost.plugins.sessions.stores.memory import MemoryStore

COOKIE = "__Host-acme"
SECRET = "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"

Handler = Callable[["World", RequestSession], Awaitable[object]]


class _Pause:
    """Hands control back to whoever drives the coroutine."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Paused:
    """A store over the network: before each call something else may happen, and after it where that is affordable.

    Two requests with both pauses have some hundred orders; three have three quarters of a million, so they are
    paused before each call only, which leaves 1,680 and every order of the calls themselves.
    """

    name = "memory"

    def __init__(self, store: MemoryStore, *, after: bool) -> None:
        self._store = store
        self._after = after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        if name == "read_now":
            raise AttributeError(name)

        async def paused(*args: Any, **options: Any) -> Any:
            await _Pause()
            result = await call(*args, **options)
            if self._after:
                await _Pause()
            return result

        return paused


class World:
    """One host, one signed-in browser with a cart and a view counter, and its requests."""

    def __init__(self, *, after: bool = True) -> None:
        def now() -> float:
            return 1_700_000_000.0

        store = MemoryStore(now)
        policy = SessionRules(lifetimes=Lifetimes(idle=1800, absolute=28800, touch=60))
        codec = RowCodec(PlainEnvelope())
        self.plain = Sessions(SessionRecords(store, codec, policy, now))
        paused: Any = Paused(store, after=after)
        self.sessions = Sessions(SessionRecords(paused, codec, policy, now))
        self.desk = Desk(self.sessions.records, SessionCookie(CookiePolicy(name="acme")), KeyRing([SECRET]))
        made = finish(self.plain.create("7", username="ada", fields={"cart": ["book"], "views": 1}))
        self.session_id: str = made.session_id
        self.set_cookies: list[str] = []

    async def request(self, handler: Handler) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            session = await session_of(scope).load()
            await handler(self, session)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async def send(message: Any) -> None:
            found = [value.decode() for name, value in message.get("headers", []) if name == b"set-cookie"]
            self.set_cookies.extend(found)

        browser = Browser(None)
        browser.cookies = {COOKIE: self.session_id}
        watch = SocketWatch(self.sessions.records)
        middleware = SessionMiddleware(app, desk=self.desk, csrf=None, watch=watch, preload=False)
        await middleware(browser.scope("GET", "/"), None, send)  # type: ignore[arg-type]

    def handed_out(self) -> list[str]:
        """The ids that browsers were given."""
        return [one.split(";")[0].partition("=")[2] for one in self.set_cookies if "Max-Age=0" not in one]

    def alive(self) -> int:
        return int(finish(self.plain.stats()).active)

    def fields(self, session_id: str | None = None) -> dict[str, Any] | None:
        found = finish(self.plain.get(session_id or self.session_id))
        return dict(found.fields) if found is not None else None


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never pauses."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it paused")


def every_order(*handlers: Handler) -> Iterator[World]:
    """Yield the world after each order in which the requests' steps can follow one another."""
    schedules: list[list[int]] = [[]]
    while schedules:
        prefix = schedules.pop()
        world = World(after=len(handlers) < 3)
        running = {number: world.request(handler) for number, handler in enumerate(handlers)}
        taken: list[int] = []
        while running:
            ready = sorted(running)
            if len(taken) < len(prefix):
                chosen = prefix[len(taken)]
            else:
                chosen = ready[0]
                schedules += [[*taken, other] for other in ready[1:]]
            taken.append(chosen)
            try:
                running[chosen].send(None)
            except StopIteration:
                del running[chosen]
        yield world


async def look(world: World, session: RequestSession) -> None:
    session.get("cart")


async def add_a(world: World, session: RequestSession) -> None:
    session["a"] = 1


async def add_b(world: World, session: RequestSession) -> None:
    session["b"] = 2


async def fill_cart(world: World, session: RequestSession) -> None:
    session.setdefault("cart", []).append("pen")


async def sign_out(world: World, session: RequestSession) -> None:
    await session.sign_out()


async def clear(world: World, session: RequestSession) -> None:
    session.clear()


async def end_all(world: World, session: RequestSession) -> None:
    await world.sessions.destroy_user("7")


async def sign_in_again(world: World, session: RequestSession) -> None:
    await session.sign_in("7", username="ada")


async def rotate(world: World, session: RequestSession) -> None:
    await session.rotate()


async def sign_in_as_eve(world: World, session: RequestSession) -> None:
    await session.sign_in("8", username="eve")


def check(*handlers: Handler) -> Iterator[World]:
    orders = 0
    for world in every_order(*handlers):
        orders += 1
        yield world
    assert orders > 2 ** len(handlers), f"only {orders} orders were tried"


def assert_only_strangers_live(world: World) -> None:
    """Who comes with a dead cookie and puts something in begins anew, as nobody, with nothing of what was."""
    for session_id in world.handed_out():
        found = finish(world.plain.get(session_id))
        if found is not None:
            assert found.user_id is None
            assert found.fields in ({"a": 1}, {"cart": ["pen"]})


@pytest.mark.parametrize("end", [sign_out, clear, end_all])
@pytest.mark.parametrize("other", [look, add_a, rotate])
def test_a_session_that_ended_has_ended_whatever_was_under_way(end: Handler, other: Handler) -> None:
    for world in check(end, other):
        assert world.fields() is None
        assert_only_strangers_live(world)


@pytest.mark.parametrize("end", [sign_out, end_all])
def test_nothing_of_a_session_is_left_when_two_others_wrote_to_it_meanwhile(end: Handler) -> None:
    for world in check(end, add_a, fill_cart):
        assert world.fields() is None
        assert_only_strangers_live(world)


def test_changes_of_different_keys_all_survive() -> None:
    for world in check(add_a, add_b):
        assert world.fields() == {"cart": ["book"], "views": 1, "a": 1, "b": 2}
    for world in check(add_a, add_b, fill_cart):
        assert world.fields() == {"cart": ["book", "pen"], "views": 1, "a": 1, "b": 2}


def test_a_look_writes_nothing_and_tells_the_browser_nothing() -> None:
    for world in check(look, look, look):
        assert world.set_cookies == []
        assert finish(world.sessions.records.store._store.read(_digest(world))).version == 1  # type: ignore[attr-defined]


def _digest(world: World) -> bytes:
    row = finish(world.plain.records.read(world.session_id))
    return bytes(row.digest)


def test_a_rotation_loses_no_change_and_no_tab() -> None:
    for world in check(rotate, add_a):
        (fresh,) = world.handed_out()
        assert world.fields(fresh) == {"cart": ["book"], "views": 1, "a": 1}
        assert world.fields(world.session_id) == world.fields(fresh), "the old id still reads for a moment"
        assert world.alive() == 1


def test_two_rotations_leave_one_session() -> None:
    for world in check(rotate, rotate):
        assert world.alive() == 1
        assert len(world.handed_out()) >= 1
        assert any(world.fields(fresh) is not None for fresh in world.handed_out())


def test_signing_in_again_leaves_the_old_id_dead() -> None:
    for world in check(sign_in_again, add_a):
        assert world.fields() is None
        (fresh,) = world.handed_out()[:1]
        assert world.fields(fresh) is not None


def test_a_sign_in_under_way_does_not_survive_the_end_of_all_as_something_unlisted() -> None:
    for world in check(sign_in_again, end_all):
        listed = finish(world.plain.list_user("7"))
        assert world.alive() == len(listed), "every session that lives can be listed, and so ended"
        finish(world.plain.destroy_user("7"))
        assert world.alive() == 0


def test_nobody_sees_the_fields_of_who_was_signed_in_before() -> None:
    for world in check(sign_in_as_eve, fill_cart):
        assert world.fields() is None
        for session_id in world.handed_out():
            found = finish(world.plain.get(session_id))
            assert found is None or found.user_id != "8" or found.fields == {}


def test_a_transformation_counts_every_request() -> None:
    async def count(world: World, session: RequestSession) -> None:
        records = world.sessions.records
        for _ in range(50):
            row = await records.read(world.session_id)
            assert row is not None
            closed = records.codec.close_fields(row, {"views": records.codec.open_field(row, "views") + 1})
            try:
                await records.store.patch(row.digest, SessionPatch(set=closed, version=row.version))
                return
            except VersionConflict:
                continue

    for world in check(count, count):
        assert world.fields() == {"cart": ["book"], "views": 3}
