"""A plugin that is nothing but one: the template imports it for its rehearsal, as a process imports a real one."""

from __future__ import annotations

from plughost.contracts.plugin import Plugin
from plughost.hookspecs._markers import hookimpl


class Rehearsed(Plugin):
    """Implements a hook, and says nothing to it."""

    @hookimpl
    async def describe_device(self, user_agent: str) -> None:
        """Know no device."""
