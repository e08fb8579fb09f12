"""What a host remembers from one start to the next: which plugins were there, and how long each took to start.

An upgrade of the environment must not lose a plugin in silence, and the longest chain of starts shall go first.
Hosts of one name share a data folder, whatever project and environment they run in; what one of them lost is not
missed by the others, so each project in each environment has a place of its own in the one file.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from plughost.contracts.files import replace_file
from plughost.contracts.records import PluginState
from plughost.core.config import LoadedConfig
from plughost.core.config.paths import canonical
from plughost.core.finding.discovery import PluginCandidate

_FILE = "state.json"
_MOST_PLACES = 100  # more projects than one user works on; the least recently started are forgotten


class SeenPlugin(msgspec.Struct, frozen=True):
    """A plugin as it was when it was last seen.

    Attributes:
        name: Its name.
        distribution: Its distribution; empty when it had none.
        version: That distribution's version; empty when unknown.
        origin: Where it was.
        installed: Whether it was an installed distribution, rather than a folder, file or package.
    """

    name: str
    distribution: str = ""
    version: str = ""
    origin: str = ""
    installed: bool = False

    def __str__(self) -> str:
        """Say for people that it is gone, and what to do."""
        what = f"{self.distribution} {self.version}".strip() or self.origin
        pinned = f"{self.distribution}=={self.version}" if self.version else self.distribution
        back = f"pip install {pinned}" if self.installed else f"bring {self.origin} back"
        return (
            f"plugin {self.name!r} ({what}) was there at an earlier start and is gone: {back}, or let "
            f"`plughost doctor --fix` forget it"
        )


class LastFailure(msgspec.Struct, frozen=True):
    """Why a plugin failed when it last did.

    Attributes:
        at: When, in seconds since 1970.
        phase: What it was in.
        message: What happened and what to do, without secrets.
        traceback: The last lines of the traceback; empty when there is none.
    """

    at: float
    phase: str
    message: str
    traceback: str = ""


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one project in one environment.

    Attributes:
        project: Its configuration file, or its folder.
        environment: Folder of the environment that Python runs in.
        seen: Plugins that were there, by name.
        told: Names of those that are gone and of which a start has told.
        seconds: How long each plugin took to start, by name.
        failures: The last failure of each plugin that has not started well since, by name.
    """

    project: str
    environment: str
    seen: dict[str, SeenPlugin] = {}
    told: tuple[str, ...] = ()
    seconds: dict[str, float] = {}
    failures: dict[str, LastFailure] = {}

    @property
    def is_there(self) -> bool:
        return Path(self.project).exists() and Path(self.environment).exists()


class HostMemory(msgspec.Struct, frozen=True):
    """What the hosts of one project in one environment remember. It is a help, and nothing depends on it.

    Attributes:
        data_dir: The host's data folder. One whose plugins keep no data has none, and none is made for this.
        project: Its configuration file, or its folder.
        environment: Folder of the environment that Python runs in.
    """

    data_dir: Path
    project: Path
    environment: Path

    @classmethod
    def of(cls, loaded: LoadedConfig) -> HostMemory:
        """Return the memory of the hosts that run with this configuration in this environment."""
        project = loaded.base if loaded.path is None else loaded.base / loaded.path
        return cls(loaded.data_dir, project.resolve(), Path(sys.prefix).resolve())

    def seconds(self) -> dict[str, float]:
        """Return how long each plugin took when it last started, by name; it is only ever a hint."""
        return dict(self._read().seconds)

    def lost(self, candidates: Iterable[PluginCandidate]) -> list[SeenPlugin]:
        """Return the plugins that were once found, and that are nowhere now.

        A plugin that the configuration disables is not missed.
        """
        return _missing(self._read(), candidates)

    def note_start(
        self,
        candidates: Iterable[PluginCandidate],
        seconds: Mapping[str, float],
        failures: Mapping[str, LastFailure] = MappingProxyType({}),
    ) -> list[SeenPlugin]:
        """Note what is there now, beside what is missed; returns what is gone and was not told before.

        Args:
            candidates: What was found.
            seconds: How long each plugin took to start this time.
            failures: Why those that failed did.
        """
        before, given = self._read(), list(candidates)
        missing = _missing(before, given)
        seen: dict[str, SeenPlugin] = {}
        for one in filter(_is_here, given):
            found = one.finding
            is_installed = found.source == "entry point"
            seen[canonical(one.name)] = SeenPlugin(
                one.name, found.distribution, found.version, found.origin, is_installed
            )
        after = msgspec.structs.replace(
            before,
            seen=before.seen | seen,
            told=tuple(one.name for one in missing),
            seconds=before.seconds | {name: round(took, 4) for name, took in seconds.items()},
            failures={name: was for name, was in before.failures.items() if name not in seconds}
            | dict(failures),
        )
        if failures:
            self._make_folder()
        if self.data_dir.is_dir() and after != before:
            with contextlib.suppress(OSError):
                self._write(after)
        return [one for one in missing if one.name not in before.told]

    def note_failure(self, name: str, failure: LastFailure) -> None:
        """Note that a plugin failed after the start; where that cannot be written, it is not known later."""
        before = self._read()
        self._make_folder()
        with contextlib.suppress(OSError):
            self._write(msgspec.structs.replace(before, failures=before.failures | {name: failure}))

    def last_failure(self, name: str) -> LastFailure | None:
        """Return why a plugin failed when it last did; None when it never did, or started well since."""
        wanted = canonical(name)
        return next((was for known, was in self._read().failures.items() if canonical(known) == wanted), None)

    def forget(self, name: str) -> None:
        """Miss a plugin no longer.

        Raises:
            OSError: The note cannot be written.
        """
        before = self._read()
        left = {key: seen for key, seen in before.seen.items() if key != canonical(name)}
        self._write(msgspec.structs.replace(before, seen=left))

    def _make_folder(self) -> None:
        with contextlib.suppress(OSError):
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _read(self) -> _Place:
        mine = next((place for place in self._places() if self._is_mine(place)), None)
        return mine or _Place(project=str(self.project), environment=str(self.environment))

    def _write(self, mine: _Place) -> None:
        others = [place for place in self._places() if not self._is_mine(place) and place.is_there]
        kept = [*others[-_MOST_PLACES + 1 :], mine]
        replace_file(self.data_dir / _FILE, msgspec.json.encode(kept))

    def _is_mine(self, place: _Place) -> bool:
        return (place.project, place.environment) == (str(self.project), str(self.environment))

    def _places(self) -> list[_Place]:
        try:
            return msgspec.json.decode((self.data_dir / _FILE).read_bytes(), type=list[_Place])
        except (OSError, msgspec.MsgspecError):
            return []


def _missing(place: _Place, candidates: Iterable[PluginCandidate]) -> list[SeenPlugin]:
    present = {
        canonical(one.name) for one in candidates if _is_here(one) or one.verdict is PluginState.DISABLED
    }
    return [seen for key, seen in sorted(place.seen.items()) if key not in present]


def _is_here(candidate: PluginCandidate) -> bool:
    """Whether its metadata are there; one that is only configured is not."""
    return bool(candidate.finding.reference)
