"""Two plughosts that work together, one in the host and one in a plugin's process, must speak the same."""

from __future__ import annotations

from importlib.metadata import version

from plughost.core.finding.discovery import PluginCandidate
from plughost.core.wire.frames import VERSION
from plughost.core.wire.protocol import PluginManifest
from plughost.exceptions import PluginError, PluginProcessError


def refuse_version(candidate: PluginCandidate, manifest: PluginManifest) -> None:
    """Refuse a process that speaks otherwise than this host.

    Raises:
        PluginProcessError: The versions of their wires differ.
    """
    if manifest.wire != VERSION:
        raise PluginProcessError(
            f"plugin {candidate.name!r} was not started: the host, plughost {version('plughost')}, speaks version "
            f"{VERSION} of the wire, and plughost {manifest.plughost} in its process version {manifest.wire}. "
            f"{_same_in_both(candidate)}",
            plugin=candidate.name,
            phase="import",
        )


def with_versions(error: PluginError, candidate: PluginCandidate) -> PluginError:
    """Return the error of a process that ended before it spoke; another plughost is then most likely why, and named."""
    environment, ours = candidate.finding.environment, version("plughost")
    theirs = None if environment is None else environment.version_of("plughost")
    if environment is None or theirs == ours:
        return error
    return PluginProcessError(
        f"{error}. Its environment has plughost {theirs or 'of no version that can be told'}, the host {ours}. "
        f"{_same_in_both(candidate)}",
        plugin=candidate.name,
        phase="import",
    )


def _same_in_both(candidate: PluginCandidate) -> str:
    if candidate.finding.environment is None:
        return "Install the same plughost in both"
    return f"Install the same plughost in both: `plughost env upgrade {candidate.name}` does"
