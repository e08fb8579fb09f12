"""What the host's configuration says about loading: limits, and each plugin's own table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from plughost.contracts.config import HostSection
from plughost.core.config import LoadedConfig
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.loading.background import RestartPolicy
from plughost.core.loading.lifecycle import LifeLimits


class ConfiguredPlugins:
    """The ``PluginConfigs`` of a host.

    Args:
        loaded: Returns its configuration, which may be read again.
    """

    def __init__(self, loaded: Callable[[], LoadedConfig]) -> None:
        self._loaded = loaded

    def decode(self, candidate: PluginCandidate, kind: type[Any] | None) -> Any:
        """Return the candidate's configuration as an instance of ``kind``.

        Raises:
            PluginConfigError: It does not fit.
        """
        return self._loaded().decode_plugin(candidate.name, kind, candidate.wish.config)

    def show(self, candidate: PluginCandidate, kind: type[Any] | None) -> Mapping[str, Any]:
        """Return it for people, with secrets hidden."""
        shown: Mapping[str, Any] = self._loaded().redact(candidate.wish.config or {}, config_class=kind)
        return shown


def life_limits(settings: HostSection) -> LifeLimits:
    """Return what the table ``[host]`` says about the lives of plugins."""
    return LifeLimits(
        concurrency=settings.load_concurrency,
        load=settings.load_timeout,
        shutdown=settings.shutdown_timeout,
        restarts=RestartPolicy(
            max_crashes=settings.max_restarts,
            window=settings.restart_window,
            first_pause=settings.restart_pause,
            longest_pause=settings.restart_pause_limit,
        ),
    )
