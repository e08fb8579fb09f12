"""Playback: a sealed ticket in place of a token, and playlists whose addresses are ours."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

import msgspec

from plughost.contracts import Clock, Secret
from plughost_plex.protocols import Account, PlexError, Server
from plughost_plex.servers import Servers
from plughost_upstream.protocols import Call, ReplyStream, UpstreamGarbageError
from plughost_vault.protocols import Vault, VaultError

_LIFE: Final = 4 * 3600
_PURPOSE: Final = "plex stream"
_BASE: Final = "/video/:/transcode/universal/"
_PART: Final = re.compile(r"(start\.m3u8|session/[\w-]{1,80}/base/[\w-]{1,80}\.(m3u8|ts|m4s|mp4|vtt))")
_RANGE: Final = re.compile(r"bytes=(\d{1,15}-\d{0,15}|-\d{1,15})")
_MOST_PLAYLIST: Final = 1 << 20
_MOST_SEGMENT: Final = 32 << 20
_QUALITIES: Final = ((20_000, "1920x1080"), (8_000, "1920x1080"), (4_000, "1280x720"), (2_000, "1280x720"),
                     (720, "720x404"), (320, "576x320"))  # fmt: skip


class Ticket(msgspec.Struct, frozen=True):
    """What a sealed ticket says."""

    machine: str
    item: str
    transcode: str
    bitrate: int
    until: float


@dataclass(frozen=True, slots=True)
class Playing:
    """What was decided about a playback.

    Attributes:
        ticket: Stands for the token in the address of the stream.
        decision: The server's own words.
        bitrate: Kilobits each second that the picture may take.
        resolution: Width and height at most.
    """

    ticket: str
    decision: str
    bitrate: int
    resolution: str


class Playback:
    """Decides how an item is played, and passes the stream on.

    Args:
        servers: Who calls.
        vault: Returns what seals tickets.
        clock: Time.
    """

    def __init__(self, servers: Servers, vault: Callable[[], Vault], clock: Clock) -> None:
        self._servers, self._vault, self._clock = servers, vault, clock

    async def decide(
        self, account: Account, server: Server, item: str, bandwidth: int | None, session: str
    ) -> Playing:
        """Ask the server how it would play an item.

        Args:
            account: Who watches.
            server: Which server.
            item: Key of the item.
            bandwidth: Kilobits each second that were measured in the browser; None when nobody measured.
            session: Public name of the session that the ticket is good for.
        """
        bitrate, resolution = _quality(bandwidth, relayed=server.reached_by == "relay")
        ticket = Ticket(
            machine=server.machine, item=item, transcode=secrets.token_hex(12), bitrate=bitrate,
            until=self._clock.time() + _LIFE,
        )  # fmt: skip
        call = Call(path=f"{_BASE}decision", params=_params(ticket), headers=_PROFILE, user=account.user_id)
        reply = await self._servers.call(server, call)
        container = reply.data.get("MediaContainer") if isinstance(reply.data, dict) else None
        if not isinstance(container, dict) or not any(name.endswith("DecisionCode") for name in container):
            raise UpstreamGarbageError("the server's decision is none")
        sealed = self._vault().seal(
            Secret(msgspec.json.encode(ticket).decode()), owner=session, purpose=_PURPOSE
        )
        text = str(container.get("generalDecisionText") or container.get("transcodeDecisionText") or "")
        return Playing(ticket=sealed, decision=text, bitrate=bitrate, resolution=resolution)

    def opened(self, sealed: str, session: str) -> Ticket:
        """Return what a ticket says.

        Raises:
            PlexError: It is over, or another browser's.
        """
        try:
            secret = self._vault().open(sealed, owner=session, purpose=_PURPOSE)
        except VaultError:
            raise _no_ticket() from None
        ticket = msgspec.json.decode(secret.reveal(), type=Ticket)
        if ticket.until <= self._clock.time():
            raise _no_ticket()
        return ticket

    async def playlist(self, server: Server, ticket: Ticket, part: str, prefix: str) -> str:
        """Return a playlist whose addresses are below ``prefix`` and hold no token."""
        reply = await self._servers.call(server, self._call(ticket, part, _MOST_PLAYLIST))
        try:
            text = reply.body.decode()
        except UnicodeDecodeError:
            text = ""
        if not text.startswith("#EXTM3U"):
            raise UpstreamGarbageError("the server's playlist is none")
        return rewritten(text, server.ways[server.way or 0].uri if server.ways else "", prefix)

    def segment(
        self, server: Server, ticket: Ticket, part: str, wanted: str = ""
    ) -> AbstractAsyncContextManager[ReplyStream]:
        """Give a piece of the picture, some seconds of it, as it comes; nothing of it is kept here.

        Args:
            server: Which server.
            ticket: What the browser may see.
            part: Which piece.
            wanted: Which bytes of it, as the header ``Range`` says; all of them when it says anything but one range.
        """
        call = self._call(ticket, part, _MOST_SEGMENT)
        # So that lengths are those of what is passed on.
        headers = {
            **call.headers,
            "Accept-Encoding": "identity",
        }
        if _RANGE.fullmatch(wanted):
            headers["Range"] = wanted
        return self._servers.stream(server, replace(call, headers=headers, accept=(416,)))

    def _call(self, ticket: Ticket, part: str, most: int) -> Call:
        if not _PART.fullmatch(part):
            raise PlexError(404, "plex_missing", "There is no such part of a stream.")
        params = _params(ticket) if part == "start.m3u8" else {}
        return Call(path=_BASE + part, params=params, headers=_PROFILE, expect="bytes", most=most)


_PROFILE: Final = {"X-Plex-Client-Profile-Name": "HTML TV App"}


def _params(ticket: Ticket) -> dict[str, str]:
    return {
        "path": f"/library/metadata/{ticket.item}", "mediaIndex": "0", "partIndex": "0", "protocol": "hls",
        "directPlay": "0", "directStream": "1", "videoBitrate": str(ticket.bitrate),
        "videoResolution": dict(_QUALITIES).get(ticket.bitrate, "1280x720"), "location": "lan",
        "transcodeSessionId": ticket.transcode, "session": ticket.transcode,
    }  # fmt: skip


def _quality(bandwidth: int | None, *, relayed: bool) -> tuple[int, str]:
    """Return the best quality that fits into four fifths of the bandwidth; a relay gives 2 Mbit/s at most."""
    room = min(4_000 if bandwidth is None else bandwidth * 4 // 5, 2_000 if relayed else 1 << 30)
    return next((quality for quality in _QUALITIES if quality[0] <= room), _QUALITIES[-1])


def rewritten(playlist: str, origin: str, prefix: str) -> str:
    """Return a playlist in which every address is below ``prefix`` and has no query.

    Lines that lead anywhere else are dropped: the browser would tell another host what somebody watches.
    """
    lines = []
    for line in playlist.splitlines():
        if line.startswith("#"):
            shown = re.sub(r'URI="([^"]*)"', lambda found: f'URI="{_own(found[1], origin, prefix)}"', line)
            if 'URI=""' not in shown:
                lines.append(shown)
        elif line.strip():
            own = _own(line.strip(), origin, prefix)
            if own:
                lines.append(own)
    return "\n".join((*lines, ""))


def _own(address: str, origin: str, prefix: str) -> str:
    """Return an address as one of the stream's own; empty when it leads elsewhere."""
    parts = urlsplit(address)
    foreign = (parts.scheme or parts.netloc) and f"{parts.scheme}://{parts.netloc}" != origin
    if foreign or ".." in parts.path.split("/"):
        return ""
    if not parts.path.startswith("/"):
        return parts.path
    return prefix + parts.path.removeprefix(_BASE) if parts.path.startswith(_BASE) else ""


def _no_ticket() -> PlexError:
    return PlexError(403, "plex_ticket_over", "This stream is over, or belongs to another browser.")
