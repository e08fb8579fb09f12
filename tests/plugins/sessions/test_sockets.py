"""WebSockets: their session, and their end."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from asgi_browser import Browser
from plughost.contracts.session import RequestSession, session_of
from plughost.plugins.sessions.manager import Sessions
from plughost.plugins.sessions.sockets import SocketWatch
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio

COOKIE = "__Host-acme_session"


class Line:
    """A client's end of one socket."""

    def __init__(self, app: Any, session_id: str | None = None, **headers: str) -> None:
        self.app = app
        browser = Browser(app)
        if session_id is not None:
            browser.cookies = {COOKIE: session_id}
        self.scope = browser.scope("GET", "/ws", {k.replace("_", "-"): v for k, v in headers.items()})
        self.scope |= {"type": "websocket", "scheme": "wss"}
        del self.scope["method"]
        self.heard: list[Any] = []
        self.to_app, self._incoming = anyio.create_memory_object_stream[Any](10)
        self.news = anyio.Event()

    async def run(self) -> None:
        with self.to_app, self._incoming:
            await self.app(self.scope, self._incoming.receive, self._send)

    async def _send(self, message: Any) -> None:
        self.heard.append(message)
        self.news.set()

    async def next(self) -> Any:
        await self.news.wait()
        self.news = anyio.Event()
        return self.heard[-1]


async def chat(scope: Any, receive: Any, send: Any) -> None:
    """Accepts who is signed in, then waits for ever."""
    session = session_of(scope)
    assert session.user_id is not None
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


@pytest.mark.parametrize("how", ["destroy", "destroy_user", "end_handle", "rotate_reuse"])
async def test_a_socket_closes_when_its_session_ends(
    wrap: Any, sessions: Sessions, clock: FakeClock, how: str
) -> None:
    made = await sessions.create("7")
    line = Line(wrap.app(chat), made.session_id)
    async with anyio.create_task_group() as group:
        group.start_soon(line.run)
        await line.to_app.send({"type": "websocket.connect"})
        assert (await line.next())["type"] == "websocket.accept"
        if how == "destroy":
            await sessions.destroy(made.session_id)
        elif how == "destroy_user":
            await sessions.destroy_user("7")
        elif how == "end_handle":
            await sessions.end_handle("7", made.handle)
        else:
            await sessions.rotate(made.session_id)
            await clock.advance(11)
            await sessions.get(made.session_id)
        assert await line.next() == {
            "type": "websocket.close", "code": 4001, "reason": "session ended",
        }  # fmt: skip
    assert len(wrap.watch) == 0


async def test_other_sockets_stay_open(wrap: Any, sessions: Sessions) -> None:
    spared, ended, stranger = [await sessions.create(user) for user in ("7", "7", "8")]
    lines = [Line(wrap.app(chat), made.session_id) for made in (spared, ended, stranger)]
    async with anyio.create_task_group() as group:
        for line in lines:
            group.start_soon(line.run)
            await line.to_app.send({"type": "websocket.connect"})
            await line.next()
        await sessions.destroy_user("7", keep=spared.session_id)
        await lines[1].next()
        assert [len(line.heard) for line in lines] == [1, 2, 1]
        for line in (lines[0], lines[2]):
            await line.to_app.send({"type": "websocket.disconnect", "code": 1000})


async def test_a_socket_whose_session_expired_is_found_by_looking_around(
    wrap: Any, sessions: Sessions, clock: FakeClock
) -> None:
    made = await sessions.create("7", ttl=60)
    line = Line(wrap.app(chat), made.session_id)
    watch: SocketWatch = wrap.watch
    async with anyio.create_task_group() as group:
        group.start_soon(line.run)
        await line.to_app.send({"type": "websocket.connect"})
        await line.next()
        await watch.look_around()
        assert len(line.heard) == 1
        await clock.advance(61)
        await watch.look_around()
        assert (await line.next())["code"] == 4001


async def test_a_socket_that_only_pushes_hears_nothing_more(wrap: Any, sessions: Sessions) -> None:
    made = await sessions.create("7")
    pushed = anyio.Event()

    async def pusher(scope: Any, receive: Any, send: Any) -> None:
        session_of(scope).get("x")
        await send({"type": "websocket.accept"})
        try:
            await anyio.sleep_forever()
        finally:
            with pytest.raises(OSError, match="closed"):
                await send({"type": "websocket.send", "text": "secret"})
            pushed.set()

    line = Line(wrap.app(pusher), made.session_id)
    async with anyio.create_task_group() as group:
        group.start_soon(line.run)
        await line.next()
        await sessions.destroy(made.session_id)
        await pushed.wait()
    assert [message["type"] for message in line.heard] == ["websocket.accept", "websocket.close"]


async def test_a_session_can_begin_with_the_accept_and_changes_are_saved_at_the_end(
    wrap: Any, sessions: Sessions
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = session_of(scope)
        session["room"] = "a"
        await send({"type": "websocket.accept"})
        session["room"] = "b"
        await session.save()
        session["last"] = True
        with pytest.raises(RuntimeError, match="accepted"):
            await session.rotate()
        await send({"type": "websocket.close", "code": 1000})

    line = Line(wrap.app(app))
    await line.run()
    (cookie,) = [value for name, value in line.heard[0]["headers"] if name == b"set-cookie"]
    found = await sessions.get(cookie.split(b";")[0].split(b"=")[1].decode())
    assert found is not None
    assert found.fields == {"room": "b", "last": True}


async def test_a_session_cannot_begin_after_the_accept(wrap: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        with pytest.raises(RuntimeError, match="accept"):
            session_of(scope)["x"] = 1

    await Line(wrap.app(app)).run()


async def test_signing_in_before_the_accept_does_not_close_the_socket(wrap: Any, sessions: Sessions) -> None:
    visitor = await sessions.create(None, fields={"cart": 1})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session: RequestSession = session_of(scope)
        assert session["cart"] == 1
        await session.sign_in("7")
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": session.user_id})

    line = Line(wrap.app(app), visitor.session_id)
    await line.run()
    assert [message["type"] for message in line.heard] == ["websocket.accept", "websocket.send"]


async def test_a_handshake_from_another_site_is_refused(wrap: Any) -> None:
    line = Line(wrap.app(chat), None, origin="https://evil.test")
    await line.run()
    assert line.heard == [{"type": "websocket.close", "code": 1008, "reason": "cross-site"}]


async def test_a_failing_socket_handler_fails_as_it_would_without_us(wrap: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await Line(wrap.app(app)).run()
