"""A look into the sessions of a file that another process owns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from plughost.contracts import Secret
from plughost.contracts.clock import SYSTEM_CLOCK
from plughost.contracts.session import SessionManager
from plughost.exceptions import ServiceError
from plughost.plugins.sessions.clocks import SteadyTime
from plughost.plugins.sessions.config import SessionsConfig
from plughost.plugins.sessions.manager import Sessions
from plughost.plugins.sessions.opening import database_path, make_envelope
from plughost.plugins.sessions.rows import RowCodec
from plughost.plugins.sessions.secrets_file import key_ring
from plughost.plugins.sessions.stores.sqlite import SQLiteStore


@asynccontextmanager
async def look_into(host: Any, complain: Callable[[], object]) -> AsyncIterator[SessionManager]:
    """Yield the running sessions of a host, or ones that can only be read.

    Args:
        host: A running host, in which the sessions plugin may have failed because another process owns its
            file.
        complain: Raises what the person is told when there is nothing to look at.
    """
    try:
        yield host.use(SessionManager)
        return
    except ServiceError:
        pass
    settings = host.config.plugins.get("sessions")
    given = dict(settings.config) if settings is not None else {}
    config = msgspec.convert(given, SessionsConfig, dec_hook=_secret)
    data_dir = host.data_dir / "sessions"
    path = database_path(config, data_dir)
    if config.store != "sqlite" or not path.exists():
        complain()
    now = SteadyTime(SYSTEM_CLOCK)
    store = SQLiteStore(path, now, read_only=True)
    await store.open()
    try:
        codec = RowCodec(make_envelope(config, key_ring(config, data_dir)))
        yield Sessions(store, codec, config.policy(), now)
    finally:
        await store.close()


def _secret(kind: type[Any], value: Any) -> Any:
    if kind is Secret:
        return Secret(value)
    raise NotImplementedError(kind)
