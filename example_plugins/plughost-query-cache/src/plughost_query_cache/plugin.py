"""The plugin: results are found under a version of the database that every write of this process raises."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta, Struct, json
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import CacheManager, HealthCheck, UnregisterOptions
from plughost.exceptions import ServiceError
from plughost_query_cache.results import LocalResults

_READS: Final = re.compile(r"\s*(SELECT|EXPLAIN|SHOW|PRAGMA\s+\w+\s*$|VALUES)\b", re.IGNORECASE)
_QUIET: Final = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b", re.IGNORECASE)
_WROTE: Final = "plughost_query_cache_wrote"


class QueryCacheConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``[plugins.query_cache.config]``.

    Attributes:
        ttl: Seconds a result is good for at most; what another process writes is seen after that.
        max_entries: How many results are kept when no cache plugin runs.
    """

    ttl: Annotated[float, Meta(gt=0)] = 60.0
    max_entries: Annotated[int, Meta(ge=1)] = 1000


@dataclass(slots=True)
class _Database:
    engine: AsyncEngine
    mark: str = field(default_factory=lambda: secrets.token_hex(8))  # two processes never share results
    version: int = 0
    hits: int = 0
    misses: int = 0


class QueryCache:
    """The service: ``host.use(QueryCache)``."""

    def __init__(self, results: Any, ttl: float) -> None:
        self._results, self._ttl = results, ttl
        self._databases: dict[str, _Database] = {}

    async def fetch(
        self,
        app_name: str,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        ttl: float | None = None,
    ) -> list[dict[str, Any]]:
        """Return the rows of a query, from the cache when nothing was written since.

        Args:
            app_name: Whose database to ask.
            sql: One reading statement, with parameters as ``:name``.
            parameters: Their values, of kinds that JSON has.
            ttl: Seconds the result is good for at most; None takes the configuration's.

        Raises:
            LookupError: The app has no SQLAlchemy database.
            ValueError: The statement does not begin like a reading one.
        """
        if app_name not in self._databases:
            raise LookupError(f"app {app_name!r} has no SQLAlchemy database here; is it registered?")
        if not _READS.match(sql):
            raise ValueError("only statements that begin with SELECT, VALUES, EXPLAIN or SHOW are cached")
        database = self._databases[app_name]
        loaded = False

        async def load() -> list[dict[str, Any]]:
            nonlocal loaded
            loaded = True
            async with database.engine.connect() as connection:
                rows = await connection.execute(text(sql), dict(parameters or {}))
                return [dict(row) for row in rows.mappings()]

        # The version is read before the query runs: a result that a write overtook is kept under a version that
        # nobody asks for any more.
        key = _key(database, sql, parameters)
        rows: list[dict[str, Any]] = await self._results.get_or_set(key, load, ttl=ttl or self._ttl)
        database.hits += not loaded
        database.misses += loaded
        return rows

    def invalidate(self, app_name: str) -> None:
        """Forget all results of an app's database, for writes that went past its engine."""
        self._databases[app_name].version += 1

    def watch(self, app_name: str, engine: AsyncEngine) -> None:
        """Begin to serve an app; apps on one engine share results and invalidations."""
        known = next((known for known in self._databases.values() if known.engine is engine), None)
        self._databases[app_name] = known or _listening(_Database(engine))

    def forget(self, app_name: str) -> None:
        """Serve an app no longer."""
        self._databases.pop(app_name, None)

    def figures(self, app_name: str) -> dict[str, int] | None:
        """How often results came from the cache; None for an app that is not served."""
        found = self._databases.get(app_name)
        return (
            None if found is None else {"hits": found.hits, "misses": found.misses, "version": found.version}
        )


def _key(database: _Database, sql: str, parameters: Mapping[str, Any] | None) -> str:
    asked = json.encode((sql, sorted((parameters or {}).items())))
    return f"{database.mark}:{database.version}:{hashlib.sha256(asked).hexdigest()}"


def _listening(database: _Database) -> _Database:
    engine = database.engine.sync_engine

    @event.listens_for(engine, "after_cursor_execute")
    def note(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not (_READS.match(statement) or _QUIET.match(statement)):
            connection.info[_WROTE] = True

    @event.listens_for(engine, "commit")
    def raise_version(connection: Any) -> None:
        # Before the commit, and once more after it would be safe; the pool's checkin is the moment after it.
        if connection.info.get(_WROTE):
            database.version += 1

    @event.listens_for(engine, "checkin")
    def raise_again(_connection: Any, record: Any) -> None:
        # What was read between the first raise and the commit is old, and was kept under the first version.
        if record.info.pop(_WROTE, False):
            database.version += 1

    return database


class QueryCachePlugin(Plugin):
    """Watches the databases of apps and offers ``QueryCache``."""

    name = "query_cache"
    version = "1.0.0"
    after = ("cache", "database")
    Config: ClassVar[type[Any] | None] = QueryCacheConfig

    async def start(self, context: PluginContext) -> None:
        """Take the cache service when there is one, and a small cache of its own otherwise."""
        config: QueryCacheConfig = context.config
        try:
            results: Any = context.use(CacheManager).get("queries")
        except ServiceError:
            results = LocalResults(config.max_entries)
        self._queries = QueryCache(results, config.ttl)
        context.provide(QueryCache, self._queries)

    @hookimpl
    def connection_created(self, app_name: str, connection: object) -> None:
        """Serve the app, if its connection is a SQLAlchemy engine."""
        if isinstance(connection, AsyncEngine):
            self._queries.watch(app_name, connection)

    @hookimpl
    def connection_shutdown(self, app_name: str, options: UnregisterOptions) -> None:
        """Serve the app no longer."""
        self._queries.forget(app_name)

    @hookimpl
    def health_check(self, app_name: str | None) -> HealthCheck | None:
        """Tell hits and misses."""
        figures = self._queries.figures(app_name) if app_name else None
        return None if figures is None else HealthCheck(name="query_cache", figures=figures)
