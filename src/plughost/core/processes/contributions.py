"""What a plugin in its own process adds by hooks that are called without ``await``: asked for there when it starts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from plughost.contracts.http import AdminPanel, HttpContext, PanelAction
from plughost.contracts.jobs import Job
from plughost.core.processes.requests import Requests
from plughost.core.processes.routes import ElsewhereRoute, RouteStream
from plughost.core.wire.protocol import PanelManifest, StartReply
from plughost.core.wire.routes import RouteAnswer, RouteRequest
from plughost.exceptions import NotCrossableError

AnswerRoute = Callable[[int, RouteRequest, RouteStream], Awaitable[RouteAnswer]]
"""Answers a request of the route of that number."""


class Contributions:
    """The jobs, routes and panels of one plugin.

    Attributes:
        reply: What it said when it was started.

    Args:
        plugin: Name of the plugin.
        requests: Calls its functions.
        answer: Answers requests of its routes.
    """

    def __init__(self, plugin: str, requests: Requests, answer: AnswerRoute) -> None:
        self.reply = StartReply()
        self._plugin = plugin
        self._requests = requests
        self._answer = answer
        self._context: HttpContext | None = None

    def hook(self, name: str) -> Callable[..., Any]:
        """Return what implements a hook in the host.

        Raises:
            NotCrossableError: What that hook returns cannot be called from here.
        """
        known: dict[str, Callable[..., Any]] = {
            "register_jobs": self._jobs,
            "register_routes": self._routes,
            "register_admin_panels": self._panels,
        }
        if name in known:
            return known[name]
        raise NotCrossableError(
            f"plugin {self._plugin!r} cannot implement the hook {name!r} in a process of its own: what it returns is "
            f'called in the host. Take isolation = "process" out of [plugins.{self._plugin}], or give these to another '
            f"plugin",
            plugin=self._plugin,
            hook=name,
            argument="return",
        )

    def take(self, reply: StartReply, context: HttpContext) -> None:
        """Keep what the plugin said, and what it had been told of the HTTP application."""
        self.reply, self._context = reply, context

    def _jobs(self) -> list[Job]:
        self._refuse_failed("register_jobs")
        return [self._requests.job(one) for one in self.reply.jobs]

    def _routes(self, context: HttpContext | None = None) -> Sequence[Any]:
        self._refuse_failed("register_routes", context)
        return [
            ElsewhereRoute(manifest, partial(self._answer, number))
            for number, manifest in enumerate(self.reply.routes)
        ]

    def _panels(self, context: HttpContext | None = None) -> Sequence[AdminPanel]:
        self._refuse_failed("register_admin_panels", context)
        return [self._panel(one) for one in self.reply.panels]

    def _panel(self, told: PanelManifest) -> AdminPanel:
        actions = tuple(
            PanelAction(
                name=one.name,
                title=one.title,
                run=partial(self._requests.call_function, one.run),
                scope=one.scope,
                confirm=one.confirm,
                listed=one.listed,
            )
            for one in told.actions
        )
        return AdminPanel(
            name=told.name,
            title=told.title,
            data=partial(self._requests.call_function, told.data),
            scope=told.scope,
            actions=actions,
            priority=told.priority,
        )

    def _refuse_failed(self, hook: str, context: HttpContext | None = None) -> None:
        if (fault := self.reply.faults.get(hook)) is not None:
            raise fault.revived()
        if context is not None and context != self._context:
            raise NotCrossableError(
                f"plugin {self._plugin!r} was asked by {hook!r} when its process began, and then the application was "
                f"to be as the table [http] says. It is made with other settings now ({context}): write these into "
                f"[http], or leave `context` out of the implementation's arguments",
                plugin=self._plugin,
                hook=hook,
                argument="context",
            )
