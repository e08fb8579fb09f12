"""Before a host looks for plugins, what the configuration names by url is brought here, all at the same time."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from plughost.contracts.logs import get_logger
from plughost.core.config import LoadedConfig
from plughost.core.finding.packaged import packages_to_fetch
from plughost.core.packages.fetching import FetchLimits, fetch
from plughost.core.packages.package import Package
from plughost.core.packages.urls import shown
from plughost.core.threads import run_in_daemon_thread
from plughost.exceptions import PluginSourceError

_log = get_logger("plughost.loading")


async def fetch_packages(loaded: LoadedConfig) -> Mapping[str, PluginSourceError]:
    """Fetch the packages that are not here yet; return name of a plugin -> why its package could not be had.

    Each is under the limit for a configured plugin's load (``configured_load_timeout``), and its thread is left
    behind when it passes it.
    """
    refusals: dict[str, PluginSourceError] = {}
    limits = FetchLimits(seconds=loaded.config.host.configured_load_timeout)
    async with anyio.create_task_group() as fetching:
        for package, url in packages_to_fetch(loaded):
            fetching.start_soon(_fetch, package, url, limits, refusals)
    return refusals


async def _fetch(
    package: Package, url: str, limits: FetchLimits, refusals: dict[str, PluginSourceError]
) -> None:
    name = package.plugin
    try:
        with anyio.move_on_after(limits.seconds):
            await run_in_daemon_thread(fetch, name, url, str(package.sha256), package.path, limits)
            _log.info("fetched package of plugin", plugin=name, url=shown(url), sha256=package.sha256)
            return
        refusals[name] = PluginSourceError(
            f"plugin {name!r}: fetching {shown(url)} took longer than the limit of {limits.seconds:g} s, which is "
            f"twice host.load_timeout",
            plugin=name,
        )
    except PluginSourceError as error:
        refusals[name] = error
    except OSError as error:
        refusals[name] = PluginSourceError(
            f"plugin {name!r}: {package.path} cannot be written: {error.strerror or error}. Give the data folder to "
            f"the user that runs the host",
            plugin=name,
        )
