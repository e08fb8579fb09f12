"""What the command line of ``plughost serve`` said, checked before the host starts."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from plughost._dataclasses import dataclass
from plughost.contracts.setting_types import SiteUrl


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What the command line said.

    Attributes:
        host: Address to listen on.
        port: Port; 0 takes a free one.
        uds: Path of a Unix socket to listen on instead; None for none.
        fds: Numbers of inherited listening sockets to use instead; empty for none.
        workers: How many processes serve.
        worker: Which of them this one is, from 0; None in a process that serves alone or looks after workers.
        shares: File in which the workers see how many connections each of them has; None in any other process.
        link: Whether to print a link that signs in.
        read_only: Whether administrative actions are refused.
        drain: Seconds that requests under way may take after a stop was asked for.
        drain_notice: Seconds after SIGTERM in which ``/readyz`` says 503 while connections are still taken.
        proxies: Addresses whose forwarded headers are believed; empty for none.
        root_path: The prefix that a proxy takes off each path; empty for none.
        public_url: How browsers reach it; empty when that is the address it listens on.
        max_connections: How many connections may be open; None for as many as the process has descriptors for.
        header_timeout: Seconds in which a connection must have sent the head of a request.
        certificate: File with the certificate chain; None serves without TLS.
        key: File with its key.
    """

    host: str
    port: int
    uds: Path | None
    fds: tuple[int, ...]
    workers: int
    worker: int | None
    shares: Path | None
    link: bool
    read_only: bool
    drain: int
    drain_notice: float
    proxies: str
    root_path: str
    public_url: str
    max_connections: int | None
    header_timeout: float
    certificate: Path | None
    key: Path | None

    @property
    def scheme(self) -> str:
        """What stands before the address."""
        return "https" if self.certificate else "http"

    @property
    def is_public(self) -> bool:
        """Whether other machines can reach the address; whoever hands over a socket has decided that."""
        return self.uds is None and not self.fds and not is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether an address or name leads to this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_options(serving: Serving, address: Sequence[str] = ()) -> None:
    """See whether what was asked for fits together.

    Args:
        serving: What was asked for.
        address: Which of ``--host`` and ``--port`` were given, and are not the default.

    Raises:
        click.UsageError: It does not; the message says what to change.
    """
    if serving.worker is None:  # a worker has the whole command line, and the sockets of who looks after it
        places = ["--uds"] * (serving.uds is not None) + ["--fd"] * bool(serving.fds)
        others = [*places[1:], *address]
        if places and others:
            raise click.UsageError(
                f"{places[0]} and {' '.join(others)} both say where to listen: give one of them"
            )
    for address in filter(None, (part.strip() for part in serving.proxies.split(","))):
        if address == "*":
            continue
        try:
            ipaddress.ip_network(address, strict=False)
        except ValueError:
            raise click.UsageError(
                f"--trust-proxy {address!r} is not an address or network: write 10.0.0.2, 10.0.0.0/8 or *,"
                " several with commas between them"
            ) from None
    if serving.root_path and (not serving.root_path.startswith("/") or serving.root_path.endswith("/")):
        raise click.UsageError(
            f"--root-path {serving.root_path!r} must begin with / and not end with it: /shop"
        )
    try:
        msgspec.convert(serving.public_url, SiteUrl)
    except msgspec.ValidationError:
        raise click.UsageError(
            f"--public-url {serving.public_url!r} is not the address of a site: write https://example.org/prefix"
        ) from None
    _check_certificate(serving.certificate, serving.key)


def _check_certificate(certificate: Path | None, key: Path | None) -> None:
    if certificate is None:
        if key is not None:
            raise click.UsageError("--tls-key needs --tls-certificate")
        return

    def refuse_password() -> str:  # without a function OpenSSL would ask at the terminal
        raise click.UsageError(f"{key or certificate} is encrypted: serve takes keys without a password only")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=refuse_password)
    except ssl.SSLError as error:
        hint = " Give the key with --tls-key." if key is None else ""
        raise click.UsageError(
            f"{certificate} and {key or 'its key'} cannot be used for TLS: {error.reason or error}.{hint}"
        ) from error
    except OSError as error:
        raise click.UsageError(f"{certificate} or its key cannot be read: {error.strerror}") from error
