"""The plugin: puts the parts together, and tells the hooks what happens to sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import (
    SYSTEM_CLOCK,
    HealthCheck,
    HttpContext,
    MetricFamily,
    MetricSample,
    Middleware,
    MovableStore,
    SelfCheckingStore,
    SessionManager,
    SessionStore,
    SteadyTime,
    WaitingStore,
    with_paths,
)
from plughost.exceptions import ServiceError, StoreUnavailableError
from plughost.plugins.sessions.config import OWN_STORES, SessionsConfig
from plughost.plugins.sessions.cookies import SessionCookie
from plughost.plugins.sessions.crypto import KeyRing
from plughost.plugins.sessions.csrf import CsrfCheck
from plughost.plugins.sessions.desk import Desk
from plughost.plugins.sessions.foresight import Foresight
from plughost.plugins.sessions.manager import Sessions
from plughost.plugins.sessions.middleware import SessionMiddleware
from plughost.plugins.sessions.migrate import leave_behind, move, pick_up
from plughost.plugins.sessions.opening import StoreLease, kind_of, make_envelope, make_store
from plughost.plugins.sessions.records import SessionRecords
from plughost.plugins.sessions.rows import RowCodec
from plughost.plugins.sessions.secrets_file import read_secrets
from plughost.plugins.sessions.sockets import SocketWatch
from plughost.plugins.sessions.stores.foreign import STORES
from plughost.plugins.sessions.stores.memory import MemoryStore
from plughost.plugins.sessions.telling import HookTeller

if TYPE_CHECKING:
    from plughost.http import Route

MIDDLEWARE_PRIORITY = 100
LOOK_AFTER = 1.0
"""Seconds between two looks at whether the store's file or server is still the one it was."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0  # seconds between two tries to open a store that is not there yet


class SessionsPlugin(Plugin):
    """Sessions in SQLite, Redis or memory, their middleware, routes and commands."""

    name = "sessions"
    after = ("cache",)
    Config: ClassVar[type[Any] | None] = SessionsConfig

    async def check_config(self, config: SessionsConfig) -> None:
        """Refuse settings that do not fit together, and a store that is not installed."""
        config.check()
        if config.store not in OWN_STORES:
            STORES.maker(config.store, config.store_settings)

    async def start(self, context: PluginContext) -> None:
        """Open the store, take over what an earlier run left, offer the service."""
        config: SessionsConfig = with_paths(context, context.config, "path", "secret_file")
        self._context, self._config = context, config
        self._ring = KeyRing(())
        self._now = SteadyTime(SYSTEM_CLOCK)
        codec = RowCodec(make_envelope(config, self._ring))
        await self._take_store(context, config)
        records = SessionRecords(self._lease.store, codec, config.policy(), self._now)
        self.sessions = Sessions(records, self._lease)
        self._watch = SocketWatch(records, self._lease.sockets)
        cookie = SessionCookie(config.cookie_policy(context.host_name))
        learns = config.preload is None and isinstance(self._lease.store, WaitingStore)
        self._desk = Desk(records, cookie, self._ring, self._device, Foresight() if learns else None)
        self._csrf = CsrfCheck(config.csrf_policy(), self._desk.token_matches, self._desk.has_cookie)
        self._teller = HookTeller(context.hooks)
        records.announcer.listen(self._teller.hear)
        context.spawn(self._teller.run)
        context.spawn(self._sweep_after_ends)
        context.every(
            LOOK_AFTER, self._look_after_store, name="look after the session store", scope="process"
        )
        context.every(
            config.cleanup_interval,
            self.sessions.cleanup_expired,
            name="clean up sessions",
            scope="process" if config.store == "memory" else "fleet",
            outage="local",  # two at once only find less to do
        )
        context.every(
            config.socket_check_interval, self._watch.look_around, name="check open sockets", scope="process"
        )
        context.provide(SessionManager, self.sessions)

    async def stop(self) -> None:
        """Leave the sessions in memory to the next run, and close the store."""
        store = self._lease.store
        if isinstance(store, MemoryStore) and self._config.carry_over and not store.frozen:
            if await self._lease.release():
                await leave_behind(store, self._carried())
            return
        await self._lease.release()

    def status(self) -> Mapping[str, object]:
        """Which store, and how many sockets are open."""
        known = {
            "store": self._lease.store.name,
            "open_sockets": len(self._watch),
            "unreadable": self.sessions.records.codec.unreadable,
        }
        return known | ({"waiting_for": self._lease.waiting_for} if self._lease.waiting_for else {})

    @hookimpl
    def register_middleware(self, context: HttpContext) -> Sequence[Middleware]:
        """Put a session into each request."""
        factory = partial(
            SessionMiddleware,
            desk=self._desk,
            csrf=self._csrf if self._config.csrf else None,
            watch=self._watch,
            preload=self._desk.needs_preload if self._config.preload is None else self._config.preload,
        )
        return [Middleware(factory=factory, priority=MIDDLEWARE_PRIORITY, name="sessions")]

    @hookimpl
    def register_routes(self, context: HttpContext) -> Sequence[Route]:
        """Sign in, look, validate, sign out."""
        from plughost.plugins.sessions.routes import auth_routes

        return auth_routes()

    @hookimpl
    def register_commands(self) -> Sequence[click.Command]:
        """The group ``sessions``."""
        from plughost.plugins.sessions.commands import sessions_group  # the command line alone pays for it

        return [sessions_group]

    @hookimpl
    async def health_check(self, app_name: str | None) -> HealthCheck | None:
        """Whether the store can be written and read, and every session could be read."""
        if app_name is not None:
            return None
        if self._lease.waiting_for:
            return HealthCheck(name="sessions", status="fail", detail=self._lease.waiting_for)
        store, warning = self._lease.store, ""
        try:
            if isinstance(store, SelfCheckingStore):
                warning = await store.self_check()
            figures = await self.sessions.stats()
        except StoreUnavailableError as error:
            return HealthCheck(
                name="sessions", status="fail", detail=str(error), figures={"store": store.name}
            )
        found = {"store": figures.store, "unreadable": figures.unreadable}
        if figures.counted:
            found["active"] = figures.active
        if figures.unreadable:
            warning = "sessions could not be read and were kept: put the old secret back, or see the log"
        return HealthCheck(
            name="sessions", status="warn" if warning else "pass", detail=warning, figures=found
        )

    @hookimpl
    async def describe_metrics(self) -> Sequence[MetricFamily]:
        """The figures of ``stats()``; none while the store is away."""
        try:
            figures = await self.sessions.stats()
        except StoreUnavailableError:
            return []
        values = {
            "sessions_unreadable": (figures.unreadable, "How often a session could not be opened."),
            "sessions_open_sockets": (len(self._watch), "WebSockets that are open."),
        }
        if figures.counted:
            values |= {
                "sessions_active": (figures.active, "Sessions that would be accepted now."),
                "sessions_expired": (figures.expired, "Sessions that are over and not yet removed."),
                "sessions_users": (figures.users, "Users with a session that is not over."),
            }
        return [
            MetricFamily(name=name, kind="gauge", help=text, samples=(MetricSample(float(value)),))
            for name, (value, text) in values.items()
        ]

    async def _take_store(self, context: PluginContext, config: SessionsConfig) -> None:
        """Share the store of the run before, or open one; a host's first run does not wait until it can be opened."""
        kind = kind_of(config, context.data_dir, context.host_name)
        earlier: StoreLease | None = None
        with suppress(ServiceError):  # when the plugin is reloaded the run before has one
            # By attribute and not by class: the code may have been read again since.
            earlier = getattr(context.use(SessionManager), "lease", None)
        if earlier is not None and earlier.kind == kind:
            self._lease = earlier.share()
        else:
            store = make_store(config, context.data_dir, context.host_name, self._now)
            self._lease = StoreLease(store, kind, earlier.sockets if earlier is not None else None)
        try:
            await self._open(earlier)
        except StoreUnavailableError as error:
            if earlier is not None and not earlier.waiting_for:
                raise  # the run before serves on
            context.log.warning("session store cannot be opened yet", error=str(error))
            context.spawn(self._open_when_it_is_there, earlier)

    async def _open(self, earlier: StoreLease | None) -> None:
        """Have the secrets and the store, which one cannot be used without the other.

        Raises:
            StoreUnavailableError: There is none, or no room for them; it may be tried again.
        """
        try:
            if not self._ring:
                self._ring.take(read_secrets(self._config, self._context.data_dir))
        except StoreUnavailableError as error:
            self._lease.waiting_for = self._lease.waiting_for and str(error)
            raise
        await self._lease.open(lambda store: self._hand_over(earlier, store))

    async def _open_when_it_is_there(self, earlier: StoreLease | None) -> None:
        """Try until the store opens; requests that need a session are answered 503 until then."""
        pause, told = _FIRST_PAUSE, self._lease.waiting_for
        while True:
            await SYSTEM_CLOCK.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                await self._open(earlier)
            except StoreUnavailableError as error:
                if str(error) != told:
                    told = str(error)
                    self._context.log.warning("session store cannot be opened yet", error=told)
            else:
                self._context.log.info("session store is there", store=self._lease.store.name)
                return

    async def _hand_over(self, earlier: StoreLease | None, store: SessionStore) -> None:
        """Bring sessions of the run before into a store that was just opened."""
        leaves_memory = earlier is not None and isinstance(earlier.store, MemoryStore)
        if not isinstance(store, MovableStore):
            if leaves_memory:
                self._context.log.warning(
                    "sessions in memory stay behind: the store takes none over", store=store.name
                )
            return
        if self._config.carry_over:
            await pick_up(self._carried(), store)
        if earlier is None or earlier.store is store or not isinstance(earlier.store, MemoryStore):
            return
        earlier.store.freeze()
        try:
            moved = await move(earlier.store, store)
        except BaseException:
            earlier.store.thaw()
            raise
        self._context.log.info("sessions moved out of memory", sessions=moved, store=store.name)

    async def _look_after_store(self) -> None:
        store = self._lease.store
        if isinstance(store, SelfCheckingStore) and not self._lease.waiting_for:
            try:
                await store.look_after()
            except StoreUnavailableError as error:
                self._context.log.warning("session store cannot be used", error=str(error))

    def _carried(self) -> Path:
        return self._context.data_dir / "memory-sessions"

    async def _sweep_after_ends(self) -> None:
        while True:
            await self._teller.subject_ended()
            await self.sessions.cleanup_expired()

    async def _device(self, user_agent: str) -> str:
        device = await self._context.hooks.describe_device(user_agent=user_agent)
        return device.name if device is not None else ""
