"""How commands reach the fleet's store: as the configuration says, without a host that starts."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Awaitable, Callable, Sequence
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
        ClickException: There is no fleet to be seen from outside, or nobody can tell which of several is meant.
        StoreUnavailableError: The store cannot be reached.
    """
    host: Any = line.host()
    config: FleetConfig = host.loaded_config.decode_plugin("fleet", FleetConfig)
    config.check()
    if config.store == "memory":
        raise click.ClickException(
            "this host is a fleet of its own in memory (store = 'memory'): there is nothing to see from outside"
        )
    is_named = bool(config.name) or host.loaded_config.origins["host.name"] != "default"
    name: str = config.name or host.name
    folder = host.data_dir / "fleet"

    async def run() -> tuple[str, str, T]:
        chosen = name if is_named else await _only_fleet(config.make_store(folder, ""), name)
        store = config.make_store(folder, chosen)
        await store.open()
        try:
            if not ((await store.steering()).newest or (await store.view()).members):
                line.talk(_told_of_empty(name, await store.fleets(), is_named=is_named))
            return chosen or name, store.name, await work(store, Revisions(store, config.make_seal(folder)))
        finally:
            await store.close()

    return anyio.run(run)


async def _only_fleet(store: FleetStore, usual: str) -> str:
    """Return the fleet that is meant where no name is configured: a program may name its host itself.

    Args:
        store: Where fleets are looked for.
        usual: The name of a host without one.
    """
    await store.open()
    try:
        names = await store.fleets()
    finally:
        await store.close()
    # A file is this machine's: it is its only fleet, or the first to come.
    if store.name == "sqlite" and len(names) < 2:
        return "".join(names)
    if names and usual not in names:
        raise click.ClickException(
            f"the configuration does not name the host, and there is no fleet {usual!r}, as it is called then. There"
            f" {'are' if names[1:] else 'is'} {', '.join(names)}: {_HOW_TO_NAME.format(name=names[0])}"
        )
    return usual


_HOW_TO_NAME = (
    "write [host] name = '{name}' into the configuration, or give PLUGHOST_HOST__NAME={name} to the command, as the"
    " program does that makes the host"
)


def _told_of_empty(name: str, others: Sequence[str], *, is_named: bool) -> str:
    told = f"No host has joined fleet {name!r} here yet."
    if others:
        return f"{told} Fleets that are here: {', '.join(others)}."
    return (
        told if is_named else f"{told} If a program names its host, {_HOW_TO_NAME.format(name='THAT_NAME')}."
    )


def author() -> str:
    """Return who types the command, for those who look at it later."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
