"""Plex: sign-in by PIN, several servers, cached answers, playback without tokens in a browser."""

from __future__ import annotations

from plughost_plex.protocols import Account, Answer, Plex, Server

__all__ = ["Account", "Answer", "Plex", "Server"]
