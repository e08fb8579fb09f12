"""The plugin: what it contributes, and what it watches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import click

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import (
    SYSTEM_CLOCK,
    CacheEvent,
    CacheManager,
    Clock,
    HttpContext,
    PluginFailed,
    SessionManager,
)
from plughost.exceptions import ServiceError, StoreUnavailableError
from plughost.http import Route
from plughost.plugins.admin.api import Api
from plughost.plugins.admin.config import AdminConfig
from plughost.plugins.admin.figures import FigureSources
from plughost.plugins.admin.history import CacheHistory, FailureHistory, SessionEvent, SessionHistory
from plughost.plugins.admin.live import Live
from plughost.plugins.admin.logs import PluginLogs
from plughost.plugins.admin.page import Page
from plughost.plugins.admin.plugin_page import PluginPage
from plughost.plugins.admin.rendering import Renderer
from plughost.plugins.admin.tabs import Tabs
from plughost.plugins.admin.traces import HookTrace

# Seconds from the routes to the templates: a thread that compiles would slow down what still starts.
_START_GOES_FIRST = 0.1


class AdminPlugin(Plugin):
    """The administration: the API and the page, at ``/admin/api`` and ``/admin/system`` unless told otherwise.

    Args:
        clock: Time.
    """

    name = "admin"
    after = ("sessions", "cache", "database")
    Config = AdminConfig

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._desk = FigureSources(
            CacheHistory(), SessionHistory(), PluginLogs(), HookTrace(clock), FailureHistory(clock)
        )
        self._makers: tuple[Api | Page | PluginPage, ...] = ()
        self._routes: list[Route] = []
        self._context: PluginContext | None = None
        self._renderer: Renderer | None = None

    async def start(self, context: PluginContext) -> None:
        """Begin to watch, and make the routes."""
        config: AdminConfig = context.config
        self._context = context
        tabs = Tabs(config.panel_timeout)
        renderer = Renderer(self._clock, refresh=config.refresh, title=config.title)
        live = Live(tabs, self._desk, renderer.parts, every=config.refresh, clock=self._clock)
        context.on_stop(live.end)
        self._desk.logs.begin()
        context.on_stop(self._desk.logs.end)
        context.on_stop(self._desk.trace.stop)
        context.events.subscribe(PluginFailed, self._desk.failures.note)
        context.provide(HookTrace, self._desk.trace)
        context.spawn(live.run)
        context.every(config.history, self._sample, name="history", scope="process")
        page = Page(tabs, live, renderer)
        one = PluginPage(self._desk, tabs, page, renderer)
        self._makers = (Api(self._desk, tabs, live), page, one)
        self._renderer = renderer

    def status(self) -> Mapping[str, object]:
        """Return how many routes there are."""
        return {"routes": len(self._routes)}

    @hookimpl
    def register_routes(self, context: HttpContext) -> Sequence[Route]:
        """Contribute the API and the page, below the prefix that the application was given."""

        async def compile_templates() -> None:
            if self._renderer is not None:
                await self._clock.sleep(_START_GOES_FIRST)
                await self._renderer.compile()

        if not self._routes and self._context is not None:  # whoever runs without HTTP compiles nothing
            self._context.spawn(compile_templates)
        self._routes = [route for maker in self._makers for route in maker.routes(context.admin_path)]
        return self._routes

    @hookimpl
    def register_commands(self) -> Sequence[click.Command]:
        """Contribute ``plughost admin``."""
        from plughost.plugins.admin.commands import admin  # the command line alone pays for it

        return [admin]

    @hookimpl
    def session_created(self, handle: str, subject: str | None, reason: str) -> None:
        """Note a new session."""
        self._note("created", handle, subject, reason)

    @hookimpl
    def session_rotated(self, handle: str, subject: str | None, reason: str) -> None:
        """Note that a session has a new id."""
        self._note("rotated", handle, subject, reason)

    @hookimpl
    def session_ended(self, handle: str, subject: str | None, reason: str) -> None:
        """Note the end of a session."""
        self._note("ended", handle, subject, reason)

    @hookimpl
    def cache_event(self, events: Sequence[CacheEvent]) -> None:
        """Count why entries went."""
        self._desk.caches.count(events)

    def _note(self, kind: str, handle: str, subject: str | None, reason: str) -> None:
        event = SessionEvent(at=self._clock.time(), kind=kind, handle=handle, subject=subject, reason=reason)
        self._desk.sessions.note(event)

    async def _sample(self) -> None:
        """Take one point for the charts; what is not there is not sampled."""
        context, now = self._context, self._clock.time()
        if context is None:
            return
        with suppress(ServiceError):
            self._desk.caches.sample(context.use(CacheManager), now)
        with suppress(ServiceError, StoreUnavailableError):
            stats = await context.use(SessionManager).stats()
            if stats.counted:
                self._desk.sessions.sample(stats.active, now)
