"""Upstreams that run in this process: TMDB, plex.tv and Plex Media Servers, with a log of calls and troubles.

Each is an ASGI application, so a test may give it to ``httpx2.ASGITransport``; ``serving`` puts several of them on
ports of the loopback address, where the real clients of those services take them for the real thing.
"""

from __future__ import annotations

from plughost_media.fakes.plex_server import FakePlexServer
from plughost_media.fakes.plex_tv import Account, FakePlexTv
from plughost_media.fakes.serving import Served, listening, serving
from plughost_media.fakes.tmdb import FakeTmdb
from plughost_media.fakes.upstream import TROUBLES, Call, FakeUpstream, Kind, Trouble

__all__ = [
    "TROUBLES",
    "Account",
    "Call",
    "FakePlexServer",
    "FakePlexTv",
    "FakeTmdb",
    "FakeUpstream",
    "Kind",
    "Served",
    "Trouble",
    "listening",
    "serving",
]
