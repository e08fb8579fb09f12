"""What people do on the page: each form is one request to an address of the application, without JavaScript, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that a form of the page does.

    Attributes:
        method: Of the request.
        path: Of the request; fields of the form stand in it in braces.
        body: Makes its body of the form's fields; None for requests that have none.
        box: The box that says what came of it.
    """

    method: str
    path: str
    body: Callable[[Fields], Any] | None
    box: str


def _listed(given: Fields) -> Any:
    number = int(given["id"]) if given["id"].isdecimal() and len(given["id"]) < 10 else given["id"]
    return {"kind": given["kind"], "id": number, "title": given["title"], "poster_path": given["poster_path"]}


DEEDS: Final[Mapping[str, Deed]] = {
    "sign-out": Deed("POST", "/api/auth/logout", lambda _: {}, "parts"),
    "server": Deed("PUT", "/api/plex/servers/current", lambda given: {"id": given["id"]}, "servers"),
    "key": Deed("PUT", "/api/tmdb/key", lambda given: {"key": given["key"]}, "key"),
    "key-remove": Deed("DELETE", "/api/tmdb/key", None, "key"),
    "list": Deed("PUT", "/api/media/watchlist", _listed, "watchlist"),
    "unlist": Deed("DELETE", "/api/media/watchlist/{kind}/{id}", None, "watchlist"),
    "seen": Deed("POST", "/api/plex/scrobble", lambda given: {"id": given["id"]}, "library"),
    "unseen": Deed("POST", "/api/plex/unscrobble", lambda given: {"id": given["id"]}, "library"),
    "settings": Deed("PUT", "/api/media/settings", lambda given: {"wall": given["wall"]}, "settings"),
    "trouble": Deed("POST", "/api/media/demo/trouble", dict, "parts"),
    "part": Deed(
        "POST", "/api/media/demo/part", lambda given: {"name": given["name"], "do": given["do"]}, "parts"
    ),
}
"""By the last part of the form's address."""
