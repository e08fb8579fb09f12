"""Packages that the deployer named by a url and a digest: fetched once, under limits, never looked at before."""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any

from plughost._dataclasses import dataclass
from plughost.contracts.files import own_folder
from plughost.core.packages.digests import check_digest
from plughost.core.packages.urls import shown
from plughost.exceptions import PluginSourceError

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """How much and how long.

    Attributes:
        size: Bytes.
        seconds: For the whole of it.
    """

    size: int = 64 * 1024 * 1024
    seconds: float = 60.0


DEFAULT_LIMITS = FetchLimits()
"""What is used when a caller says nothing."""


def fetch(plugin: str, url: str, sha256: str, target: Path, limits: FetchLimits = DEFAULT_LIMITS) -> Path:
    """Fetch ``url`` into the file ``target``, which comes to be only when its digest is right.

    Called in a thread: it waits. Only ``https`` is used, or ``http`` from this very machine, also after a
    redirection.

    Raises:
        PluginSourceError: It cannot be had, is too large or too slow, or is not what was pinned.
    """
    _check_address(plugin, url)
    own_folder(target.parent)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".fetching-", delete=False) as file:
        aside = Path(file.name)
        try:
            found = _download(plugin, url, file, limits)
            check_digest(plugin, shown(url), sha256, found)
            file.flush()
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    return target


def _download(plugin: str, url: str, file: IO[bytes], limits: FetchLimits) -> str:
    deadline = time.monotonic() + limits.seconds
    digest = hashlib.sha256()
    size = 0
    try:
        with _opener(plugin).open(url, timeout=limits.seconds) as response:
            while chunk := response.read1(_CHUNK):
                size += len(chunk)
                if size > limits.size:
                    raise PluginSourceError(
                        f"plugin {plugin!r}: {shown(url)} is larger than the limit of {limits.size} bytes",
                        plugin=plugin,
                    )
                if time.monotonic() > deadline:
                    raise PluginSourceError(
                        f"plugin {plugin!r}: fetching {shown(url)} took longer than the limit of {limits.seconds:g} s",
                        plugin=plugin,
                    )
                digest.update(chunk)
                file.write(chunk)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise PluginSourceError(
            f"plugin {plugin!r}: {shown(url)} could not be fetched: {reason}. Correct url under "
            f"[plugins.{plugin}], or fetch the file by hand and name it by path",
            plugin=plugin,
        ) from error
    return digest.hexdigest()


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows a redirection only to where the first address could have led."""

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Called for each redirection."""
        _check_address(self._plugin, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(plugin: str) -> urllib.request.OpenerDirector:
    """No handler for files, ftp or data; proxies of the environment are used."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirections(plugin),
    ):
        opener.add_handler(handler)
    return opener


def _check_address(plugin: str, url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    try:
        is_here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = False
    if (parts.scheme == "https" and host) or (parts.scheme == "http" and is_here):
        return
    raise PluginSourceError(
        f"plugin {plugin!r}: {shown(url)} is not fetched: only https is, or http from this machine. Correct url "
        f"under [plugins.{plugin}]",
        plugin=plugin,
    )
