"""What is on the shelves of a fake Plex server: sections, films, series with seasons and episodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from plughost_media.fakes.films import EPISODES, FILMS, GENRES, SERIES, Title

_ADDED: Final = 1_760_000_000
"""When the first title was added, in seconds since the epoch; one each day."""

Item = dict[str, Any]


class Library:
    """The sections and items of one server.

    Args:
        films: Which films it has.
        series: Which series it has.
    """

    def __init__(self, films: tuple[Title, ...] = FILMS, series: tuple[Title, ...] = SERIES) -> None:
        self.changed_at = _ADDED
        self.changed_sections: dict[str, int] = {}
        self.items: dict[str, Item] = {}
        for item in (*map(_film, films), *(item for title in series for item in _series(title))):
            self.items[item["ratingKey"]] = item

    @property
    def sections(self) -> list[Item]:
        """Its two sections."""
        return [self._section("1", "Films", "movie"), self._section("2", "Series", "show")]

    def of_section(self, key: str) -> list[Item]:
        """Films or series, by section."""
        kind = {"1": "movie", "2": "show"}.get(key)
        return [item for item in self.items.values() if item["type"] == kind]

    def children(self, key: str) -> list[Item]:
        """The seasons of a series, the episodes of a season."""
        return [item for item in self.items.values() if item.get("parentRatingKey") == key]

    def search(self, words: str, section: str = "") -> list[Item]:
        """Items whose title has the words in it."""
        return [
            item
            for item in self.items.values()
            if words.casefold() in item["title"].casefold() and section in ("", item["librarySectionID"])
        ]

    def _section(self, key: str, title: str, kind: str) -> Item:
        return {
            "key": key, "type": kind, "title": title, "agent": f"tv.plex.agents.{kind}", "scanner": "Plex",
            "language": "en-US", "uuid": f"section-{key}", "updatedAt": self.changed_at, "createdAt": _ADDED,
            "scannedAt": self.changed_at, "content": True, "directory": True,
            "contentChangedAt": self.changed_sections.get(key, self.changed_at),
            "hidden": 0, "allowSync": True, "art": "/:/resources/movie-fanart.jpg", "composite": "", "filters": True,
            "refreshing": False, "thumb": "/:/resources/movie.png",
            "Location": [{"id": int(key), "path": f"/media/{title.lower()}"}],
        }  # fmt: skip


def _film(title: Title) -> Item:
    minutes = 60 + title.id % 60
    item = _named(str(title.id), "movie", title, section=("1", "Films"))
    return item | {
        "year": int(title.released[:4] or 1926), "duration": minutes * 60_000, "studio": "A studio",
        "originallyAvailableAt": title.released or "1926-01-25",
        "Genre": [{"tag": GENRES[title.genre]}], "Guid": [{"id": f"tmdb://{title.id}"}],
        "Media": _media(title.id, minutes),
    }  # fmt: skip


def _series(title: Title) -> Iterator[Item]:
    key, section = str(title.id), ("2", "Series")
    yield _named(key, "show", title, section=section) | {
        "year": int(title.released[:4]), "childCount": 1, "leafCount": len(EPISODES), "viewedLeafCount": 0,
        "Genre": [{"tag": GENRES[title.genre]}], "Guid": [{"id": f"tmdb://{title.id}"}],
    }  # fmt: skip
    of_show = {"parentRatingKey": key, "parentTitle": title.name, "parentKey": f"/library/metadata/{key}"}
    season = Title(title.id * 10, "Season 1", title.released, title.genre, "", series=True)
    yield _named(str(season.id), "season", season, section=section) | of_show | {"index": 1, "leafCount": 3}
    for number, name in enumerate(EPISODES, 1):
        episode = Title(title.id * 100 + number, name, title.released, title.genre, "", series=True)
        yield _named(str(episode.id), "episode", episode, section=section) | {
            "index": number, "parentIndex": 1, "parentRatingKey": str(season.id), "parentTitle": "Season 1",
            "grandparentRatingKey": key, "grandparentTitle": title.name, "duration": 1_800_000,
            "originallyAvailableAt": title.released, "Media": _media(episode.id, 30),
        }  # fmt: skip


def _named(key: str, kind: str, title: Title, *, section: tuple[str, str]) -> Item:
    """What items of all kinds have; the address of a picture ends in when it was changed."""
    added = _ADDED + title.id % 1000 * 86_400
    children = "/children" if kind in ("show", "season") else ""
    picture = {
        "thumb": f"/library/metadata/{key}/thumb/{added}",
        "art": f"/library/metadata/{key}/art/{added}",
    }
    return {
        "ratingKey": key, "key": f"/library/metadata/{key}{children}", "guid": f"plex://{kind}/{key}", "type": kind,
        "title": title.name, "summary": title.overview, "librarySectionID": section[0],
        "librarySectionTitle": section[1], "addedAt": added, "updatedAt": added, **(picture if title.picture else {}),
    }  # fmt: skip


def _media(number: int, minutes: int) -> list[Item]:
    streams = [
        {"id": number * 10 + 1, "streamType": 1, "codec": "h264", "index": 0, "width": 1280, "height": 720},
        {"id": number * 10 + 2, "streamType": 2, "codec": "aac", "index": 1, "channels": 2},
    ]
    part = {
        "id": number, "key": f"/library/parts/{number}/file.mp4", "file": f"/media/{number}.mp4", "size": 10**8,
        "duration": minutes * 60_000, "container": "mp4", "Stream": streams,
    }  # fmt: skip
    media = {
        "id": number, "duration": minutes * 60_000, "bitrate": 4000, "width": 1280, "height": 720,
        "container": "mp4", "videoCodec": "h264", "audioCodec": "aac", "videoResolution": "720", "Part": [part],
    }  # fmt: skip
    return [media]
