"""A host with its server, in one process: from the first plugin to the last answer."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterable
from functools import partial
from pathlib import Path

import anyio
import msgspec

from plughost.cli.dev.reloading import expect_changes, reload_on_save
from plughost.cli.hangups import reload_when_asked, status_line
from plughost.cli.program import Program
from plughost.cli.report import tell_report
from plughost.cli.serving.garbage import spare_what_stays
from plughost.cli.serving.listening import ListeningSockets
from plughost.cli.serving.notify import Notifier
from plughost.cli.serving.options import Serving
from plughost.cli.serving.server import Server
from plughost.cli.signals import StopSignals, hangups
from plughost.contracts.counting import counted
from plughost.contracts.http_settings import HttpSettings
from plughost.exceptions import PlughostError
from plughost.host import Host
from plughost.http import HostApplication, create_app
from plughost.http.metrics import own_figures
from plughost.http.runtime import HttpRuntime
from plughost.http.shared_figures import SharedFigures
from plughost.http.tracing import request_tracer


class PublicAddressError(PlughostError):
    """The address can be reached from outside, and there is no way to authenticate."""


class OneProcess:
    """What one process of ``plughost serve`` does.

    Args:
        program: The command line at work.
        serving: What it said.
        folders: Folders of plugins that are being written.
    """

    def __init__(self, program: Program, serving: Serving, folders: list[Path]) -> None:
        self._program = program
        self._serving = serving
        self._folders = folders
        self._notifier = Notifier(program.environ)

    async def run(self, listeners: ListeningSockets) -> bool:
        """Serve until asked to stop; return whether the host had become ready.

        Raises:
            RouteError: A plugin contributed a route that cannot be served.
            PublicAddressError: Nobody could sign in at an address that others can reach.
        """
        ready = True
        with hangups() as requests:
            async with StopSignals(looked_after=self._serving.worker is not None) as signals:
                with signals.interrupting() as starting:
                    host = self._program.host(worker=self._serving.worker)
                    for folder in self._folders:
                        host.add_plugin_folder(folder)
                    # Commands may ask this host while it starts: the sockets listen, and a request to reload is kept.
                    settings, base = self._settings(host), self._base(host, listeners)
                    reloads = os.getpid() if self._serving.worker is None else os.getppid()
                    host.tell_commands(admin=base and base + settings.admin_path, reload=reloads)
                    async with host:
                        starting.disarm()
                        ready = host.ready
                        if not self._serving.worker:
                            tell_report(self._program, host)
                        if ready or self._folders:
                            await self._serve(host, listeners, signals, requests)
        return ready

    def _base(self, host: Host, listeners: ListeningSockets) -> str:
        """Return where browsers reach the host; empty when that cannot be known."""
        url = listeners.url(self._serving.scheme)
        return self._settings(host).public_url.rstrip("/") or (url and url + self._serving.root_path)

    async def _serve(
        self,
        host: Host,
        listeners: ListeningSockets,
        signals: StopSignals,
        requests: AsyncIterable[object],
    ) -> None:
        application = create_app(host, settings=self._settings(host))
        # Make spans of hook calls when somebody has set OpenTelemetry up, as ``opentelemetry-instrument`` does
        if request_tracer() is not None:
            from plughost.tracing import trace_hooks

            trace_hooks(host)
        try:
            await self._refuse_unguarded_address(host, application)
            server = Server(application, self._serving)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._stop_when_asked, signals, server, application)
                tasks.start_soon(reload_when_asked, host, requests, self._program.talk, self._notifier)
                tasks.start_soon(self._tell_when_started, server, application, listeners)
                tasks.start_soon(self._notifier.keep_alive)
                tasks.start_soon(spare_what_stays, host)
                if self._folders:
                    expect_changes()
                    tasks.start_soon(reload_on_save, host, self._folders, self._program.talk)
                if self._serving.worker is not None:
                    tasks.start_soon(_stop_when_alone, signals)
                    tasks.start_soon(self._share_figures, application.runtime)
                await server.serve(listeners.sockets)
                tasks.cancel_scope.cancel()
        finally:
            application.close()

    async def _share_figures(self, runtime: HttpRuntime) -> None:
        """Tell the other workers what this one counts, and have it know what they do."""
        if self._serving.shares is not None and self._serving.worker is not None:
            runtime.shared_figures = SharedFigures(
                self._serving.shares.parent,
                self._serving.worker,
                self._serving.workers,
                partial(own_figures, runtime),
            )
            await runtime.shared_figures.listen()

    def _settings(self, host: Host) -> HttpSettings:
        settings = host.config.http
        if self._serving.read_only:
            settings = msgspec.structs.replace(settings, read_only=True)
        if self._serving.public_url:
            settings = msgspec.structs.replace(settings, public_url=self._serving.public_url)
        if self._serving.proxies or self._serving.root_path:
            settings = msgspec.structs.replace(settings, trust_loopback=False)  # a proxy is in between
        return settings

    async def _stop_when_asked(
        self, signals: StopSignals, server: Server, application: HostApplication
    ) -> None:
        await signals.wait()
        self._notifier.stopping()
        if signals.politely:
            application.drain()  # readiness says 503, so that a load balancer sends requests elsewhere
            await anyio.sleep(self._serving.drain_notice)
        server.should_exit = True

    async def _tell_when_started(
        self, server: Server, application: HostApplication, listeners: ListeningSockets
    ) -> None:
        await server.listening.wait()
        if not self._serving.worker:
            listening = listeners.address(self._serving.scheme)
            base = self._base(application.host, listeners)
            # Where no browser can follow an address of ours, paths are told, which hold below whatever leads here.
            prefix = (base or self._serving.root_path) + application.runtime.settings.admin_path
            admin = f"{prefix}/system"
            document = {"address": base or listening, "admin": admin}
            lines = [f"Host {application.host.name!r} is listening on {listening}", f"Admin page: {admin}"]
            if self._serving.link:
                code = application.runtime.sign_ins.make_link_code()
                document["sign_in"] = f"{prefix}/sign-in?code={code}"
                valid = counted(round(application.runtime.settings.link_lifetime / 60), "minute")
                lines.append(f"One-time sign-in link (valid for {valid}): {document['sign_in']}")
            if not base:
                lines.append(
                    "Give --public-url to have these with the address by which browsers reach the socket."
                )
            self._program.show(document, "\n".join(lines))
        self._notifier.ready(status_line(application.host))

    async def _refuse_unguarded_address(self, host: Host, application: HostApplication) -> None:
        if not self._serving.is_public or application.runtime.tokens.any_alive():
            return
        if not (await host.status()).hooks.get("authenticate"):
            raise PublicAddressError(
                f"{self._serving.host} can be reached from outside, but there is no way to authenticate: no token"
                " was made and no plugin checks passwords."
                " Make a token first: plughost admin token create --name NAME --scope SCOPE"
            )


async def _stop_when_alone(signals: StopSignals) -> None:
    """Stop when the process that looks after the workers is gone: it holds the other end of standard input.

    When it goes while this one stops already, a second signal has ended it, which is to end all of them at once.
    """
    while True:
        await anyio.wait_readable(sys.stdin)
        if not os.read(sys.stdin.fileno(), 1024):
            break
    if signals.asked:
        os.kill(os.getpid(), signal.SIGKILL)
    signals.stop()
