"""The tab of the admin page: hosts, their plugins side by side, jobs, and what was changed on all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from plughost.contracts import (
    AdminPanel,
    FleetAct,
    FleetChange,
    PanelAction,
    Rollout,
    RolloutAct,
    RolloutPlan,
    counted,
)
from plughost.exceptions import FleetError, StoreUnavailableError
from plughost.plugins.fleet.overview import MOST_LINES, hosts_shown, plugins_shown
from plughost.plugins.fleet.revisions import Revisions
from plughost.plugins.fleet.service import FleetService
from plughost.plugins.fleet.wishes import Revision

_SHOWN_REVISIONS = 10
_ACTS: Sequence[FleetAct] = ("reload", "enable", "disable", "quarantine")
"""What needs nothing but the name of a plugin."""

_ROLLOUT_ACTS: Sequence[RolloutAct] = ("pause", "resume", "abort")


class FleetPanel:
    """What the tab shows and does.

    Args:
        fleet: The fleet.
        revisions: What all members follow.
    """

    def __init__(self, fleet: FleetService, revisions: Revisions) -> None:
        self._fleet = fleet
        self._revisions = revisions

    def panel(self) -> AdminPanel:
        """Return the tab."""
        return AdminPanel(
            name="fleet",
            title="Fleet",
            data=self._figures,
            scope="fleet:read",
            template=Path(__file__).with_name("panel.html").read_text(encoding="utf-8"),
            actions=(
                *(_button(act, partial(self._act, act)) for act in _ACTS),
                *(_button(act, partial(self._hold, act)) for act in _ROLLOUT_ACTS),
                *(_button(act, partial(self._drain, act)) for act in ("drain", "undrain")),
                _button("run", self._run_job),
            ),
        )

    async def _figures(self) -> Mapping[str, Any]:
        try:
            return await self._seen()
        except StoreUnavailableError as error:
            # What this host knows by itself.
            mine, said = self._fleet.member, str(error)
            columns, plugins = plugins_shown([mine], ())
            nothing: dict[str, Any] = dict.fromkeys(("hazards", "steerable", "jobs", "revisions"), ())
            return nothing | {
                **self._whose(),
                "cut_off": said,
                "silence": mine.seen_age,
                "drift": 0,
                "known": 1,
                "living": [mine.id],
                "hosts": hosts_shown([mine]),
                "columns": columns,
                "plugins": plugins,
                "most_lines": MOST_LINES,
                "rollout": None,
                "revisions_error": said,
            }

    def _whose(self) -> Mapping[str, Any]:
        fleet = self._fleet
        return {"name": fleet.name, "here": fleet.here, "store": fleet.store}

    async def _seen(self) -> Mapping[str, Any]:
        view, members, status = await self._fleet.look()
        living = [member for member in members if member.connected]
        rollout: Rollout | None = None
        try:
            revisions, error = await self._revisions.history(), ""
        except FleetError as failed:
            revisions, error = [], str(failed)
        try:
            rollout = await self._revisions.last_rollout(view) if revisions else None
        except FleetError as unreadable:
            error = str(unreadable)
        hosts, (columns, plugins) = hosts_shown(members), plugins_shown(living, status.drift)
        return {
            **self._whose(),
            "cut_off": "",
            "silence": 0.0,
            "hazards": status.hazards,
            "drift": len(status.drift),
            "known": len(members),
            "living": [member.id for member in living],
            "hosts": hosts,
            "columns": columns,
            "plugins": plugins,
            "most_lines": MOST_LINES,
            "steerable": [name for name in sorted(status.versions) if name != "fleet"],
            "rollout": _course(rollout, revisions),
            "jobs": [asdict(job) for job in status.jobs],
            "revisions": [
                {name: getattr(one, name) for name in ("number", "made", "change", "author", "reason")}
                for one in revisions[:_SHOWN_REVISIONS]
            ],
            "revisions_error": error,
        }

    async def _act(self, act: FleetAct, fields: Mapping[str, str]) -> str:
        plugin = fields.get("plugin", "")
        if not plugin:
            return "Nothing was changed: name a plugin."
        # The stops are urgent; all else goes from host to host.
        plan = None if act in ("disable", "quarantine") else RolloutPlan()
        try:
            rollout = await self._fleet.propose(FleetChange(act, plugin, fields.get("reason", "")), plan)
        except (FleetError, StoreUnavailableError) as error:
            return f"Nothing was changed: {error}"
        return f"Revision {rollout.revision}: {act} {plugin}, on {counted(len(rollout.results), 'host')}."

    async def _drain(self, act: str, fields: Mapping[str, str]) -> str:
        try:
            members = await self._fleet.drain(fields.get("host", ""), on=act == "drain")
        except (FleetError, StoreUnavailableError) as error:
            return f"Nothing was changed: {error}"
        return f"{', '.join(members)}: {'no more work' if act == 'drain' else 'takes work again'}."

    async def _run_job(self, fields: Mapping[str, str]) -> str:
        try:
            job = await self._fleet.run_job(fields.get("job", ""))
        except (FleetError, StoreUnavailableError) as error:
            return f"Nothing was started: {error}"
        return f"{job.job} runs once on whichever host claims it first."

    async def _hold(self, act: RolloutAct, fields: Mapping[str, str]) -> str:
        try:
            last = await self._revisions.last_rollout()
            if last is None:
                return "Nothing was changed: nothing is under way."
            rollout = await self._fleet.steer_rollout(last.id, act)
        except (FleetError, StoreUnavailableError) as error:
            return f"Nothing was changed: {error}"
        return f"Revision {rollout.revision}: {rollout.state}."


def _button(name: str, run: Callable[[Mapping[str, str]], Awaitable[str]]) -> PanelAction:
    return PanelAction(name=name, title=name.capitalize(), run=run, scope="fleet:write", listed=False)


_FOLLOWS = {"applied": "done", "waiting": "rolling", "taken back": "reverted", "not yet": "idle"}
"""Result of a host -> how it is coloured; any other is why it could not follow."""


def _course(rollout: Rollout | None, revisions: Sequence[Revision]) -> dict[str, Any] | None:
    """Return how far the last change has come, with one line for each host."""
    if rollout is None:
        return None
    made = next((one for one in revisions if one.number == rollout.revision), Revision())
    results = [
        {"host": host, "kind": _FOLLOWS[said], "said": said, "why": ""}
        if said in _FOLLOWS
        else {"host": host, "kind": "failed", "said": "failed", "why": said}
        for host, said in sorted(rollout.results.items(), key=lambda one: (one[1] in _FOLLOWS, one[0]))
    ]
    more = {"change": made.change, "author": made.author, "why": made.reason, "ended": rollout.ended}
    return {**asdict(rollout), "results": results[:MOST_LINES], "asked": len(results), **more}
