"""The two ASGI middlewares, without a server."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from plughost.contracts import Limit
from plughost.http.middleware import RateLimitMiddleware, ResponseCacheMiddleware
from plughost.plugins.cache.limiter import Limiter
from plughost.plugins.cache.manager import NamedCaches

pytestmark = pytest.mark.anyio


class App:
    """Answers, counts, and can be held up."""

    def __init__(self, *headers: tuple[bytes, bytes], status: int = 200) -> None:
        self.headers = list(headers)
        self.status = status
        self.count = 0
        self.body = b"hello"
        self.parts = 1
        self.go_on: anyio.Event | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.count += 1
        body = self.body
        if self.go_on is not None:
            await self.go_on.wait()
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        for _ in range(self.parts - 1):
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": body})


async def ask(
    app: Any, method: str = "GET", path: str = "/", **more: str
) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in more.items()]
    scope = {
        "type": "http", "method": method, "path": path, "query_string": b"", "headers": headers,
        "client": ("10.0.0.1", 5), "scheme": "http",
    }  # fmt: skip
    await app(scope, None, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body


def limited(app: Any, **options: Any) -> RateLimitMiddleware:
    limiter = Limiter(named={"api": Limit(limit=2, window=60, name="api")})
    return RateLimitMiddleware(app, limiter=limiter, **options)


async def test_too_many_requests_are_refused_with_a_time_to_come_back() -> None:
    app = App()
    inside = limited(app)
    statuses = [await ask(inside) for _ in range(3)]
    assert [status for status, _, _ in statuses] == [200, 200, 429]
    assert statuses[0][1][b"ratelimit-remaining"] == b"1"
    refused = statuses[2]
    assert 1 <= int(refused[1][b"retry-after"]) <= 60
    assert refused[1][b"content-type"] == b"application/problem+json"
    assert b"429" in refused[2]
    assert app.count == 2


async def test_whom_to_count_can_be_said() -> None:
    async def subject(scope: Any) -> str | None:
        return scope["path"] if scope["path"] != "/free" else None

    inside = limited(App(), key=subject, only=lambda scope: scope["path"] != "/static")
    for path, expected in (
        ("/a", [200, 200, 429]),
        ("/b", [200]),
        ("/free", [200] * 4),
        ("/static", [200] * 4),
    ):
        assert [(await ask(inside, path=path))[0] for _ in expected] == expected


async def test_other_protocols_pass() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    for middleware in (limited(app), ResponseCacheMiddleware(app, cache=NamedCaches().default)):
        await middleware({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
        await middleware({"type": "websocket", "headers": []}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan", "websocket"] * 2


@pytest.fixture
def cache(caches: NamedCaches) -> Any:
    return caches.get("pages")


async def test_an_answer_is_given_again(cache: Any) -> None:
    app = App((b"Content-Type", b"text/plain"))
    inside = ResponseCacheMiddleware(app, cache=cache, ttl=60)
    first, second = await ask(inside), await ask(inside)
    assert app.count == 1
    assert first[2] == second[2] == b"hello"
    assert first[1][b"cache-control"] == b"public, max-age=60"
    assert second[1][b"content-type"] == b"text/plain"
    assert second[1][b"age"] == b"0"
    status, headers, body = await ask(inside, if_none_match=first[1][b"etag"].decode())
    assert (status, body) == (304, b"")
    assert headers[b"etag"] == first[1][b"etag"]
    assert app.count == 1


async def test_different_requests_have_different_answers(cache: Any) -> None:
    app = App()
    inside = ResponseCacheMiddleware(app, cache=cache)
    await ask(inside, path="/a")
    await ask(inside, path="/b")
    await ask(inside, path="/a", accept="text/html")
    await ask(inside, path="/a", host="other")
    assert app.count == 4
    await ask(inside, method="POST")
    await ask(inside, method="POST")
    assert app.count == 6


@pytest.mark.parametrize(
    "header",
    [
        (b"set-cookie", b"a=b"),
        (b"cache-control", b"no-store"),
        (b"cache-control", b"private"),
        (b"vary", b"*"),
    ],
)
async def test_what_is_for_one_alone_is_not_kept(cache: Any, header: tuple[bytes, bytes]) -> None:
    app = App(header)
    inside = ResponseCacheMiddleware(app, cache=cache)
    for _ in range(3):
        assert (await ask(inside))[2] == b"hello"
    assert app.count == 3


async def test_failures_are_not_kept(cache: Any) -> None:
    app = App(status=500)
    inside = ResponseCacheMiddleware(app, cache=cache)
    await ask(inside)
    await ask(inside)
    assert app.count == 2


async def test_requests_of_somebody_pass_unless_it_is_said_whose_they_are(cache: Any) -> None:
    app = App()
    inside = ResponseCacheMiddleware(app, cache=cache)
    for _ in range(2):
        await ask(inside, cookie="session=1")
        await ask(inside, authorization="Bearer x")
    assert app.count == 4
    own = ResponseCacheMiddleware(
        app, cache=cache, subject=lambda scope: dict(scope["headers"]).get(b"cookie", b"").decode() or None
    )
    one, two = await ask(own, cookie="a"), await ask(own, cookie="b")
    await ask(own, cookie="a")
    assert app.count == 6
    assert one[1][b"cache-control"] == two[1][b"cache-control"] == b"private, max-age=60"


async def test_who_asks_for_a_new_answer_gets_one(cache: Any) -> None:
    app = App()
    inside = ResponseCacheMiddleware(app, cache=cache)
    await ask(inside)
    await ask(inside, cache_control="no-cache")
    assert app.count == 2


async def test_requests_at_once_are_one_request_to_the_application(cache: Any) -> None:
    app = App()
    app.go_on = anyio.Event()
    inside = ResponseCacheMiddleware(app, cache=cache)
    bodies: list[bytes] = []

    async def one() -> None:
        bodies.append((await ask(inside))[2])

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        app.go_on.set()
    assert bodies == [b"hello"] * 5
    assert app.count == 1


async def test_an_invalidation_while_the_application_answers_wins(cache: Any) -> None:
    app = App()
    app.go_on = anyio.Event()
    inside = ResponseCacheMiddleware(app, cache=cache, tags=lambda scope: ["pages"])
    async with anyio.create_task_group() as group:
        group.start_soon(ask, inside)
        await anyio.wait_all_tasks_blocked()
        app.body = b"new"
        await cache.invalidate_tag("pages")
        app.go_on.set()
    assert (await ask(inside))[2] == b"new"


async def test_a_long_answer_is_passed_on_and_not_kept(cache: Any) -> None:
    app = App()
    app.body, app.parts = b"x" * 400_000, 4
    inside = ResponseCacheMiddleware(app, cache=cache)
    for _ in range(2):
        assert len((await ask(inside))[2]) == 1_600_000
    assert app.count == 2
