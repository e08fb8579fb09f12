"""What a plugin adds by hooks that are called without ``await``, asked for once it is started."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from plughost.contracts.http import AdminPanel, HttpContext
from plughost.contracts.value_text import items_of
from plughost.core.containment import Point, contained
from plughost.core.guest.context import job_request
from plughost.core.guest.functions import Functions
from plughost.core.guest.plugin import HereImplementation
from plughost.core.guest.routes import GuestRoutes
from plughost.core.loading.contributions import asked_jobs
from plughost.core.wire.faults import Fault, as_fault
from plughost.core.wire.protocol import ActionManifest, PanelManifest, StartReply
from plughost.exceptions import NotCrossableError


def asked_contributions(
    plugin: str,
    implementations: Iterable[HereImplementation],
    functions: Functions,
    routes: GuestRoutes,
    context: HttpContext,
) -> StartReply:
    """Ask the plugin for its jobs, routes and panels; what it raises instead goes to the host too.

    Args:
        plugin: Name of the plugin.
        implementations: Its hook implementations.
        functions: Where functions that the host calls get their numbers.
        routes: Takes its routes in.
        context: What it is told of the HTTP application.
    """
    found: dict[str, Any] = {}
    faults: dict[str, Fault] = {}

    def ask(hook: str, tell: Callable[[Any], Any]) -> None:
        for one in implementations:
            if one.manifest.hook == hook and one.is_sync:
                given = [context] if one.manifest.arguments else []
                try:
                    found[hook] = tuple(tell(partial(one.function, *given)))
                except Exception as error:
                    faults[hook] = as_fault(
                        error.__cause__ if hook == "register_jobs" and error.__cause__ else error
                    )

    ask("register_jobs", lambda asked: [job_request(job, functions) for job in asked_jobs(plugin, asked)])
    ask("register_routes", lambda asked: routes.add(items_of(contained(Point.HOOK, asked), object)))
    ask(
        "register_admin_panels",
        lambda asked: [
            _panel(plugin, panel, functions) for panel in items_of(contained(Point.HOOK, asked), AdminPanel)
        ],
    )
    return StartReply(
        jobs=found.get("register_jobs", ()),
        routes=found.get("register_routes", ()),
        panels=found.get("register_admin_panels", ()),
        faults=faults,
    )


def _panel(plugin: str, panel: AdminPanel, functions: Functions) -> PanelManifest:
    if panel.template is not None:
        raise NotCrossableError(
            f"the admin panel {panel.name!r} of plugin {plugin!r} has a template, which would be code of its process "
            f"in the host. Leave the template out, so that the figures are shown as tables, or take "
            f'isolation = "process" out of [plugins.{plugin}]',
            plugin=plugin,
            hook="register_admin_panels",
            argument="return",
        )
    actions = tuple(
        ActionManifest(
            name=one.name,
            title=one.title,
            run=functions.add(one.run),
            scope=one.scope,
            confirm=one.confirm,
            listed=one.listed,
        )
        for one in panel.actions
    )
    return PanelManifest(
        name=panel.name,
        title=panel.title,
        data=functions.add(panel.data),
        scope=panel.scope,
        actions=actions,
        priority=panel.priority,
    )
