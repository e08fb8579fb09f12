"""Every fault in every phase of a plugin in its own process, and what became of it.

``core/processes/test_faults.py`` tries a sample, and says what each must come to; ``process_fault_tables.py`` tries all
of them and writes the tables of the documentation.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import anyio

from asgi_browser import Browser
from faulty_plugin import SOURCE
from housed import Neighbour, configuration, housed, until, write_plugin
from plughost import Host
from plughost.exceptions import PluginError
from plughost.http import create_app

PHASES: Final = ("import", "start", "hook", "job", "route", "stop")

DIES: Final = {
    "segfault": "SIGSEGV",
    "abort": "SIGABRT",
    "exit": "status 0",
    "close everything": "",
    "break the frames": "",
}
"""Faults that end the process at once -> what its record says."""

HANGS: Final = ("spin", "hold the lock", "backtrack", "stop")
"""Faults that hold its event loop until it is killed."""

FAILS: Final = ("raise", "sys.exit", "bomb")
"""Faults that are exceptions, wherever they happen."""

ODD_ANSWERS: Final = ("odd answer", "big answer")
"""Faults that only matter where something is answered."""

GOES_ON: Final = (
    "write garbage",
    "fork",
    "fork twice",
    "fork bomb",
    "kill the template",
    "swallow",
    "late answer",
)
"""Faults that nobody notices at once, or that the limit ends."""

FAULTS: Final = (*DIES, *HANGS, *FAILS, *ODD_ANSWERS, *GOES_ON)

OF_OTHERS: Final = ("fork", "fork twice", "fork bomb", "kill the template")
"""Those that need other processes, which a confined plugin is refused."""

PATIENT: Final = ("swallow", "late answer")
"""Those that only pass a limit."""

MOST_HELD: Final = 0.02
"""Seconds that a fault may hold the host's event loop."""

HELD_BY_WAITING: Final = 0.5
"""Seconds that only a loop is held that waits for the faulty process itself: that one has a limit of twice as much.
Less than that can be the machine's doing, when it gives its processors to others."""

CELLS: Final = sorted(
    itertools.product(PHASES, FAULTS, (False, True)), key=lambda cell: crc32(repr(cell).encode())
)
"""All of them, mixed, so that the first few are of every kind."""

_LIMIT: Final = 1.0
_ASK_AGAIN: Final = 0.002
_TIMES: Final = 6
_CALLS: Final = """
    async def start(self, context):
        self.context = context
        await done(context.config.at_start)

    async def stop(self):
        await done(self.context.config.at_stop)

    async def misdeed(self):
        return await done(self.context.config.in_job)

    @hookimpl
    def register_jobs(self):
        return [Job(name="misdeed", function=self.misdeed, cron="0 0 1 1 *", limit=1.0)]
"""
_ROUTES: Final = """
    @hookimpl
    def register_routes(self):
        from plughost.http import PUBLIC, Route
        from starlette.responses import PlainTextResponse

        async def route(request):
            found = await done(self.context.config.in_route)
            return PlainTextResponse("" if isinstance(found, int) else found)

        return [Route("/misbehave", route, guard=PUBLIC, timeout=1.0)]
"""
_DONE: Final = """

async def done(how):
    found = FAULTS[how]()
    return await found if hasattr(found, "__await__") else found

"""


@dataclass
class Row:
    """What became of one fault.

    Attributes:
        outcome: What its caller was told.
        cause: What the record says.
        took: Seconds until its caller was told.
        neighbour: Calls of a neighbour that were answered meanwhile.
        worst: Seconds that the slowest of these took.
        held: Seconds that the host's event loop was held at the longest, without the time in which others had the
            processor.
    """

    outcome: str = ""
    cause: str = ""
    took: float = 0.0
    neighbour: int = 0
    worst: float = 0.0
    held: float = 0.0


def source(phase: str, fault: str) -> str:
    """The plugin, which does it in that phase."""
    head, _, tail = SOURCE.partition("class Faulty(Plugin):\n    Config = Config\n")
    _, _, hooks = tail.partition("    def status(self)")
    fields = "".join(f'    in_{one}: str = ""\n' for one in ("job", "route"))
    head = head.replace('    at_stop: str = ""\n', f'    at_stop: str = ""\n{fields}')
    head = head.replace(
        "import Plugin, hookimpl", "import Plugin, hookimpl\nfrom plughost.contracts import Job"
    )
    at_import = f"FAULTS[{fault!r}]()\n\n" if phase == "import" else ""
    body = _CALLS + (_ROUTES if phase == "route" else "")
    return f"{head}{_DONE}{at_import}class Faulty(Plugin):\n    Config = Config\n{body}\n    def status(self){hooks}"


def table_of(folder: Path, phase: str, fault: str, *, confined: bool) -> dict[str, Any]:
    """The configuration of a host with that plugin."""
    place = {"start": "at_start", "stop": "at_stop", "job": "in_job", "route": "in_route"}.get(phase)
    process: dict[str, Any] = {"memory": "150MB"}
    process |= {"confine": {}} if confined else {}
    table = configuration(folder, config={place: fault} if place else {}, **process)
    hangs = (phase in ("import", "start") and fault in HANGS) or (phase == "start" and fault in PATIENT)
    table["host"] |= {"load_timeout": 4.0 if hangs else 60.0, "shutdown_timeout": 2.0, "restart_pause": 0.0}
    table["host"]["max_restarts"] = 3
    if phase in ("import", "start"):  # begun later, when the template is there and the neighbour is asked
        table["plugins"] |= {"faulty": {**table["plugins"]["faulty"], "enabled": False}}
        table["plugins"] |= {"calm": {"isolation": "process"}}
        table["host"]["allow"].append("calm")
    return table


async def try_calmly(
    folder: Path, phase: str, fault: str, *, confined: bool, most_held: float = MOST_HELD
) -> Row:
    """Try it again where the loop was held: what holds it does so each time, a machine that stalls does not."""
    for number in range(_TIMES):
        place = folder / str(number)
        place.mkdir()
        row = await try_fault(place, phase, fault, confined=confined)
        if row.held <= most_held:
            break
    return row


async def try_fault(folder: Path, phase: str, fault: str, *, confined: bool) -> Row:
    """Let a plugin do it; return what became of it. Raises when a process or an open file is left behind."""
    write_plugin(folder, source(phase, fault))
    write_plugin(folder, "from plughost import Plugin\n\n\nclass Calm(Plugin):\n    pass\n", "calm")
    row = Row()
    table = table_of(folder, phase, fault, confined=confined)
    async with housed(table, timeouts={"misbehave": _LIMIT}) as host:
        await host.load_plugin(Neighbour, name="neighbour")
        async with ready_to(host, phase, fault) as misbehave, _asked_neighbour(host, row):
            began = time.monotonic()
            row.outcome = await misbehave()
            row.took = time.monotonic() - began
            await anyio.sleep(0.02)
        if phase not in ("import", "start", "stop") and fault in (*DIES, *HANGS):
            await until(lambda: _cause(host) != "")
        row.cause = _cause(host)
    return row


@asynccontextmanager
async def _asked_neighbour(host: Host, row: Row) -> AsyncIterator[None]:
    async def ask() -> None:
        while True:
            began = time.monotonic()
            assert await host.hooks.describe_device(user_agent="x") is None
            row.worst = max(row.worst, time.monotonic() - began)
            row.neighbour += 1
            due, waited = time.monotonic() + _ASK_AGAIN, _waited_for_processor()
            await anyio.sleep(_ASK_AGAIN)
            row.held = max(row.held, time.monotonic() - due - (_waited_for_processor() - waited))

    gc.collect()
    gc.freeze()  # what the tests before left behind is not looked through meanwhile
    async with anyio.create_task_group() as asking:
        asking.start_soon(ask)
        yield
        asking.cancel_scope.cancel()


def _waited_for_processor() -> float:
    """Seconds that this thread could have run and others did."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


@asynccontextmanager
async def ready_to(host: Host, phase: str, fault: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Yield what has the plugin do it, and returns what its caller was told."""

    async def begin() -> str:
        with suppress(PluginError):
            await host.enable_plugin("faulty")
        return str(host.plugins["faulty"].state)

    async def hook() -> str:
        (outcome,) = (await host.hooks.misbehave.report(how=fault)).outcomes
        return outcome.kind

    async def job() -> str:
        record = await host.jobs.run_now("misdeed")
        return "failed" if record.last_error else "ran"

    async def stop() -> str:
        await host.unload_plugin("faulty")
        return str(host.plugins["faulty"].state)

    if phase != "route":
        yield {"import": begin, "start": begin, "hook": hook, "job": job, "stop": stop}[phase]
        return
    app = create_app(host)

    async def without_bodies(scope: Any, receive: Any, send: Any) -> None:
        """A client that kept 65 MB in one piece would hold the loop itself."""

        async def send_rest(message: Any) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await app(scope, receive, send_rest)

    browser = Browser(without_bodies)

    async def route() -> str:
        return str((await browser.get("/misbehave")).status)

    await browser.get("/livez")
    yield route
    app.close()


def _cause(host: Host) -> str:
    record = host.plugins["faulty"]
    if record.process is not None and record.process.last_exit is not None:
        return f"{record.process.last_exit.reason}; {record.process.last_exit.call}"
    return record.reason
