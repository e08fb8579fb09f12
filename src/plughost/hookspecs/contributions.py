"""What plugins add to the program: routes, middleware, panels, commands, jobs, metrics.

The ``register_...`` hooks are called while the program is put together, by plain calls without ``await``;
their implementations are plain functions that return what they have and do no work. What was registered goes
when its plugin goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from plughost._names import LateModule
from plughost.contracts.http import AdminPanel, GuardedRoute, HttpContext, Middleware
from plughost.contracts.jobs import Job
from plughost.contracts.metric_families import MetricFamily
from plughost.hookspecs._markers import hookspec

if TYPE_CHECKING:
    import click
else:  # a host whose plugins have no commands needs none of it
    click = LateModule("click")


@hookspec(mode="collect", timeout=None, sync=True)
def register_routes(context: HttpContext) -> Sequence[GuardedRoute] | None:
    """Add HTTP routes.

    Called when the ASGI application is put together, after the plugins are ready.

    Args:
        context: What the application is like.

    Returns:
        The routes, each with its guard; None or an empty sequence for none.

    Refusing:
        A route without a guard, or with the path and method of another, keeps the application from being
        made, and is named. When the plugin came later, all that it adds is left out instead.

    Failure:
        Reported; the plugin's routes are missing, those of the others are there.

    Example:
        from plughost.http import PUBLIC, Route
        from starlette.requests import Request
        from starlette.responses import PlainTextResponse, Response

        async def hello(request: Request) -> Response:
            return PlainTextResponse("hello")

        @hookimpl
        def register_routes() -> Sequence[GuardedRoute]:
            return [Route("/hello", hello, methods=["GET"], guard=PUBLIC)]
    """


@hookspec(mode="collect", timeout=None, sync=True)
def register_middleware(context: HttpContext) -> Sequence[Middleware] | None:
    """Add ASGI middleware around the whole application.

    Called when the ASGI application is put together, after ``register_routes``.

    Args:
        context: What the application is like.

    Returns:
        The middleware with its priority: higher stands further out. None or an empty sequence for none.

    Refusing:
        There is nothing to stop.

    Failure:
        Reported; the plugin's middleware is missing, that of the others is there.

    Example:
        def quiet(app: ASGIApp) -> ASGIApp:
            async def without_favicon(scope: Scope, receive: Receive, send: Send) -> None:
                if scope.get("path") != "/favicon.ico":
                    await app(scope, receive, send)

            return without_favicon

        @hookimpl
        def register_middleware() -> Sequence[Middleware]:
            return [Middleware(factory=quiet, priority=50)]
    """


@hookspec(mode="collect", timeout=None, sync=True)
def register_admin_panels(context: HttpContext) -> Sequence[AdminPanel] | None:
    """Add tabs to the admin page.

    Called when the ASGI application is put together, after ``register_routes``.

    Args:
        context: What the application is like.

    Returns:
        The panels; None or an empty sequence for none.

    Refusing:
        A panel with the name of another is refused, and is named.

    Failure:
        Reported; the plugin's panels are missing, those of the others are there.

    Example:
        queue = ["first", "second"]

        @hookimpl
        def register_admin_panels() -> Sequence[AdminPanel]:
            panel = AdminPanel(
                name="queue", title="Queue", scope="queue:read", data=lambda: {"waiting": len(queue)}
            )
            return [panel]
    """


@hookspec(mode="collect", timeout=None, sync=True)
def register_commands() -> Sequence[click.Command] | None:
    """Add commands to the command line.

    Called when somebody runs a command that plughost itself does not have. The plugin was imported, but not
    started: a command that needs a running host is handed a ``CommandLine`` by ``click.pass_obj``, which
    starts one. A card that names its ``commands`` keeps the plugin from being imported for the commands of
    others.

    Returns:
        Click commands or groups; None or an empty sequence for none.

    Refusing:
        A command with the name of one of plughost's own is never reached; of two plugins, the first on the
        cards has the name, and the other one is named.

    Failure:
        Reported; the plugin's commands are missing, those of the others are there.

    Example:
        import click

        @click.command("hello")
        @click.argument("name", default="world")
        def hello(name: str) -> None:
            click.echo(f"Hello, {name}!")

        @hookimpl
        def register_commands() -> Sequence[click.Command]:
            return [hello]
    """


@hookspec(mode="collect", timeout=None, sync=True)
def register_jobs() -> Sequence[Job] | None:
    """Add jobs that run by themselves, each interval or when a cron expression says so.

    Called each time a plugin becomes ready, so perhaps many times: return the same jobs, and do nothing else.
    They run from when the plugin is ready until it stops.

    Returns:
        The jobs; None or an empty sequence for none.

    Refusing:
        What is no ``Job``, or has a wrong schedule, fails the start of its plugin.

    Failure:
        Reported; the plugin's jobs are missing, those of the others are there.

    Example:
        from pathlib import Path

        def remove_old_drafts() -> None:
            for draft in Path("drafts").glob("*.old"):
                draft.unlink()

        @hookimpl
        def register_jobs() -> Sequence[Job]:
            return [Job("old-drafts", remove_old_drafts, cron="30 3 * * *", limit=120)]
    """


@hookspec(mode="collect", timeout=2.0, concurrent=True)
def describe_metrics() -> Sequence[MetricFamily] | None:
    """Give the figures that this plugin wants to have measured from outside.

    Called whenever metrics are collected, which may be every few seconds: read counters, compute nothing.

    Returns:
        The metric families; None or an empty sequence for none.

    Refusing:
        There is nothing to stop.

    Failure:
        Reported; the figures of the plugin are missing this time, those of the others are there.

    Example:
        queue = ["first", "second"]

        @hookimpl
        def describe_metrics() -> Sequence[MetricFamily]:
            waiting = (MetricSample(len(queue)),)
            return [MetricFamily(name="queue_waiting", kind="gauge", help="Letters to send", samples=waiting)]
    """
