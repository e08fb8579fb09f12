"""``plughost serve``: a host with HTTP, and an address at which to look at it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import click
from click.core import ParameterSource

from plughost.cli.dev.folders import dev_folders
from plughost.cli.exits import ExitCode, leave
from plughost.cli.logs import configure_logging
from plughost.cli.program import Program, dev_option, verbose_option
from plughost.cli.serving.listening import listen
from plughost.cli.serving.options import Serving, check_options, is_loopback
from plughost.cli.signals import hangups_held
from plughost.contracts.commands import json_option
from plughost.exceptions import RouteError

try:
    from plughost.cli.serving.running import OneProcess, PublicAddressError
    from plughost.cli.serving.workers import Workers
except ImportError as missing:
    raise click.ClickException(
        f"serve needs the extra http ({missing.name} is missing): pip install 'plughost[http]'"
    ) from missing

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_PORT = click.IntRange(0, 65535)


class _Seconds(click.FloatRange):
    """A time, which "nan" is not, though it is a ``float`` that no bound refuses."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if seconds != seconds:
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


@click.command()
@json_option
@verbose_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=_PORT, help="0 takes a free one.")
@click.option(
    "--uds", type=click.Path(path_type=Path), metavar="PATH", help="Listen on a Unix socket instead."
)
@click.option("--fd", "fds", type=click.IntRange(0), multiple=True, help="Use an inherited listening socket.")
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1), help="How many processes serve."
)
@click.option("--worker", type=click.IntRange(0), hidden=True)
@click.option("--shares", type=_FILE, hidden=True)
@click.option("--link/--no-link", default=None, help="Print a link that signs in once. Default: on loopback.")
@click.option("--read-only", is_flag=True, help="Refuse administrative actions.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--access-log/--no-access-log", default=True, show_default=True, help="Log each request.")
@click.option(
    "--drain",
    default=10,
    show_default=True,
    type=click.IntRange(0),
    help="Seconds that requests in progress have to finish when the server stops.",
)
@click.option(
    "--drain-notice",
    default=2.0,
    show_default=True,
    type=_Seconds(0),
    help="Seconds after SIGTERM in which /readyz answers 503 and new connections are still accepted.",
)
@click.option(
    "--trust-proxy", "proxies", default="", metavar="ADDRESSES", help="Trust forwarded headers from these."
)
@click.option(
    "--root-path", default="", metavar="PREFIX", help="The prefix that a proxy takes off each path."
)
@click.option(
    "--public-url", default="", metavar="URL", help="The URL by which browsers reach the host, for links."
)
@click.option(
    "--limit-connections",
    "max_connections",
    type=click.IntRange(1),
    help="How many connections each process has open. Default: as many as it has descriptors for.",
)
@click.option(
    "--header-timeout",
    default=10.0,
    show_default=True,
    type=_Seconds(0, min_open=True),
    help="Seconds in which a connection must have sent the head of a request.",
)
@click.option("--tls-certificate", "certificate", type=_FILE)
@click.option("--tls-key", "key", type=_FILE)
@dev_option
@click.pass_obj
def serve(
    program: Program,
    /,
    log_format: str,
    access_log: bool,
    dev: tuple[Path, ...],
    link: bool | None,
    **given: Any,
) -> None:
    """Start the host with HTTP, print the address of the admin page, and keep running.

    Listens on loopback unless told otherwise. An address that can be reached from outside is refused while no
    token was made and no plugin checks passwords. SIGINT and SIGTERM let requests under way finish and stop
    the plugins in order; a second one ends the process at once. SIGHUP reads
    the configuration again and follows it.
    """
    context = click.get_current_context()
    context.with_resource(hangups_held())
    serving = Serving(link=is_loopback(given["host"]) if link is None else link, **given)
    given_here = ParameterSource.COMMANDLINE
    check_options(
        serving, [f"--{one}" for one in ("host", "port") if context.get_parameter_source(one) is given_here]
    )
    folders = dev_folders(dev)
    if folders and serving.workers > 1:
        raise click.UsageError("--dev serves with one process: leave --workers out")
    configure_logging(program.environ, program.verbosity + 1, for_machines=log_format == "json")
    program.stderr.take_over()
    if not access_log:
        logging.getLogger("plughost.access").setLevel(logging.WARNING)
    with listen(serving, program.environ) as listeners:
        if serving.workers > 1 and serving.worker is None:
            work: Callable[[], Awaitable[bool]] = Workers(serving, listeners, program.environ).run
        else:
            work = partial(OneProcess(program, serving, folders).run, listeners)
        try:
            ready = anyio.run(work, backend_options={"use_uvloop": find_spec("uvloop") is not None})
        except (RouteError, PublicAddressError) as error:
            program.stderr.say(f"Error: {error}", level="error")
            leave(ExitCode.FAILED)
    if not ready:
        leave(ExitCode.FAILED)
