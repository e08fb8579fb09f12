"""From configuration to a store, and the lease by which two runs of the plugin share one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from plughost.contracts import SessionStore, StoreSetup
from plughost.plugins.sessions.config import SessionsConfig
from plughost.plugins.sessions.crypto import Envelope, KeyRing, PlainEnvelope, SealedEnvelope
from plughost.plugins.sessions.sockets import SocketSession
from plughost.plugins.sessions.stores.foreign import foreign_store
from plughost.plugins.sessions.stores.memory import MemoryStore
from plughost.plugins.sessions.stores.sqlite import SQLiteStore


class StoreLease:
    """A store and how many runs of the plugin use it; the last one closes it.

    A plugin is reloaded by starting the new one before the old one stops. A store that only one may hold, such
    as this process's memory, is handed from one to the other this way.

    Args:
        store: The store, not yet open.
        kind: What it was configured as; only a run with the same configuration can share it.
        sockets: The open WebSockets, which outlive a reload and still have to be closed with their sessions.

    Attributes:
        waiting_for: Why the store is not open yet; empty when it is.
    """

    def __init__(
        self, store: SessionStore, kind: tuple[str, ...], sockets: dict[int, SocketSession] | None = None
    ) -> None:
        self.store = store
        self.kind = kind
        self.sockets = {} if sockets is None else sockets
        self.waiting_for = "the session store is not open yet"
        self._holders = 1
        self._opening = anyio.Lock()

    async def open(self, prepare: Callable[[SessionStore], Awaitable[object]]) -> None:
        """Open the store unless it is open, and prepare it before anybody else sees it.

        Raises:
            StoreUnavailableError: It cannot be opened now; it may be tried again.
        """
        async with self._opening:
            if not self.waiting_for:
                return
            try:
                await self.store.open()
                await prepare(self.store)
            except BaseException as error:
                self.waiting_for = str(error) or type(error).__name__
                with anyio.CancelScope(shield=True):
                    await self.store.close()
                raise
            self.waiting_for = ""

    def share(self) -> StoreLease:
        """Use it too."""
        self._holders += 1
        return self

    async def release(self) -> bool:
        """Use it no longer; whether it was closed by that."""
        self._holders -= 1
        if self._holders:
            return False
        await self.store.close()
        return True


def kind_of(config: SessionsConfig, data_dir: Path, host_name: str) -> tuple[str, ...]:
    """Return what makes two stores the same one."""
    match config.store:
        case "memory":
            return ("memory",)
        case "redis":
            return ("redis", config.redis_url, config.redis_prefix or host_name)
        case "sqlite":
            return ("sqlite", str(database_path(config, data_dir)))
        case reference:
            return (reference, repr(config.store_settings))


def database_path(config: SessionsConfig, data_dir: Path) -> Path:
    """Return where the SQLite file is."""
    return Path(config.path) if config.path else data_dir / "sessions.db"


def make_store(
    config: SessionsConfig, data_dir: Path, host_name: str, now: Callable[[], float]
) -> SessionStore:
    """Return the configured store, not yet opened.

    Raises:
        ConfigError: It is Redis, and the package for it is missing; or there is no such store.
    """
    match config.store:
        case "memory":
            return MemoryStore(now)
        case "redis":
            from plughost.plugins.sessions.stores.redis import RedisStore

            prefix = config.redis_prefix or host_name
            return RedisStore(config.redis_url, prefix=prefix, timeout=config.redis_timeout)
        case "sqlite":
            return SQLiteStore(database_path(config, data_dir), now)
        case _:
            return foreign_store(config, StoreSetup(host_name=host_name, data_dir=data_dir, now=now))


def make_envelope(config: SessionsConfig, ring: KeyRing) -> Envelope:
    """Return how values are closed.

    Raises:
        ConfigError: Encryption is on, and the package for it is missing.
    """
    return SealedEnvelope(ring, accept_plain=config.accept_plain) if config.encrypt else PlainEnvelope()
