"""What an administrator can do, once for the API and the page; each says what came of it after looking again."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from anyio.lowlevel import checkpoint
from msgspec import Meta, Struct, field
from msgspec.structs import replace

from plughost import Host
from plughost.contracts import (
    RUNNING_STATES,
    CacheManager,
    PluginRecord,
    PluginState,
    Session,
    SessionManager,
    counted,
    for_json,
)
from plughost.exceptions import ConfigError, PluginError, PluginNotFoundError
from plughost.http import Problem
from plughost.plugins.admin.documents import Document
from plughost.plugins.admin.figures import SESSIONS_COUNTED, cache_named, caches_of, sessions_of
from plughost.plugins.admin.logs import level_of, set_level
from plughost.plugins.admin.offers import OWN_NAME
from plughost.plugins.admin.traces import HookTrace

_FIRST_TURNS = 5  # a task that cannot even begin has crashed by then, and the host has noted it

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class Done(Struct, frozen=True):
    """What an action did.

    Attributes:
        sentence: For a person: what was done, and whether looking again confirmed it.
        confirmed: Whether it did.
        figures: The same for programs.
        plugin: Which plugin it left in which state, when it was about one.
    """

    sentence: str
    confirmed: bool = True
    figures: Document = field(default_factory=dict)
    plugin: PluginRecord | None = None

    def still(self, host: Host) -> Done:
        """Return what it did as it stands now: what it left behind may have crashed since."""
        then = self.plugin
        now = host.plugin(then.name) if then is not None else None
        if then is None or now is None or now.state is then.state or now.generation != then.generation:
            return self
        first, _, _ = self.sentence.partition(", confirmed.")
        why = f": {now.reason}" if now.reason else "."
        return Done(f"{first}, but is {now.state.value} by now{why}", False, self.figures)


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an action that needs to be told nothing."""


class OfUser(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose sessions."""

    id: Name


class OneSession(Struct, frozen=True, forbid_unknown_fields=True):
    """Which session of which user."""

    id: Name
    handle: Name


class OfCache(Struct, frozen=True, forbid_unknown_fields=True):
    """Which cache; None for all of them."""

    cache: Name | None = None


class Invalidation(Struct, frozen=True, forbid_unknown_fields=True):
    """What to invalidate in which cache: exactly one of the four."""

    cache: Name = "default"
    key: Annotated[str, Meta(max_length=1000)] | None = None
    tag: Annotated[str, Meta(max_length=200)] | None = None
    glob: Annotated[str, Meta(max_length=500)] | None = None
    regex: Annotated[str, Meta(max_length=500)] | None = None


class OfPlugin(Struct, frozen=True, forbid_unknown_fields=True):
    """Which plugin."""

    name: Name


class OfJob(Struct, frozen=True, forbid_unknown_fields=True):
    """Which job, as it is listed: its name, or ``plugin:name`` when several plugins have one of that name."""

    name: Name


class OfLog(Struct, frozen=True, forbid_unknown_fields=True):
    """From which level on the log of which plugin is written."""

    name: Name
    level: Literal["debug", "info", "warning", "error"]


class Action(Struct, frozen=True, kw_only=True):
    """One thing an administrator can do.

    Attributes:
        tab: On which tab it is.
        name: Last part of its address on the page.
        api: Method and path below ``/admin/api``.
        scope: What it needs.
        body: What it must be told.
        run: Does it.
        summary: One sentence on what it does.
        rate: The rate class it counts in.
    """

    tab: str
    name: str
    api: tuple[str, str]
    scope: str
    body: type[Any]
    run: Callable[[Host, Any], Awaitable[Done]]
    summary: str
    rate: str = "write"

    @property
    def verb(self) -> str:
        """What the audit trail calls it."""
        return f"{self.tab}.{self.name}"


async def clean_sessions(host: Host, _: Nothing) -> Done:
    """Remove expired sessions from the store."""
    sessions = sessions_of(host)
    report = await sessions.cleanup_expired()
    left = (await sessions.stats()).expired  # 0 for a store that counts none, and cleans up by itself
    confirmed = left == 0
    otherwise = f"{counted(left, 'session')} left"
    sentence = f"{counted(report.removed, 'expired session')} removed, {_confirmed(confirmed, otherwise)}"
    return Done(sentence, confirmed, {"removed": report.removed, "expired": left})


async def end_user(host: Host, of: OfUser) -> Done:
    """End all sessions of a user."""
    sessions = sessions_of(host)
    ended = await sessions.destroy_user(of.id)
    left = len(await sessions.list_user(of.id, SESSIONS_COUNTED))
    store = (await sessions.stats()).store
    otherwise = f"{counted(left, 'session')} there now"
    sentence = (
        f"{counted(ended, 'session')} of {of.id} ended in store {store}, {_confirmed(left == 0, otherwise)}"
    )
    return Done(sentence, left == 0, {"ended": ended, "left": left, "store": store})


async def end_one(host: Host, of: OneSession) -> Done:
    """End one session of a user."""
    sessions = sessions_of(host)
    session = await _listed(sessions, of)
    if session is None or not await sessions.end_handle(of.id, of.handle):
        raise Problem(404, f"User {of.id} has no session {of.handle}.", code="not_found")
    gone = await _listed(sessions, of, since=session.created_at) is None
    return Done(f"Session {of.handle} of {of.id} ended, {_confirmed(gone, 'it is still listed')}", gone)


async def _listed(sessions: SessionManager, of: OneSession, since: float = -math.inf) -> Session | None:
    """Return the session, or None; one that began at that time or later is as far down the list as that at most."""
    most = SESSIONS_COUNTED
    while True:
        listed = await sessions.list_user(of.id, most)
        found = next((session for session in listed if session.handle == of.handle), None)
        if found is not None or len(listed) < most or listed[-1].created_at < since:
            return found
        most *= 10


async def clear_cache(host: Host, of: OfCache) -> Done:
    """Remove every entry of one cache, or of all."""
    caches = caches_of(host)
    before = _entries(caches, of.cache)
    if of.cache is None:
        await caches.clear()
    else:
        await cache_named(caches, of.cache).clear()
    left = _entries(caches, of.cache)
    what = "All caches" if of.cache is None else f"Cache {of.cache}"
    otherwise = f"{counted(left, 'entry', 'entries')} there now"
    sentence = f"{what} cleared of {counted(before, 'entry', 'entries')}, {_confirmed(left == 0, otherwise)}"
    return Done(sentence, left == 0, {"removed": before, "entries": left})


async def warm_cache(host: Host, of: OfCache) -> Done:
    """Load what plugins want warm."""
    caches = caches_of(host)
    if of.cache is not None:
        cache_named(caches, of.cache)
    loaded = await caches.warm(of.cache)
    entries = _entries(caches, of.cache)
    return Done(
        f"{counted(loaded, 'key')} loaded; {counted(entries, 'entry', 'entries')} in memory now.",
        True,
        {"loaded": loaded, "entries": entries},
    )


async def reset_cache_stats(host: Host, of: OfCache) -> Done:
    """Count hits and misses from zero again."""
    caches = caches_of(host)
    names = [of.cache] if of.cache is not None else list(caches.names())
    for name in names:
        cache_named(caches, name).reset_stats()
    stats = caches.stats()
    left = sum(stats[name].hits + stats[name].misses for name in names)
    otherwise = f"{counted(left, 'question')} came meanwhile"
    sentence = f"{counted(len(names), 'cache')} counted from zero again, {_confirmed(left == 0, otherwise)}"
    return Done(sentence, True, {"caches": names})


async def clean_cache(host: Host, of: OfCache) -> Done:
    """Remove entries that are past their time."""
    caches = caches_of(host)
    removed = await (caches.cleanup() if of.cache is None else cache_named(caches, of.cache).cleanup())
    entries = _entries(caches, of.cache)
    gone = counted(removed, "expired entry", "expired entries")
    sentence = f"{gone} removed; {counted(entries, 'entry', 'entries')} left."
    return Done(sentence, True, {"removed": removed, "entries": entries})


async def invalidate(host: Host, what: Invalidation) -> Done:
    """Invalidate by key, tag, glob or regular expression."""
    given = {name: value for name in ("key", "tag", "glob", "regex") if (value := getattr(what, name))}
    if len(given) != 1:
        raise Problem(422, "Say exactly one of key, tag, glob and regex.", code="invalid_body")
    cache = cache_named(caches_of(host), what.cache)
    ((kind, value),) = given.items()
    ways: dict[str, Callable[[str], Awaitable[int]]] = {
        "key": cache.delete,
        "tag": cache.invalidate_tag,
        "glob": cache.invalidate_glob,
        "regex": cache.invalidate_regex,
    }
    try:
        removed = int(await ways[kind](value))
    except ValueError as error:
        raise Problem(422, f"{error}.", code="invalid_body") from error
    detail = f"by {kind} {value!r}"
    if kind == "key":
        gone = not await cache.exists(value)
        return Done(f"{counted(removed, 'entry', 'entries')} of {what.cache} invalidated {detail}, "
                    f"{_confirmed(gone, 'it was stored anew')}", gone, {"removed": removed})  # fmt: skip
    return Done(
        f"{counted(removed, 'entry', 'entries')} of {what.cache} invalidated {detail}.",
        True,
        {"removed": removed},
    )


async def reload_all(host: Host, _: Nothing) -> Done:
    """Reload every running plugin, dependencies first."""
    before = {
        name: record.generation for name, record in host.plugins.items() if record.state in RUNNING_STATES
    }
    try:
        await host.reload_plugins()
    except PluginError as error:
        raise _refused(error) from error
    after = host.plugins
    anew = [n for n, generation in before.items() if n in after and after[n].generation > generation]
    confirmed = len(anew) == len(before)
    sentence = f"{counted(len(anew), 'plugin')} reloaded, {_confirmed(confirmed, 'not all of them')}"
    return Done(sentence, confirmed, {"reloaded": anew})


async def reload_plugin(host: Host, of: OfPlugin) -> Done:
    """Start a plugin anew in its own place; changed code is read again."""
    known = _plugin(host, of.name)
    try:
        await host.reload_plugin(of.name)
    except PluginError as error:
        raise _refused(error) from error
    record = await _settled(host, of.name)
    confirmed = record.state is PluginState.READY and record.generation > known.generation
    took = f" in {record.timings.started * 1000:.0f} ms" if record.timings.started is not None else ""
    sentence = f"{of.name} started anew{took}, {_confirmed(confirmed, _how(record))}"
    return Done(sentence, confirmed, _told(record), record)


async def unload_plugin(host: Host, of: OfPlugin) -> Done:
    """Stop a plugin, and those that require it."""
    return await _stop(host, of, host.unload_plugin)


async def _stop(host: Host, of: OfPlugin, stop: Callable[[str], Awaitable[bool]]) -> Done:
    _plugin(host, of.name)
    if of.name == OWN_NAME:
        raise Problem(
            409, "This page is the plugin admin: stop it with `plughost disable admin`.", code="conflict"
        )
    running = _running(host)
    try:
        was_running = await stop(of.name)
    except PluginError as error:
        raise _refused(error) from error
    record = _plugin(host, of.name)
    stopped = record.state not in RUNNING_STATES
    others = sorted(running - _running(host) - {of.name})
    more = f", and with it {', '.join(others)}, which require it" if others else ""
    what = f"{of.name} stopped{more}" if was_running else f"{of.name} was not running"
    sentence = f"{what}, {_confirmed(stopped, _how(record))}"
    return Done(sentence, stopped, {**_told(record), "also_stopped": others})


async def load_plugin(host: Host, of: OfPlugin) -> Done:
    """Start a plugin that was found but does not run."""
    return await _start(host, of, host.load_plugin)


async def _start(host: Host, of: OfPlugin, start: Callable[[str], Awaitable[PluginRecord]]) -> Done:
    known = _plugin(host, of.name)
    if known.state in RUNNING_STATES:
        return Done(f"{of.name} runs already.", True, _told(known), known)
    try:
        await start(of.name)
    except PluginError as error:
        raise _refused(error) from error
    record = await _settled(host, of.name)
    confirmed = record.state is PluginState.READY
    sentence = f"{of.name} started, {_confirmed(confirmed, _how(record))}"
    return Done(sentence, confirmed, _told(record), record)


async def _settled(host: Host, name: str) -> PluginRecord:
    """Return the record of a plugin that was just started, after its background tasks had their first turn."""
    for _ in range(_FIRST_TURNS):
        await checkpoint()
    return _plugin(host, name)


def _how(record: PluginRecord) -> str:
    return f"it is {record.state.value}" + (f", {record.reason.rstrip('.')}" if record.reason else "")


async def enable_plugin(host: Host, of: OfPlugin) -> Done:
    """Switch a plugin on, now and for the next start."""
    done = await _start(host, of, host.enable_plugin)
    return _with_future(host, of.name, True, done)


async def disable_plugin(host: Host, of: OfPlugin) -> Done:
    """Switch a plugin off, now and for the next start."""
    done = await _stop(host, of, host.disable_plugin)
    return _with_future(host, of.name, False, done)


async def set_log_level(host: Host, of: OfLog) -> Done:
    """Write what a plugin logs from another level on, until the process ends."""
    name = _plugin(host, of.name).name
    set_level(name, of.level)
    confirmed = level_of(name) == of.level
    how = _confirmed(confirmed, f"it is {level_of(name)}")
    return Done(f"The log of {name} is written from {of.level} on, {how}", confirmed, {"level": of.level})


async def start_trace(host: Host, _: Nothing) -> Done:
    """Note every hook call from now on."""
    trace = host.use(HookTrace)
    trace.start(host)
    return Done("Hook calls are traced, confirmed.", trace.on, {"on": trace.on})


async def stop_trace(host: Host, _: Nothing) -> Done:
    """Note no more hook calls."""
    trace = host.use(HookTrace)
    trace.stop()
    return Done("Hook calls are not traced any more, confirmed.", not trace.on, {"on": trace.on})


async def run_job(host: Host, of: OfJob) -> Done:
    """Run a job now."""
    try:
        record = await host.jobs.run_now(of.name)
    except LookupError as error:
        raise Problem(404, str(error), code="not_found") from error
    took = f" in {record.last_duration:.2f} s" if record.last_duration is not None else ""
    if record.last_error:
        return Done(f"Job {of.name} ran{took} and failed: {record.last_error}", False, for_json(record))
    return Done(
        f"Job {of.name} ran{took}, confirmed: {counted(record.runs, 'run')} so far.", True, for_json(record)
    )


def _with_future(host: Host, name: str, enabled: bool, done: Done) -> Done:
    """Have the next start know, too. What was done now is done, and told, whether or not that can be written."""
    try:
        file = host.remember_enabled(name, enabled)
        known, why = file is not None, "There is no configuration file"
    except (ConfigError, OSError) as error:
        file, known = host.loaded_config.file, False
        why = (
            str(error).rstrip(".")
            if isinstance(error, ConfigError)
            else f"{file} cannot be written: {error.strerror}"
        )
    future = f"{why}, so the next start will not know."
    if known and file is not None:
        future = f"{file.name} says {'enabled' if enabled else 'disabled'} now."
    return replace(done, sentence=f"{done.sentence} {future}", figures={**done.figures, "remembered": known})


def _plugin(host: Host, name: str) -> PluginRecord:
    record = host.plugin(name)
    if record is None:
        raise Problem(404, f"There is no plugin {name!r}.", code="not_found")
    return record


def _refused(error: PluginError) -> Problem:
    if isinstance(error, PluginNotFoundError):
        return Problem(404, str(error), code="not_found")
    return Problem(409, str(error), code="plugin_failed", plugin=error.plugin, phase=error.phase)


def _running(host: Host) -> set[str]:
    return {name for name, record in host.plugins.items() if record.state in RUNNING_STATES}


def _told(record: PluginRecord) -> Document:
    return {"plugin": record.name, "state": record.state.value, "generation": record.generation}


def _entries(caches: CacheManager, name: str | None) -> int:
    stats = caches.stats()
    return sum(figures.entries for key, figures in stats.items() if name is None or key == name)


def _confirmed(confirmed: bool, otherwise: str) -> str:
    return "confirmed." if confirmed else f"not confirmed: {otherwise}."


ACTIONS: tuple[Action, ...] = (
    Action(
        tab="sessions", name="cleanup", api=("POST", "/sessions/cleanup"), scope="sessions:write", body=Nothing,
        run=clean_sessions, summary="Remove expired sessions from the store.",
    ),
    Action(
        tab="sessions", name="end-user", api=("DELETE", "/sessions/users/{id}"), scope="sessions:write",
        body=OfUser, run=end_user, summary="End all sessions of a user.",
    ),
    Action(
        tab="sessions", name="end-one", api=("DELETE", "/sessions/users/{id}/{handle}"), scope="sessions:write",
        body=OneSession, run=end_one, summary="End one session of a user.",
    ),
    Action(
        tab="cache", name="clear", api=("POST", "/cache/clear"), scope="cache:write", body=OfCache,
        run=clear_cache, summary="Remove every entry of one cache, or of all.",
    ),
    Action(
        tab="cache", name="flush", api=("POST", "/cache/flush"), scope="cache:write", body=OfCache,
        run=clear_cache, summary="The same as clear; named as operators look for it.",
    ),
    Action(
        tab="cache", name="warm", api=("POST", "/cache/warm"), scope="cache:write", body=OfCache,
        run=warm_cache, summary="Load what plugins want warm.",
    ),
    Action(
        tab="cache", name="reset-stats", api=("POST", "/cache/reset-stats"), scope="cache:write", body=OfCache,
        run=reset_cache_stats, summary="Count hits and misses from zero again.",
    ),
    Action(
        tab="cache", name="cleanup", api=("POST", "/cache/cleanup"), scope="cache:write", body=OfCache,
        run=clean_cache, summary="Remove entries that are past their time.",
    ),
    Action(
        tab="cache", name="invalidate", api=("POST", "/cache/invalidate"), scope="cache:write",
        body=Invalidation, run=invalidate, summary="Invalidate by key, tag, glob or regular expression.",
    ),
    Action(
        tab="plugins", name="reload-all", api=("POST", "/plugins/reload"), scope="plugins:write", body=Nothing,
        run=reload_all, rate="code", summary="Reload every running plugin, dependencies first.",
    ),
    Action(
        tab="plugins", name="reload", api=("POST", "/plugins/{name}/reload"), scope="plugins:write",
        body=OfPlugin, run=reload_plugin, rate="code", summary="Start a plugin anew in its own place.",
    ),
    Action(
        tab="plugins", name="unload", api=("POST", "/plugins/{name}/unload"), scope="plugins:write",
        body=OfPlugin, run=unload_plugin, rate="code", summary="Stop a plugin, and those that require it.",
    ),
    Action(
        tab="plugins", name="load", api=("POST", "/plugins/{name}/load"), scope="plugins:write", body=OfPlugin,
        run=load_plugin, rate="code", summary="Start a plugin that was found but does not run.",
    ),
    Action(
        tab="plugins", name="enable", api=("POST", "/plugins/{name}/enable"), scope="plugins:enable",
        body=OfPlugin, run=enable_plugin, rate="code", summary="Switch a plugin on, now and for the next start.",
    ),
    Action(
        tab="plugins", name="disable", api=("POST", "/plugins/{name}/disable"), scope="plugins:write",
        body=OfPlugin, run=disable_plugin, rate="code", summary="Switch a plugin off, now and for the next start.",
    ),
    Action(
        tab="plugins", name="log-level", api=("POST", "/plugins/{name}/log-level"), scope="plugins:write",
        body=OfLog, run=set_log_level, summary="Write what a plugin logs from another level on.",
    ),
    Action(
        tab="trace", name="start", api=("POST", "/trace/start"), scope="plugins:write", body=Nothing,
        run=start_trace, summary="Trace hook calls from now on.",
    ),
    Action(
        tab="trace", name="stop", api=("POST", "/trace/stop"), scope="plugins:write", body=Nothing,
        run=stop_trace, summary="End the trace of hook calls.",
    ),
    Action(
        tab="health", name="run-job", api=("POST", "/jobs/run"), scope="jobs:write", body=OfJob, run=run_job,
        summary="Run a job now.",
    ),
)  # fmt: skip
"""Everything there is to do, in the order of the page."""
