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
    # A program may name its host where the configuration does not: in the host's own file its fleet is the first one.
    is_own = config.store == "sqlite" and not config.path
    is_unnamed = is_own and host.loaded_config.origins["host.name"] == "default"
    store = config.make_store(host.data_dir / "fleet", "" if is_unnamed else host.name)
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
