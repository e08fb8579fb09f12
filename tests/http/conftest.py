"""The fixtures of ``serving``."""

from serving import live_server, serve

__all__ = ["live_server", "serve"]
