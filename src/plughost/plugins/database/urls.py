"""Database urls: the driver filled in, the file behind it, and a form that may be printed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from plughost.exceptions import ConfigError

ASYNC_DRIVERS: Final = {
    "sqlite": "aiosqlite",
    "postgresql": "psycopg",
    "mysql": "aiomysql",
    "mariadb": "aiomysql",
    "mssql": "aioodbc",
    "oracle": "oracledb",
}
"""The driver that is filled in for a url that names none."""

# The same database through a blocking driver, for Alembic in a worker thread; others migrate on the async
# one.
_BLOCKING_DRIVERS: Final = {"sqlite": "pysqlite", "postgresql": "psycopg"}
_OLD_NAMES: Final = {"postgres": "postgresql"}


def parse_url(app_name: str, text: str, base: Path = Path()) -> URL | None:
    """Return the url with an async driver in it, or None when SQLAlchemy has no dialect of that name.

    A url that names a driver keeps it, unless it is SQLite's or PostgreSQL's blocking one. A SQLite file that is named
    by a relative path is seen from ``base``.

    Raises:
        ConfigError: It is not a url. The text is not repeated, because a mistyped url may hold a password
            anywhere.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        path = f"apps.{app_name}.url"
        raise ConfigError(
            f"{path} is not a database url; write it as 'sqlite:///file.db' or 'postgresql://user@host/name'",
            path=path,
        ) from None
    backend, _, driver = url.drivername.partition("+")
    backend = _OLD_NAMES.get(backend, backend)
    if not driver or driver == _BLOCKING_DRIVERS.get(backend):
        driver = ASYNC_DRIVERS.get(backend, driver)
    url = url.set(drivername=f"{backend}+{driver}" if driver else backend)
    try:
        url.get_dialect()
    except NoSuchModuleError:
        return None
    file = sqlite_file(url)
    return url if file is None else url.set(database=str(base / file))


def blocking_url(url: URL) -> URL | None:
    """Return the same database's url for a blocking driver, or None when this connection is the only way in.

    A database in memory lives inside its connection; for other backends no blocking driver is known to be
    installed.
    """
    driver = _BLOCKING_DRIVERS.get(url.get_backend_name())
    if driver is None or (url.get_backend_name() == "sqlite" and sqlite_file(url) is None):
        return None
    return url.set(drivername=f"{url.get_backend_name()}+{driver}")


def sqlite_file(url: URL) -> Path | None:
    """Return the file behind a SQLite url; None for one in memory, for URI names and for other backends."""
    name = url.database
    if url.get_backend_name() != "sqlite" or not name or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name)


def printable(url: URL) -> str:
    """Return the url as it may be shown: the password hidden, and options too, because they may hold one."""
    return url.set(query={}).render_as_string(hide_password=True)


def scrub(url: URL, text: str) -> str:
    """Return a driver's message without the url's password in any spelling."""
    options = [value for key, value in url.query.items() if "pass" in key.lower() or "secret" in key.lower()]
    secrets = {part for value in options for part in ([value] if isinstance(value, str) else value)}
    for secret in secrets | {url.password or "", url.render_as_string(hide_password=False)}:
        if secret:
            text = text.replace(secret, "***")
    return text
