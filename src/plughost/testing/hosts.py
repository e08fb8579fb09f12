"""Hosts for tests: they keep their data in the test's folder and find nothing that they are not told of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.host import Host


class HostMaker:
    """Makes hosts for tests; what the fixture ``make_host`` is.

    Args:
        data_dir: Where plugins keep their data.
        clock: Time for hosts that are given none of their own; None for the real one.
        application: Name and hookspecs of an application that lived on bare pluggy: hosts are made as
            ``Host.for_pluggy`` makes them. None for hosts with plughost's own hooks.
    """

    def __init__(
        self, data_dir: Path, clock: Clock | None = None, application: tuple[str, object] | None = None
    ) -> None:
        self.data_dir = data_dir
        self._clock = clock or SYSTEM_CLOCK
        self._application = application

    def __call__(
        self,
        *plugins: str,
        name: str | None = None,
        config: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> Host:
        """Return a host, to be entered with ``async with``.

        Args:
            plugins: Names of installed plugins to find, and of no others.
            name: Name of the host; that of the application, or ``test``.
            config: Its configuration, as in ``plughost.toml``.
            environ: Its environment; empty by default, so that the machine's does not change a test.
            clock: Its time.
            options: Further arguments of ``Host``, such as ``hookspecs``, or of ``Host.for_pluggy``.
        """
        given = dict(config or {})
        section = {"data_dir": str(self.data_dir), "allow": list(plugins)} | dict(given.get("host", {}))
        options |= {
            "config": given | {"host": section},
            "environ": dict(environ or {}),
            "clock": clock or self._clock,
        }
        if self._application is None:
            return Host(name or "test", **options)
        project, hookspecs = self._application
        return Host.for_pluggy(name or project, hookspecs, **{"project": project, "group": project} | options)

    def elsewhere(self, folder: str) -> HostMaker:
        """Return a maker of the same hosts, whose data are in another folder beside."""
        return HostMaker(self.data_dir.with_name(folder), self._clock, self._application)


@asynccontextmanager
async def running(host: Host) -> AsyncIterator[Host]:
    """Run a host in a task of its own, so that one task may begin this block and another end it.

    That is what pytest-asyncio does with fixtures, and what ``async with host`` cannot bear: a host holds tasks, which
    end where they began. On asyncio only; anyio's plugin, and ``async with host`` in a test, need nothing of this.

    Args:
        host: One that was not entered yet.
    """
    started, over = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def live() -> None:
        async with host:
            started.set_result(None)
            await over.wait()

    life = asyncio.create_task(live())
    await asyncio.wait([life, started], return_when=asyncio.FIRST_COMPLETED)
    if not started.done():
        await life  # raises what went wrong
    try:
        yield host
    finally:
        over.set()
        await life


@asynccontextmanager
async def client_of(host: Host, *, base_url: str = "http://testserver", **options: Any) -> AsyncIterator[Any]:
    """A client that speaks to the host's application within the process, for the time of the block.

    Args:
        host: A running host.
        base_url: What relative addresses are relative to.
        options: More for the client, such as ``headers``.

    Raises:
        ImportError: ``plughost[http]``, or ``httpx2`` (or ``httpx``), is not installed.
    """
    library: Any = None
    for name in ("httpx2", "httpx"):
        with suppress(ModuleNotFoundError):
            library = library or import_module(name)
    if library is None:
        raise ImportError("the fixture host_client needs a client: pip install httpx2")
    app = import_module("plughost.http").create_app(host)
    transport = library.ASGITransport(app=app)
    try:
        async with library.AsyncClient(transport=transport, base_url=base_url, **options) as client:
            yield client
    finally:
        app.close()
