"""What each person keeps here: titles to watch, what was watched, and settings. One SQLite file; every method waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from plughost.contracts import OwnDatabase, own_folder

MOST_TITLES: Final = 1000
MOST_SETTINGS: Final = 100
_KEPT_EVENTS: Final = 10_000
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS watchlist (
    user TEXT, kind TEXT, id INTEGER, title TEXT NOT NULL, poster_path TEXT NOT NULL, added_at REAL NOT NULL,
    PRIMARY KEY (user, kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS watch_event (
    user TEXT, machine TEXT, key TEXT, at REAL NOT NULL, PRIMARY KEY (user, machine, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS user_setting (user TEXT, name TEXT, value TEXT NOT NULL, PRIMARY KEY (user, name))
    WITHOUT ROWID;
"""


_RENEWED: Final = """
CREATE TABLE IF NOT EXISTS renewed (kind TEXT, id INTEGER, at REAL NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;
"""


def who(user_id: str) -> str:
    """Return what a user's things stand under here: as a request of that user is known by."""
    return f"session:{user_id}"


Kind = Literal["movie", "tv"]
SettingName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
SettingValue = Annotated[str, Meta(max_length=1024)] | int | float | bool | None


LARGEST_ID: Final = 999_999_999


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A title that somebody wants to watch.

    Attributes:
        kind: What it is at TMDB.
        id: Its number there.
        title: How it is called.
        poster_path: Its poster, as TMDB names it; empty for none.
    """

    kind: Kind
    id: Annotated[int, Meta(ge=1, le=LARGEST_ID)]
    title: Annotated[str, Meta(min_length=1, max_length=300)]
    poster_path: Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9]{1,64}\.(jpg|png))?$")] = ""


class FullError(Exception):
    """Somebody keeps as much as anybody may."""


class People:
    """The file.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        own_folder(path.parent)
        self._file = OwnDatabase(path, lambda connection: connection.executescript(_TABLES))
        self._file.open()

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def listed(self, user: str) -> list[Listed]:
        """Return what somebody wants to watch, the latest first."""
        query = "SELECT kind, id, title, poster_path FROM watchlist WHERE user = ? ORDER BY added_at DESC, id"
        return [Listed(*row) for row in self._all(query, user)]

    def add(self, user: str, titles: Iterable[Listed], at: float) -> int:
        """Put titles on somebody's list, unless they are there; how many were not.

        Raises:
            FullError: The list has as many as it may; what came before stays.
        """
        known = {(title.kind, title.id) for title in self.listed(user)}
        before = len(known)
        for title in titles:
            if (title.kind, title.id) in known:
                continue
            if len(known) >= MOST_TITLES:
                raise FullError(f"your list has {MOST_TITLES} titles; take one off it first")
            row = (user, title.kind, title.id, title.title, title.poster_path, at)
            self._all("INSERT OR IGNORE INTO watchlist VALUES (?, ?, ?, ?, ?, ?)", *row)
            known.add((title.kind, title.id))
        return len(known) - before

    def remove(self, user: str, kind: str, number: int) -> bool:
        """Take a title off somebody's list; whether it was there."""
        query = "DELETE FROM watchlist WHERE user = ? AND kind = ? AND id = ? RETURNING id"
        return bool(self._all(query, user, kind, number))

    def named_before(self, at: float, most: int) -> list[tuple[str, Listed, float]]:
        """Return titles of lists whose names are of before a time, the oldest first: who lists it, it, and since when.

        Args:
            at: The time.
            most: How many at most.
        """
        self._all(_RENEWED)  # not made at the start: a backup of before that was put back has none
        query = (
            "SELECT MIN(user), kind, id, title, poster_path, MIN(MAX(added_at, COALESCE(at, 0))) AS named"
            " FROM watchlist LEFT JOIN renewed USING (kind, id) GROUP BY kind, id HAVING named < ?"
            " ORDER BY named LIMIT ?"
        )
        rows = self._all(query, at, most)
        return [(user, Listed(*title), named) for user, *title, named in rows]

    def rename(self, title: Listed, at: float | None) -> None:
        """Call a title so on all lists; with a time, that is what its name is of."""
        query = "UPDATE watchlist SET title = ?, poster_path = ? WHERE kind = ? AND id = ?"
        self._all(query, title.title, title.poster_path, title.kind, title.id)
        if at is not None:
            self._all(_RENEWED)
            self._all("INSERT OR REPLACE INTO renewed VALUES (?, ?, ?)", title.kind, title.id, at)

    def watched(self, user: str, machine: str, key: str, at: float | None) -> None:
        """Note that somebody watched something at a time, or with None that it was not watched after all."""
        if at is None:
            self._all(
                "DELETE FROM watch_event WHERE user = ? AND machine = ? AND key = ?", user, machine, key
            )
            return
        self._all("INSERT OR REPLACE INTO watch_event VALUES (?, ?, ?, ?)", user, machine, key, at)
        self._all(
            "DELETE FROM watch_event WHERE user = ? AND at < (SELECT at FROM watch_event WHERE user = ?"
            " ORDER BY at DESC LIMIT 1 OFFSET ?)",
            user, user, _KEPT_EVENTS - 1,
        )  # fmt: skip

    def history(self, user: str, size: int, before: float) -> list[Mapping[str, Any]]:
        """Return what somebody watched before a time, the latest first."""
        query = "SELECT machine, key, at FROM watch_event WHERE user = ? AND at < ? ORDER BY at DESC LIMIT ?"
        rows = self._all(query, user, before, size)
        return [{"machine": machine, "key": key, "at": at} for machine, key, at in rows]

    def settings(self, user: str) -> dict[str, SettingValue]:
        """Return somebody's settings."""
        rows = self._all("SELECT name, value FROM user_setting WHERE user = ? ORDER BY name", user)
        return {name: msgspec.json.decode(value) for name, value in rows}

    def change(self, user: str, settings: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
        """Change somebody's settings, None removes one; all of them are returned.

        Raises:
            FullError: It would be more than anybody may have; nothing is changed.
        """
        known = {**self.settings(user), **settings}
        if sum(value is not None for value in known.values()) > MOST_SETTINGS:
            raise FullError(f"there may be {MOST_SETTINGS} settings; remove one first")
        with self._file.connected() as connection, closing(connection.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                for name, value in settings.items():
                    cursor.execute("DELETE FROM user_setting WHERE user = ? AND name = ?", (user, name))
                    if value is not None:
                        row = (user, name, msgspec.json.encode(value).decode())
                        cursor.execute("INSERT INTO user_setting VALUES (?, ?, ?)", row)
                cursor.execute("COMMIT")
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
        return self.settings(user)

    def _all(self, query: str, *values: object) -> Sequence[Any]:
        with self._file.connected() as connection, closing(connection.execute(query, values)) as cursor:
            return cursor.fetchall()
