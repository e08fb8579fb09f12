"""Each place where a plugin's code runs, with each kind of exception: the host, its neighbours and callers go on.

A new place enters ``Point``, and then this file asks for its cell.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket

import plughost
from plughost import Host, Plugin, hookimpl
from plughost.checks.findings import Check
from plughost.cli import plugin_commands
from plughost.contracts import AuthAttempt, Middleware, PluginState, Principal
from plughost.contracts.error_text import error_lines
from plughost.core.containment import Point
from plughost.core.finding.installed import entry_points
from plughost.exceptions import PluginError, RouteError
from plughost.http import PUBLIC, Route, WebSocketRoute, create_app
from strange_errors import INTERRUPTS, KINDS, Odd, raising

pytestmark = [pytest.mark.anyio, pytest.mark.matrix(one_in=4)]

Raise = Callable[..., Any]
Cell = Callable[["Ground", Raise], Awaitable[str]]

CELLS: dict[tuple[Point, str], Cell] = {}

_numbers = count()


def cell(point: Point, *ways: str) -> Callable[[Callable[..., Awaitable[str]]], None]:
    """Note how to have a plugin raise at a point, and where its failure is told; ``ways`` are given to it by name."""

    def note(function: Callable[..., Awaitable[str]]) -> None:
        for way in ways or ("",):

            async def run(ground: Ground, raises: Raise, way: str = way) -> str:
                return await (function(ground, raises, way) if way else function(ground, raises))

            CELLS[point, way] = run

    return note


class Ground:
    """A running host with a good neighbour, and the means to bring in a strange plugin."""

    def __init__(self, host: Host, folder: Path, log: pytest.LogCaptureFixture) -> None:
        self.host = host
        self.folder = folder
        self.log = log

    async def refused(self, plugin: object) -> str:
        with pytest.raises(PluginError) as caught:
            await self.host.load_plugin(plugin, name="strange")
        assert self.host.plugin("strange") is None or not self.host.plugins["strange"].running
        return str(caught.value)

    async def told(self, told: Callable[[], str | None]) -> str:
        """Wait until a failure is told."""
        with anyio.fail_after(20):
            while not (said := told()):  # noqa: ASYNC110  nothing tells when
                await anyio.sleep(0.001)
        return said

    def logged(self) -> str:
        return "\n".join(record.getMessage() for record in self.log.records)

    async def found(self, source: str, raises: Raise) -> str:
        """Start another host that finds a plugin of this source; return what its report says of it."""
        name = f"strange_{next(_numbers)}"
        (self.folder / f"{name}.py").write_text(
            f"import sys\nraises = sys.modules['_raising'].raises\n{source}"
        )
        raising = ModuleType("_raising")
        raising.raises = raises  # type: ignore[attr-defined]
        sys.modules["_raising"] = raising
        sys.path.insert(0, str(self.folder))
        config = {"host": {"allow": ["strange"]}, "plugins": {"strange": {"module": f"{name}:P"}}}
        try:
            async with Host("other", config=config, environ={}) as host:
                assert host.plugins["strange"].state is PluginState.FAILED
                return str(host.plugins["strange"].error.message)
        finally:
            sys.path.remove(str(self.folder))
            del sys.modules["_raising"]


class Strange(Plugin):
    name = "strange"


def strange(**members: Any) -> type[Plugin]:
    return type("StrangePlugin", (Strange,), members)


def either(way: str, raises: Raise) -> Callable[..., Any]:
    """Return a function that raises: plain, at once when awaited, or after it has waited."""

    def plain(*_: Any) -> Any:
        raises()

    async def at_once(*_: Any) -> Any:
        raises()

    async def later(*_: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        raises()

    return {"plain": plain, "async": at_once, "waiting": later}[way]


EITHER = ("plain", "async", "waiting")


@cell(Point.IMPORT)
async def _(ground: Ground, raises: Raise) -> str:
    return await ground.found("raises()", raises)


@cell(Point.ATTRIBUTE)
async def _(ground: Ground, raises: Raise) -> str:
    return await ground.found("def __getattr__(name):\n    raises()", raises)


@cell(Point.MAKE, "class", "factory")
async def _(ground: Ground, raises: Raise, way: str) -> str:
    return await ground.refused(
        strange(__init__=lambda self: raises()) if way == "class" else lambda: raises()
    )


@cell(Point.MAKE, "found")
async def _(ground: Ground, raises: Raise, way: str) -> str:
    return await ground.found("class P:\n    def __init__(self):\n        raises()", raises)


@cell(Point.SHAPE, "version", "requires", "host_api", "Config", "start")
async def _(ground: Ground, raises: Raise, way: str) -> str:
    return await ground.refused(strange(**{way: property(lambda self: raises())}))


@cell(Point.CONFIG)
async def _(ground: Ground, raises: Raise) -> str:
    class Config(msgspec.Struct):
        def __post_init__(self) -> None:
            raises()

    return await ground.refused(strange(Config=Config))


@cell(Point.CHECK_CONFIG, *EITHER)
async def _(ground: Ground, raises: Raise, way: str) -> str:
    return await ground.refused(strange(check_config=either(way, raises)))


@cell(Point.START, *EITHER)
async def _(ground: Ground, raises: Raise, way: str) -> str:
    return await ground.refused(strange(start=either(way, raises)))


@cell(Point.STOP, *EITHER)
async def _(ground: Ground, raises: Raise, way: str) -> str:
    await ground.host.load_plugin(strange(stop=either(way, raises)))
    assert await ground.host.unload_plugin("strange")
    return ground.host.plugins["strange"].reason.removeprefix("unloaded")


def starting(start: Callable[[Any], object]) -> type[Plugin]:
    async def begin(self: Plugin, context: Any) -> None:
        start(context)

    return strange(start=begin)


@cell(Point.ON_STOP, *EITHER)
async def _(ground: Ground, raises: Raise, way: str) -> str:
    await ground.host.load_plugin(starting(lambda context: context.on_stop(either(way, raises))))
    assert await ground.host.unload_plugin("strange")
    return ground.logged()


@cell(Point.BACKGROUND, *EITHER)
async def _(ground: Ground, raises: Raise, way: str) -> str:
    await ground.host.load_plugin(starting(lambda context: context.spawn(either(way, raises))))
    return await ground.told(lambda: ground.host.plugins["strange"].reason)


@cell(Point.JOB, *EITHER)
async def _(ground: Ground, raises: Raise, way: str) -> str:
    await ground.host.load_plugin(
        starting(lambda context: context.every(9000, either(way, raises), name="odd"))
    )
    return (await ground.host.jobs.run_now("odd")).last_error


@cell(Point.EVENT, *EITHER)
async def _(ground: Ground, raises: Raise, way: str) -> str:
    await ground.host.load_plugin(
        starting(lambda context: context.events.subscribe("rain", either(way, raises)))
    )
    await ground.host.events.publish("rain", 3)
    return ground.logged()


@cell(Point.STATUS, "method", "property", "odd mapping")
async def _(ground: Ground, raises: Raise, way: str) -> str:
    status: Any = lambda self: raises()  # noqa: E731  one of three shapes of it
    if way == "property":
        calm = iter([True] * 4)  # while it is loaded
        status = property(lambda self: (dict) if next(calm, False) else raises())
    elif way == "odd mapping":
        odd = type("Odd", (dict,), {"__iter__": lambda self: raises(), "keys": lambda self: raises()})
        status = lambda self: odd(a=1)  # noqa: E731
    await ground.host.load_plugin(strange(status=status))
    return await ground.told(lambda: str(ground.host.plugins["strange"].status.get("error", "")))


@cell(Point.REGISTER)
async def _(ground: Ground, raises: Raise) -> str:
    kind = type("Asking", (type,), {"__instancecheck__": lambda cls, value: raises()})("Lamp", (), {})
    return await ground.refused(starting(lambda context: context.provide(kind, object())))


@cell(Point.REGISTER_JOBS)
async def _(ground: Ground, raises: Raise) -> str:
    return await ground.refused(strange(register_jobs=hookimpl(lambda self: raises())))


@cell(Point.REGISTER_COMMANDS)
async def _(ground: Ground, raises: Raise) -> str:
    with pytest.raises(PluginError) as caught:
        list(plugin_commands._given("strange", raises))
    return str(caught.value)


async def called(ground: Ground) -> str:
    """Call the hook of a good neighbour and the strange plugin, as often as it takes to go the short way too."""
    for number in range(130):
        report = ground.host.hooks.after_auth.report if number in (0, 129) else ground.host.hooks.after_auth
        answer = await report(attempt=AuthAttempt(username="ada"), principal=Principal("1", "ada"))
    assert {outcome.plugin: outcome.kind for outcome in answer.outcomes} == {
        "good": "value",
        "strange": "error",
    }
    return ground.logged()


@cell(Point.HOOK, *EITHER, "blocking")
async def _(ground: Ground, raises: Raise, way: str) -> str:
    if way == "blocking":
        function = hookimpl(blocking=True)(lambda self, attempt: raises())
    else:
        raising = either(way, raises)

        async def waiting(self: Plugin, attempt: AuthAttempt) -> None:
            await raising()

        function = hookimpl(waiting if way != "plain" else lambda self, attempt: raises())
    await ground.host.load_plugin(strange(after_auth=function))
    return await called(ground)


@cell(Point.WRAPPER, "before", "after")
async def _(ground: Ground, raises: Raise, way: str) -> str:
    def wrapper(self: Plugin, attempt: AuthAttempt) -> Any:
        if way == "before":
            raises()
        result = yield
        raises()
        return result

    await ground.host.load_plugin(strange(after_auth=hookimpl(wrapper=True)(wrapper)))
    for _ in range(130):
        await ground.host.hooks.after_auth(
            attempt=AuthAttempt(username="ada"), principal=Principal("1", "ada")
        )
    return ground.logged()


async def fetched(ground: Ground, path: str) -> int:
    app = create_app(ground.host)
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://testserver")
    async with client:
        return (await client.get(path)).status_code


@cell(Point.MIDDLEWARE)
async def _(ground: Ground, raises: Raise) -> str:
    middleware = Middleware(factory=lambda app: raises())
    await ground.host.load_plugin(strange(register_middleware=hookimpl(lambda self: [middleware])))
    with pytest.raises(RouteError) as caught:  # an application without its middleware would be another one
        await fetched(ground, "/lamp")
    return str(caught.value)


@cell(Point.ROUTE, *EITHER)
async def _(ground: Ground, raises: Raise, way: str) -> str:
    def at(path: str, function: Any) -> Route:
        return Route(path, function, guard=PUBLIC)

    raising = either(way, raises)

    async def endpoint(request: Request) -> Any:
        await raising()

    async def fine(request: Request) -> PlainTextResponse:
        return PlainTextResponse("fine")

    def plain(request: Request) -> Any:
        raises()

    routes = [at("/odd", plain if way == "plain" else endpoint), at("/fine", fine)]
    await ground.host.load_plugin(strange(register_routes=hookimpl(lambda self: routes)))
    assert await fetched(ground, "/odd") == 500
    assert await fetched(ground, "/fine") == 200
    return ground.logged()


@cell(Point.ROUTE, "websocket")
async def _(ground: Ground, raises: Raise, way: str) -> str:
    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        raises()

    route = WebSocketRoute("/odd", endpoint, guard=PUBLIC)
    await ground.host.load_plugin(strange(register_routes=hookimpl(lambda self: [route])))
    heard = iter([{"type": "websocket.connect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(heard)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/odd",
        "raw_path": b"/odd",
        "query_string": b"",
        "scheme": "ws",
        "headers": [(b"host", b"testserver")],
        "subprotocols": [],
    }
    await create_app(ground.host)(scope, receive, send)
    assert [one["type"] for one in sent] == ["websocket.accept", "websocket.close"]
    assert sent[-1]["code"] == 1011
    return ground.logged()


@cell(Point.ANSWER, "routes", "middleware", "route", "metrics", "health")
async def _(ground: Ground, raises: Raise, way: str) -> str:
    """What a plugin answers raises whatever is done with it."""
    hook, odd = {
        "routes": ("register_routes", Odd(raises)),
        "route": ("register_routes", [Odd(raises)]),
        "middleware": ("register_middleware", Odd(raises)),
        "metrics": ("describe_metrics", [Odd(raises)]),
        "health": ("health_check", Odd(raises)),
    }[way]
    implementation = hookimpl(lambda self: odd)
    await ground.host.load_plugin(strange(**{hook: implementation}))
    if way in ("routes", "route", "middleware"):
        with pytest.raises(RouteError) as caught:
            await fetched(ground, "/lamp")
        return str(caught.value)
    if way == "health":
        checks = (await ground.host.health()).checks
        return next(check.detail for check in checks if check.name == "strange")
    assert await fetched(ground, "/metrics") == 200
    return ground.logged()


@cell(Point.CHECK)
async def _(ground: Ground, raises: Raise) -> str:
    result = Check("odd", "nothing", lambda subject: raises()).run(None)
    assert result.status == "fail"
    return result.problems[0].message


@cell(Point.FINDER, "attribute", "call", "iteration", "distribution", "text")
async def _(ground: Ground, raises: Raise, way: str) -> str:
    class Finder:
        def find_spec(self, *_: object) -> None:
            return None

    told: list[str] = []
    odd: dict[str, Any] = {
        "attribute": property(raises),
        "call": raises,
        "iteration": lambda *_: Odd(raises),
        "distribution": lambda *_: [Odd(raises)],
        "text": lambda *_: [type("Distribution", (), {"metadata": {"Name": "a", "Version": Odd(raises)}})()],
    }
    Finder.find_distributions = odd[way]  # type: ignore[attr-defined]
    finder: Any = Finder()
    sys.meta_path.append(finder)
    try:
        entry_points(["plughost.plugins"], tell=told.append)
    finally:
        sys.meta_path.remove(finder)
    return "".join(told)


@cell(Point.THREAD)
async def _(ground: Ground, raises: Raise) -> str:
    try:
        await ground.host.load_plugin(strange(start=lambda self, context: raises()))
    except PluginError as error:
        return str(error)
    return ""


class Good(Plugin):
    name = "good"

    def __init__(self) -> None:
        self.heard: list[str] = []

    @hookimpl
    async def after_auth(self, attempt: AuthAttempt) -> None:
        self.heard.append(attempt.username)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in INTERRUPTS])
@pytest.mark.parametrize(("point", "way"), CELLS, ids=lambda part: getattr(part, "name", part))
async def test_what_a_plugin_raises_is_its_own_failure(
    point: Point, way: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        await stands(point, way, raising(kind), tmp_path, caplog)
    except Exception as failure:  # pytest itself cannot show an error whose class hides its name
        pytest.fail("".join(error_lines(failure)), pytrace=False)


async def stands(point: Point, way: str, raises: Raise, folder: Path, log: pytest.LogCaptureFixture) -> None:
    """Have the strange plugin raise; its failure is told, and its neighbour hears the next call."""
    good = Good()
    with anyio.fail_after(60):
        async with Host(config={"host": {"allow": []}}, environ={}) as host:
            await host.load_plugin(good)
            assert await CELLS[point, way](Ground(host, folder, log), raises), "nobody is told"
            await host.hooks.after_auth(
                attempt=AuthAttempt(username="grace"), principal=Principal("2", "grace")
            )
            await anyio.lowlevel.checkpoint()
            assert host.plugins["good"].state is PluginState.READY
    assert good.heard[-1] == "grace"


def test_each_point_has_a_cell() -> None:
    assert {point for point, _ in CELLS} == set(Point)


def test_each_point_guards_something() -> None:
    code = "".join(path.read_text() for path in Path(inspect.getfile(plughost)).parent.rglob("*.py"))
    guarding = set(re.findall(r"\bPoint\.([A-Z_]+)", code))
    assert {point.name for point in Point} - guarding == UNGUARDED


UNGUARDED = {"WRAPPER"}
"""Hook calls have a guard of their own, being the hot path; wrappers stand in the registry for their cells."""
