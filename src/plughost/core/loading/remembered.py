"""Which plugins were there the last time a host started: an upgrade of the environment must not lose one in silence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from plughost.contracts.records import PluginState
from plughost.core.loading.discovery import PluginCandidate

_FILE = "seen-plugins.json"


@dataclass(frozen=True, slots=True)
class SeenPlugin:
    """A plugin as it was when it was last seen.

    Attributes:
        name: Its name.
        distribution: Its distribution; empty when it had none.
        version: That distribution's version; empty when unknown.
        origin: Where it was.
    """

    name: str
    distribution: str = ""
    version: str = ""
    origin: str = ""

    def __str__(self) -> str:
        """Say for people that it is gone, and what to do."""
        what = f"{self.distribution} {self.version}".strip() or self.origin
        pinned = f"{self.distribution}=={self.version}" if self.version else self.distribution
        back = f"pip install {pinned}" if self.distribution else f"bring {self.origin} back"
        return (
            f"plugin {self.name!r} ({what}) was there at an earlier start and is gone: {back}, or let "
            f"`plughost doctor --fix` forget it"
        )


def lost_plugins(data_dir: Path, candidates: Iterable[PluginCandidate]) -> list[SeenPlugin]:
    """Return the plugins that a host with this data folder once found, and that are nowhere now.

    A plugin that the configuration disables is not missed.
    """
    given = list(candidates)
    present = {one.name for one in given if _is_here(one) or one.verdict is PluginState.DISABLED}
    return [seen for name, seen in sorted(_read(data_dir).items()) if name not in present]


def remember_plugins(data_dir: Path, candidates: Iterable[PluginCandidate]) -> None:
    """Note the plugins that are there now, beside those that are missed.

    A host whose plugins keep no data has no data folder, and none is made for this.
    """
    if data_dir.is_dir():
        found = {one.name: _seen(one) for one in candidates if _is_here(one)}
        before = _read(data_dir)
        if before | found != before:
            _write(data_dir, before | found)


def forget_plugin(data_dir: Path, name: str) -> None:
    """Miss a plugin no longer.

    Raises:
        OSError: The note cannot be written.
    """
    left = {other: seen for other, seen in _read(data_dir).items() if other != name}
    (data_dir / _FILE).write_bytes(msgspec.json.encode(left))


def _is_here(candidate: PluginCandidate) -> bool:
    """Whether its metadata are there; one that is only configured is not."""
    return bool(candidate.finding.reference)


def _seen(candidate: PluginCandidate) -> SeenPlugin:
    finding = candidate.finding
    return SeenPlugin(candidate.name, finding.distribution, finding.version, finding.origin)


def _read(data_dir: Path) -> dict[str, SeenPlugin]:
    try:
        return msgspec.json.decode((data_dir / _FILE).read_bytes(), type=dict[str, SeenPlugin])
    except (OSError, msgspec.MsgspecError):
        return {}


def _write(data_dir: Path, seen: Mapping[str, SeenPlugin]) -> None:
    aside = data_dir / f"{_FILE}.new"
    with contextlib.suppress(OSError):  # it is a help, and nothing depends on it
        aside.write_bytes(msgspec.json.encode(seen))
        aside.replace(data_dir / _FILE)
