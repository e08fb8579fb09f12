"""How commands reach the fleet's store: as the configuration says, without a host that starts."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import click

from plughost.contracts import CommandLine, FleetStore
from plughost.plugins.fleet.config import FleetConfig
from plughost.plugins.fleet.revisions import Revisions

T = TypeVar("T")


def with_store(
    line: CommandLine, work: Callable[[FleetStore, Revisions], Awaitable[T]]
) -> tuple[str, str, T]:
    """Return the fleet's name, the kind of its store, and what the work returned.

    Raises:
        StoreUnavailableError: The store cannot be reached.
    """
    host: Any = line.host()
    config: FleetConfig = host.loaded_config.decode_plugin("fleet", FleetConfig)
    config.check()
    if config.store == "memory":
        raise click.ClickException(
            "this host is a fleet of its own in memory (store = 'memory'): there is nothing to see from outside"
        )
    store = config.make_store(host.data_dir / "fleet", host.name)
    revisions = Revisions(store, config.make_seal(host.data_dir / "fleet"))

    async def run() -> T:
        await store.open()
        try:
            return await work(store, revisions)
        finally:
            await store.close()

    return config.name or host.name, store.name, anyio.run(run)


def author() -> str:
    """Return who types the command, for those who look at it later."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
