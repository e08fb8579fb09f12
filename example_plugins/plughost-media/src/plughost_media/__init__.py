"""The media suite as one: a page, a demo, and fakes of the services it talks to."""

from __future__ import annotations

from plughost_media.plugin import MediaPlugin

__all__ = ["MediaPlugin"]
