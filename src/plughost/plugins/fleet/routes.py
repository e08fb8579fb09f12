"""The API of the fleet, beside the one of the administration: the whole fleet from any of its hosts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from plughost.contracts import FleetAct, FleetChange, FleetJobRecord, Rollout, RolloutAct, RolloutPlan
from plughost.exceptions import FleetError, StoreUnavailableError
from plughost.http import Problem, Route, identity_of, json_body, note_detail, scope
from plughost.plugins.fleet.revisions import Revisions
from plughost.plugins.fleet.service import FleetService
from plughost.plugins.fleet.targets import targets_of

_ACTS: tuple[FleetAct, ...] = ("reload", "enable", "disable", "quarantine", "configure", "upgrade")
_ROLLOUT_ACTS: tuple[RolloutAct, ...] = ("pause", "resume", "abort")


class Ordered(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of a change.

    Attributes:
        reason: Why.
        expect: The revision that it was decided on; null for whichever there is.
        plan: How it goes from host to host; null for all at once.
        version: As in ``FleetChange``.
        config: As in ``FleetChange``.
        url: As in ``FleetChange``.
        sha256: As in ``FleetChange``.
        force: As in ``FleetChange``.
    """

    reason: str = ""
    expect: int | None = None
    plan: RolloutPlan | None = None
    version: str = ""
    config: dict[str, Any] = {}
    url: str = ""
    sha256: str = ""
    force: bool = False


class Drained(msgspec.Struct, frozen=True):
    """The members that take no more work, or take it again."""

    members: tuple[str, ...]
    draining: bool


Done = Rollout | Drained | FleetJobRecord
"""What came of something that was asked for."""


class FleetApi:
    """Makes the routes.

    Args:
        fleet: The fleet.
        revisions: What all members follow.
    """

    def __init__(self, fleet: FleetService, revisions: Revisions) -> None:
        self._fleet = fleet
        self._revisions = revisions

    def routes(self, base: str) -> list[Route]:
        """Return the routes below ``base``, each with its guard."""
        return [
            _read(f"{base}/fleet", "fleet", lambda _: self._fleet.status(), "The whole fleet at one moment."),
            _read(f"{base}/fleet/hosts", "fleet_hosts", self._hosts, "Every member, with its plugins."),
            _read(
                f"{base}/fleet/targets", "fleet_targets", self._targets,
                "Where figures of its members are asked for, as Prometheus discovers it over HTTP.",
            ),
            _read(f"{base}/fleet/revisions", "fleet_revisions", self._history, "The last revisions, newest first."),
            _read(f"{base}/fleet/rollouts/{{id}}", "fleet_rollout", self._rollout, "How far a revision has come."),
            _write(
                f"{base}/fleet/plugins/{{plugin}}/{{act}}", "change", self._change,
                "Change a plugin on all hosts.", Ordered,
            ),
            _write(
                f"{base}/fleet/hosts/{{host}}/{{act}}", "drain", self._drain,
                "Have a host, or all of a machine, take no more work, or take work again.", None,
            ),
            _write(
                f"{base}/fleet/jobs/{{job}}/run", "run_job", self._run_job,
                "Have a job run once now, on whichever host claims it first.", None,
            ),
            _write(
                f"{base}/fleet/rollouts/{{id}}/{{act}}", "rollout", self._hold,
                "Pause, resume or abort a roll-out.", None,
            ),
        ]  # fmt: skip

    async def _hosts(self, _: Request) -> Any:
        return {"hosts": await self._fleet.members()}

    async def _targets(self, _: Request) -> Any:
        return targets_of(self._fleet.name, await self._fleet.members())

    async def _history(self, _: Request) -> Any:
        return {"revisions": await self._revisions.history()}

    async def _rollout(self, request: Request) -> Any:
        found = await self._fleet.rollout(request.path_params["id"])
        if found is None:
            raise Problem(404, "There is no such revision.", code="not_found")
        return found

    async def _change(self, request: Request) -> Rollout:
        act = cast("FleetAct", _act_of(request, _ACTS))
        said = await json_body(request, Ordered)
        names = ("reason", "version", "config", "url", "sha256", "force")
        given = {name: getattr(said, name) for name in names}
        change = FleetChange(act, request.path_params["plugin"], **given)
        return await self._fleet.propose(
            change, said.plan, expect=said.expect, author=identity_of(request).name
        )

    async def _drain(self, request: Request) -> Drained:
        act, host = _act_of(request, ("drain", "undrain")), request.path_params["host"]
        members = await self._fleet.drain(host, on=act == "drain", author=identity_of(request).name)
        return Drained(tuple(members), draining=act == "drain")

    async def _run_job(self, request: Request) -> FleetJobRecord:
        return await self._fleet.run_job(request.path_params["job"])

    async def _hold(self, request: Request) -> Rollout:
        return await self._fleet.steer_rollout(
            request.path_params["id"], cast("RolloutAct", _act_of(request, _ROLLOUT_ACTS))
        )


def _read(path: str, name: str, make: Callable[[Request], Awaitable[Any]], summary: str) -> Route:
    async def endpoint(request: Request) -> Response:
        return await _answered(make(request))

    return Route(path, endpoint, guard=scope("fleet:read"), rate="read", name=f"read_{name}", summary=summary)


def _write(
    path: str, verb: str, make: Callable[[Request], Awaitable[Done]], summary: str, body: Any
) -> Route:
    async def endpoint(request: Request) -> Response:
        return await _answered(_noted(request, make(request)))

    return Route(
        path, endpoint, methods=["POST"], guard=scope("fleet:write"), rate="write", audit=f"fleet.{verb}",
        name=f"fleet_{verb}", summary=summary, body=body,
    )  # fmt: skip


def _act_of(request: Request, acts: Sequence[str]) -> str:
    act: str = request.path_params["act"]
    if act not in acts:
        raise Problem(404, f"There is no such act: {', '.join(acts)}.", code="not_found")
    return act


async def _noted(request: Request, made: Awaitable[Done]) -> Done:
    done = await made
    match done:
        case Rollout():
            came = f"revision {done.revision}"
        case Drained():
            came = ", ".join(done.members)
        case _:
            came = f"slot {done.slot}"
    note_detail(request, f"{' '.join(map(str, request.path_params.values()))}: {came}")
    return done


async def _answered(made: Awaitable[Any]) -> Response:
    try:
        found = await made
    except FleetError as error:
        raise Problem(409, str(error), code="fleet_refused") from error
    except StoreUnavailableError as error:
        raise Problem(503, str(error), code="fleet_unavailable") from error
    document = asdict(found) if isinstance(found, Rollout | FleetJobRecord) else found
    return Response(msgspec.json.encode(document, enc_hook=dict), media_type="application/json")
