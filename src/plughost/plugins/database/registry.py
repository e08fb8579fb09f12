"""Which databases are open, and which apps are on them."""

from __future__ import annotations

from collections.abc import Iterator

from plughost.plugins.database.database import Database


class OpenDatabases:
    """The databases this plugin opened and has not closed."""

    def __init__(self) -> None:
        self._by_engine: dict[int, Database] = {}
        self._by_app: dict[str, Database] = {}

    def add(self, database: Database) -> None:
        """Keep a database that was opened."""
        self._by_engine[id(database.engine)] = database

    def behind(self, connection: object) -> Database | None:
        """Return the database whose engine that is; None for a connection that another plugin opened."""
        return self._by_engine.get(id(connection))

    def of_app(self, app_name: str) -> Database | None:
        """Return the database an app is on."""
        return self._by_app.get(app_name)

    def at(self, url: object) -> Database | None:
        """Return the open database with exactly that url."""
        return next((database for database in self._by_engine.values() if database.url == url), None)

    def connect(self, app_name: str, database: Database) -> None:
        """Note that an app is on a database."""
        self._by_app[app_name] = database

    def disconnect(self, app_name: str) -> None:
        """Note that an app left its database, which stays open."""
        self._by_app.pop(app_name, None)

    def remove(self, database: Database) -> None:
        """Forget a database that is being closed."""
        self._by_engine.pop(id(database.engine), None)

    def apps_on(self, database: Database) -> tuple[str, ...]:
        """Return the names of the apps on a database, sorted."""
        return tuple(sorted(name for name, other in self._by_app.items() if other is database))

    def __iter__(self) -> Iterator[Database]:
        return iter(tuple(self._by_engine.values()))

    def __len__(self) -> int:
        return len(self._by_engine)
