"""What this plugin does for others: one object that has its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from plughost_images.protocols import ImageOrigin, PictureMissingError, PictureRequest
from plughost_plex.answers import Answers
from plughost_plex.playback import Playback
from plughost_plex.protocols import Account, Answer, Monitored, PlexError, Server
from plughost_plex.sections import Sections
from plughost_plex.servers import Servers
from plughost_plex.shelf import Shelf
from plughost_plex.sign_in import SignIn
from plughost_upstream.protocols import MOST_PICTURE, Call, UpstreamMissingError

_PATHS: Final[Mapping[Monitored, str]] = {
    "activities": "/activities",
    "sessions": "/status/sessions",
    "recent": "/library/recentlyAdded",
}
_HISTORY: Final = "/status/sessions/history/all"
_PAGE, _MOST_EVENTS = 200, 1000
_SIZES: Final = {"thumb": (2, 3), "art": (16, 9)}


class PlexService:
    """Implements ``Plex``.

    Attributes:
        shelf: Where accounts and servers are kept.
        servers_of_all: Who calls servers.
        answers: The caches.
        sections: The sections of servers, and their pages.
        sign_in: The routes of a sign-in.
        playback: Tickets and streams.
        hooks: The hooks of the host.
    """

    def __init__(
        self,
        shelf: Shelf,
        servers: Servers,
        answers: Answers,
        sign_in: SignIn,
        playback: Playback,
        hooks: Any,
    ) -> None:
        self.shelf, self.servers_of_all, self.answers = shelf, servers, answers
        self.sign_in, self.playback, self.hooks = sign_in, playback, hooks
        self.sections = Sections(answers)

    async def accounts(self) -> tuple[Account, ...]:
        """Who is linked."""
        return await self.shelf.accounts()

    async def servers(self, user_id: str) -> tuple[Server, ...]:
        """The servers of a user, as they were known last."""
        return await self.shelf.servers(user_id)

    def owns(self, user_id: str) -> bool:
        """Whether a user's current server is the user's own."""
        return self.shelf.owns(user_id)

    async def owner(self, user_id: str = "") -> tuple[Account, Server]:
        """Return an owner and the current server of that owner; the first one when nobody is named.

        Raises:
            PlexError: Nobody owns a server here.
        """
        accounts = [await self.servers_of_all.account(user_id)] if user_id else await self.shelf.accounts()
        for account in accounts:
            server = await self.shelf.current(account.user_id)
            if server is not None and server.owned:
                return account, server
        raise PlexError(404, "plex_no_server", "Nobody who owns a server has signed in with Plex.")

    async def monitor(self, what: Monitored, user_id: str = "") -> Answer:
        """Ask a server what its owner may know, through the caches."""
        account, server = await self.owner(user_id)
        if what == "libraries":
            return await self.sections.all(account, server)
        if what != "history":
            headers = (
                {"X-Plex-Container-Start": "0", "X-Plex-Container-Size": "50"} if what == "recent" else None
            )
            return await self.answers.get(account, server, what, _PATHS[what], headers=headers)

        async def load() -> Mapping[str, Any] | None:
            return await self.history(account, server)

        return await self.answers.all_of(account, server, "history", load)

    async def details(self, account: Account, server: Server, key: str) -> Answer:
        """Return what a server says of an item, with what other plugins add to it."""
        path, params = f"/library/metadata/{key}", {"includeGuids": "1"}
        return await self.answers.get(
            account, server, "metadata", path, params, item=key, then=self._enriched
        )

    async def _enriched(self, container: Mapping[str, Any]) -> Mapping[str, Any]:
        items = container.get("Metadata")
        if not isinstance(items, list):
            return container
        more: list[Any] = []
        for item in items:
            if isinstance(item, dict):
                found = await self.hooks.enrich_media(item=item)
                item = found if isinstance(found, dict) else item  # one that is none is not kept
                await self.hooks.media_item_seen(item=item)
            more.append(item)
        return {**container, "Metadata": more}

    async def count_calls(self) -> Mapping[str, int]:
        """How many answers were given, and how many calls that took."""
        reads, calls = self.answers.reads, self.answers.calls
        by_kind = {f"{kind}.{name}": count for name, found in (("reads", reads), ("calls", calls))
                   for kind, count in sorted(found.items())}  # fmt: skip
        return {"reads": reads.total(), "calls": calls.total(), **by_kind}

    async def history(
        self, account: Account, server: Server, *, since: int = 0, most: int = _MOST_EVENTS
    ) -> Mapping[str, Any] | None:
        """Ask for the latest events, page by page; a server may send fewer or more than it was asked for.

        Args:
            account: The owner.
            server: Which server.
            since: Seconds since the epoch before which nothing is wanted.
            most: How many are wanted.
        """
        events: list[Any] = []
        params = {"sort": "viewedAt:desc", **({"viewedAt>": str(since)} if since else {})}
        while len(events) < most:
            headers = {
                "X-Plex-Container-Start": str(len(events)),
                "X-Plex-Container-Size": str(min(_PAGE, most)),
            }
            call = Call(
                path=_HISTORY,
                params=params,
                headers=headers,
                user=account.user_id,
                priority="sync",
            )
            page = await self.answers.ask(server, call, "history")
            if page is None:
                return None
            found = page.get("Metadata")
            if not isinstance(found, list) or not found:
                break
            events += found
            if len(events) >= int(page.get("totalSize", 0)):
                break
        return {"size": len(events[:most]), "Metadata": events[:most]}

    def image_origin(self) -> ImageOrigin:
        """Return where the pictures of servers come from: each user's from the current server of that user."""
        return ImageOrigin(
            pattern=r"library/metadata/\d{1,18}/(thumb|art)/\d{1,18}",
            fetch=self._fetch_picture,
            key=self._picture_key,
        )

    async def _picture_key(self, wanted: PictureRequest) -> str:
        server = await self.shelf.current(wanted.user_id)
        if server is None:
            raise PictureMissingError
        return f"{server.machine}/{wanted.ref}"

    async def _fetch_picture(self, wanted: PictureRequest) -> bytes:
        server = await self.shelf.current(wanted.user_id)
        if server is None:
            raise PictureMissingError
        across, down = _SIZES[wanted.ref.split("/")[3]]
        params = {
            "url": f"/{wanted.ref}", "width": str(wanted.width), "height": str(wanted.width * down // across),
            "minSize": "1", "upscale": "0",
        }  # fmt: skip
        call = Call(
            path="/photo/:/transcode", params=params, expect="bytes", most=MOST_PICTURE, user=wanted.user_id
        )
        try:
            return (await self.servers_of_all.call(server, call)).body
        except UpstreamMissingError:
            raise PictureMissingError from None
