"""The tab of the admin page: whose servers there are and how each is reached, and what the caches save."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from typing import Any

from plughost.contracts import AdminPanel, PanelAction, counted
from plughost_plex.protocols import Account
from plughost_plex.service import PlexService


class PlexPanel:
    """What the tab shows and does.

    Args:
        plex: The accounts, and what was asked.
        probe: Looks at all connections; how many servers answer, and how many do not.
    """

    def __init__(self, plex: PlexService, probe: Callable[[], Awaitable[tuple[int, int]]]) -> None:
        self._plex, self._probe = plex, probe

    def panel(self) -> AdminPanel:
        """Return the tab."""
        probe = PanelAction(
            name="probe", title="Look at all connections", run=self._probe_now, scope="plex:write"
        )
        switch = PanelAction(
            name="switch", title="Switch", run=self._switch, scope="plex:write", listed=False
        )
        template = resources.files("plughost_plex").joinpath("panel.html").read_text("utf-8")
        return AdminPanel(
            name="plex", title="Plex", scope="plex:monitor", data=self._figures, template=template,
            actions=(probe, switch),
        )  # fmt: skip

    async def _figures(self) -> Mapping[str, Any]:
        rows = [row for account in await self._plex.accounts() for row in await self._rows_of(account)]
        reads, calls = self._plex.answers.reads, self._plex.answers.calls
        return {
            "servers": rows,
            "relayed": sorted({row["server"] for row in rows if row["reached_by"] == "relay"}),
            "others": [row for row in rows if not row["current"]],
            "saved": {kind: {"reads": reads[kind], "calls": calls[kind]} for kind in sorted(reads)},
        }

    async def _rows_of(self, account: Account) -> list[dict[str, Any]]:
        current = await self._plex.shelf.current(account.user_id)
        return [
            {"user": account.user_id, "username": account.username, "server": server.name, "machine": server.machine,
             "current": current is not None and current.machine == server.machine, "reached_by": server.reached_by,
             "ms": None if server.latency is None else round(server.latency * 1000, 1)}
            for server in await self._plex.servers(account.user_id)
        ]  # fmt: skip

    async def _probe_now(self, _fields: Mapping[str, str]) -> str:
        reached, away = await self._probe()
        return f"{counted(reached, 'server answers', 'servers answer')}, {counted(away, 'does', 'do')} not."

    async def _switch(self, fields: Mapping[str, str]) -> str:
        user, _, machine = fields.get("to", "").rpartition(" ")
        account = await self._plex.shelf.account(user)
        for server in await self._plex.servers(user):
            if account is not None and server.machine == machine:
                await self._plex.shelf.choose(user, machine)
                return f"Calls of {account.username} go to {server.name} now."
        return "Nothing was changed: there is no such server any more."
