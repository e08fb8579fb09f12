"""``plughost serve``: a host with HTTP, and an address at which to look at it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import click
import msgspec

from plughost.cli.exits import ExitCode, leave
from plughost.cli.logs import configure_logging
from plughost.cli.program import Program, config_option, json_option, verbose_option
from plughost.cli.report import report_text
from plughost.cli.signals import StopSignals
from plughost.exceptions import PlughostError, RouteError
from plughost.host import Host

try:
    import uvicorn

    from plughost.http import HostApplication, create_app
    from plughost.http.tracing import request_tracer
except ImportError as missing:
    raise click.ClickException(
        f"serve needs the extra http ({missing.name} is missing): pip install 'plughost[http]'"
    ) from missing


class PublicAddressError(PlughostError):
    """The address can be reached from outside, and nobody could be told from anybody."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What the command line said.

    Attributes:
        host: Address to listen on.
        port: Port; 0 takes a free one.
        link: Whether to print a link that signs in.
        read_only: Whether administrative actions are refused.
        drain: Seconds that requests under way may take after a stop was asked for.
        proxies: Addresses whose forwarded headers are believed; empty for none.
        certificate: File with the certificate chain; None serves without TLS.
        key: File with its key.
    """

    host: str
    port: int
    link: bool
    read_only: bool
    drain: int
    proxies: str
    certificate: Path | None
    key: Path | None


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would end the host in the middle of its stop."""

    def __init__(self, config: uvicorn.Config, application: HostApplication) -> None:
        super().__init__(config)
        self._application = application

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End event streams, which would never end by themselves, and wait for the other requests."""
        self._application.drain()
        await super().shutdown(sockets)


@click.command()
@config_option
@json_option
@verbose_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."
)
@click.option("--link/--no-link", default=None, help="Print a link that signs in once. Default: on loopback.")
@click.option("--read-only", is_flag=True, help="Refuse administrative actions.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--drain", default=10, show_default=True, help="Seconds for requests under way at the end.")
@click.option("--trust-proxy", default="", metavar="ADDRESSES", help="Believe forwarded headers from these.")
@click.option("--tls-certificate", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--tls-key", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.pass_obj
def serve(
    program: Program,
    host: str,
    port: int,
    link: bool | None,
    read_only: bool,
    log_format: str,
    drain: int,
    trust_proxy: str,
    tls_certificate: Path | None,
    tls_key: Path | None,
) -> None:
    """Start the host with HTTP, print the address of the admin page, and keep running.

    Listens on loopback unless told otherwise. An address that can be reached from outside is refused while no
    token was made and no plugin checks passwords. SIGINT and SIGTERM let requests under way finish and stop
    the plugins in order; a second one ends the process at once.
    """
    configure_logging(program.environ, program.verbosity + 1, for_machines=log_format == "json")
    link = is_loopback(host) if link is None else link
    serving = Serving(host, port, link, read_only, drain, trust_proxy, tls_certificate, tls_key)
    try:
        ready = anyio.run(_serve, program, serving)
    except (RouteError, PublicAddressError) as error:
        program.talk(f"Error: {error}")
        leave(ExitCode.FAILED)
    if not ready:
        leave(ExitCode.FAILED)


async def _serve(program: Program, serving: Serving) -> bool:
    """Serve until asked to stop; return whether the host had become ready."""
    listener = _listen(serving)
    ready = True
    with listener:
        async with StopSignals() as signals:
            with signals.interrupting() as starting:
                async with program.host() as host:
                    starting.disarm()
                    ready = host.ready
                    program.talk(report_text(host))
                    if ready:
                        await _serve_host(program, serving, host, listener, signals)
    return ready


async def _serve_host(
    program: Program, serving: Serving, host: Host, listener: socket.socket, signals: StopSignals
) -> None:
    settings = host.config.http
    if serving.read_only:
        settings = msgspec.structs.replace(settings, read_only=True)
    application = create_app(host, settings=settings)
    _trace(host)
    try:
        await _refuse_unguarded_address(serving, host, application)
        server = _Server(_config(application, serving), application)
        _announce(program, serving, application, listener.getsockname()[1])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_when_asked, signals, server)
            await server.serve([listener])
            tasks.cancel_scope.cancel()
    finally:
        application.close()


def _trace(host: Host) -> None:
    """Make spans of hook calls when somebody has set OpenTelemetry up, as ``opentelemetry-instrument`` does."""
    if request_tracer() is not None:
        from plughost.tracing import trace_hooks

        trace_hooks(host)


async def _stop_when_asked(signals: StopSignals, server: _Server) -> None:
    await signals.wait()
    server.should_exit = True


def _config(application: HostApplication, serving: Serving) -> uvicorn.Config:
    app: Any = application
    return uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,  # it would write the query, in which sign-in codes travel; ours does not
        server_header=False,
        proxy_headers=bool(serving.proxies),
        forwarded_allow_ips=serving.proxies or None,
        timeout_graceful_shutdown=serving.drain,
        ssl_certfile=serving.certificate,
        ssl_keyfile=serving.key,
    )


def _listen(serving: Serving) -> socket.socket:
    """Return a listening socket; made before the host starts, so that a taken port is known at once."""
    try:
        return socket.create_server(
            (serving.host, serving.port), family=_family(serving.host), backlog=2048, reuse_port=False
        )
    except OSError as error:
        message = f"cannot listen on {serving.host}:{serving.port}: {error.strerror or error}"
        raise click.ClickException(message) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def is_loopback(host: str) -> bool:
    """Whether an address or name leads to this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


async def _refuse_unguarded_address(serving: Serving, host: Host, application: HostApplication) -> None:
    if is_loopback(serving.host) or application.runtime.tokens.any_alive():
        return
    if not (await host.status()).hooks.get("authenticate"):
        raise PublicAddressError(
            f"{serving.host} can be reached from outside, but no token was made and no plugin checks passwords."
            " Make a token first: plughost admin token create --name NAME --scope SCOPE"
        )


def _announce(program: Program, serving: Serving, application: HostApplication, port: int) -> None:
    shown = f"[{serving.host}]" if ":" in serving.host else serving.host
    base = f"{'https' if serving.certificate else 'http'}://{shown}:{port}"
    document = {"address": base, "admin": f"{base}/admin/system"}
    lines = [f"plughost {application.host.name} listens on {base}", f"Admin page: {base}/admin/system"]
    if serving.link:
        code = application.runtime.sign_ins.make_link_code()
        document["sign_in"] = f"{base}/admin/sign-in?code={code}"
        minutes = application.runtime.settings.link_lifetime / 60
        lines.append(f"Sign in, once, within {minutes:.0f} minutes: {document['sign_in']}")
    program.show(document, "\n".join(lines))
