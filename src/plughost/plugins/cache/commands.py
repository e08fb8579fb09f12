"""``plughost cache``: look at caches and clear them.

What lives in memory lives in the process that filled it: for that there is the admin page and its API. These
commands see and change what instances share through Redis, and an invalidation made here reaches all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

import anyio
import click

from plughost.contracts import Cache, CacheManager, CommandLine, counted, json_option
from plughost.exceptions import ConfigError, ServiceError, did_you_mean

_PATIENCE: Final = 5.0
_LOOK_AGAIN: Final = 0.02


@click.group("cache")
def cache_group() -> None:
    """Inspect and clear caches."""


@cache_group.command("status")
@json_option
@click.pass_obj
def status(line: CommandLine) -> None:
    """Show where values are kept, and whether Redis answers. Exit 3 when it does not."""

    async def work(host: Any) -> dict[str, Any]:
        return dict(_caches(host).status())

    found = line.run(work)
    line.show(found, _table(found.items()))
    if not found["available"]:
        raise SystemExit(3)


@cache_group.command("stats")
@json_option
@click.pass_obj
def stats(line: CommandLine) -> None:
    """Show the figures of each cache, as this process sees them."""

    async def work(host: Any) -> dict[str, Any]:
        caches = _caches(host)
        for name in _configured(host):
            caches.get(name)
        return {name: asdict(found) for name, found in caches.stats().items()}

    found = line.run(work)
    rows = [
        f"{name:>20}  {figures['backend']:>7}  {counted(figures['entries'], 'entry', 'entries'):>16}"
        f"  {figures['hit_rate']:.0%} hits"
        for name, figures in found.items()
    ]
    line.show({"caches": found}, "\n".join(rows) or "no caches")


@cache_group.command("keys")
@click.argument("name", default="default")
@click.option("--limit", default=100, show_default=True, help="How many at most.")
@json_option
@click.pass_obj
def keys(line: CommandLine, name: str, limit: int) -> None:
    """List the keys of a cache; in development only (debug = true)."""

    async def work(host: Any) -> list[str]:
        caches = _caches(host)
        if not caches.debug:
            raise click.ClickException(
                "listing keys is for development: set debug = true for the cache plugin"
            )
        return await (await _cache(host, caches, name)).keys(limit)

    found = line.run(work)
    line.show({"cache": name, "keys": found}, "\n".join(found) or "no keys")


@cache_group.command("get")
@click.argument("name")
@click.argument("key")
@json_option
@click.pass_obj
def get(line: CommandLine, name: str, key: str) -> None:
    """Show one entry; in development only (debug = true). Exit 1 when it is not there."""

    async def work(host: Any) -> dict[str, Any] | None:
        caches = _caches(host)
        if not caches.debug:
            raise click.ClickException(
                "showing values is for development: set debug = true for the cache plugin"
            )
        entry = await (await _cache(host, caches, name)).entry(key)
        return None if entry is None else {**asdict(entry), "value": repr(entry.value)}

    found = line.run(work)
    if found is None:
        raise click.ClickException(f"nothing is kept under {key!r} in the cache {name!r}")
    line.show(found, _table(found.items()))


@cache_group.command("clear")
@click.argument("name", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def clear(line: CommandLine, name: str | None, yes: bool) -> None:
    """Clear one cache, or all of them."""
    if not yes:
        click.confirm(f"Clear {'all caches' if name is None else name}?", abort=True, err=True)

    async def work(host: Any) -> tuple[list[str], str]:
        caches = _caches(host)
        names = [name] if name is not None else sorted(_known(host, caches))
        for one in names:
            await (await _cache(host, caches, one)).clear()
        return names, await _reach(caches)

    cleared, reach = line.run(work)
    line.show({"cleared": cleared}, f"cleared: {', '.join(cleared)}")
    if reach:
        line.talk(reach)


@cache_group.command("invalidate")
@click.argument("name")
@click.option("--key", "key_", multiple=True, help="A key; may be repeated.")
@click.option("--tag", multiple=True, help="A tag; may be repeated.")
@click.option("--glob", multiple=True, help="A shell pattern; may be repeated.")
@click.option("--regex", multiple=True, help="A regular expression; may be repeated.")
@json_option
@click.pass_obj
def invalidate(
    line: CommandLine,
    name: str,
    key_: tuple[str, ...],
    tag: tuple[str, ...],
    glob: tuple[str, ...],
    regex: tuple[str, ...],
) -> None:
    """Invalidate by key, tag, shell pattern or regular expression, in every instance."""
    if not (key_ or tag or glob or regex):
        raise click.UsageError("say what: --key, --tag, --glob or --regex")

    async def work(host: Any) -> tuple[int, str]:
        caches = _caches(host)
        cache = await _cache(host, caches, name)
        removed = await cache.delete_many(key_) if key_ else 0
        removed += await cache.invalidate_tag(*tag) if tag else 0
        for pattern in glob:
            removed += await cache.invalidate_glob(pattern)
        for pattern in regex:
            removed += await cache.invalidate_regex(pattern)
        return removed, await _reach(caches)

    try:
        removed, reach = line.run(work)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    line.show({"cache": name, "removed": removed}, "invalidated")
    if reach:
        line.talk(reach)


@cache_group.command("cleanup")
@json_option
@click.pass_obj
def cleanup(line: CommandLine) -> None:
    """Remove what was invalidated but still takes space on the server."""

    async def work(host: Any) -> int:
        caches = _caches(host)
        for name in _configured(host):
            caches.get(name)
        removed = await caches.cleanup()
        if not caches.status()["available"]:
            raise _is_away(caches)
        return removed

    removed = line.run(work)
    line.show({"removed": removed}, f"{removed} removed")


def _caches(host: Any) -> CacheManager:
    try:
        found: CacheManager = host.use(CacheManager)
    except ServiceError as error:
        raise click.ClickException(f"the cache plugin does not run: {error}") from error
    return found


async def _reach(caches: CacheManager) -> str:
    """Wait until the shared server has heard of a change; return what to say of one that no running host hears of.

    Raises:
        ClickException: The server is away, and what this process remembers for it ends with this process.
    """
    if caches.status()["mode"] == "memory":
        return (
            "These caches are kept in the memory of each process: a host that runs was not told."
            " Its admin page clears them."
        )
    with anyio.move_on_after(_PATIENCE):
        while caches.status().get("journal"):  # noqa: ASYNC110  the link makes up for what was missed by itself
            await anyio.sleep(_LOOK_AGAIN)
        return ""
    raise _is_away(caches)


def _is_away(caches: CacheManager) -> click.ClickException:
    status = caches.status()
    return click.ClickException(
        f"{status.get('server', 'the shared server')} is away ({status.get('error') or 'no answer'}): nothing was "
        f"changed there. Do it again when `plughost cache status` finds it"
    )


def _configured(host: Any) -> list[str]:
    record = host.plugin("cache")
    config = record.config if record is not None else {}
    return ["default", *(config.get("caches") or {})]


def _known(host: Any, caches: CacheManager) -> set[str]:
    return {*_configured(host), *caches.names()}


async def _cache(host: Any, caches: CacheManager, name: str) -> Cache:
    """Return a cache that there is: a manager makes any that is asked for, and a misspelt one would be empty.

    Raises:
        UsageError: It is in no setting, no plugin has made it here, and nothing is kept in it.
    """
    known = _known(host, caches)
    try:
        cache = caches.get(name)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    # A running host may have made it while it served, and shares what is in it.
    if name not in known and not await cache.keys(1):
        raise click.UsageError(
            f"there is no cache {name!r}: it is not configured, and nothing is kept in it."
            f"{did_you_mean(name, known)} Known here: {', '.join(sorted(known))}"
        )
    return cache


def _table(rows: Iterable[tuple[str, object]]) -> str:
    return "\n".join(f"{name:>14}  {value}" for name, value in rows)
