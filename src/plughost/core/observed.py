"""What plugins that do not enforce would have decided, kept for the deployer beyond the process that saw it.

All hosts of a data folder write into the one file, each what is new since it last did, so it is the same to read
whether one process serves or eight, and after a restart.
"""

from __future__ import annotations

import contextlib
import fcntl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from plughost.contracts.clock import Clock
from plughost.contracts.files import replace_file
from plughost.contracts.logs import get_logger
from plughost.contracts.masking import masked_text
from plughost.contracts.visible import writable
from plughost.core.calls.metrics import CallMetrics

_FILE, _LOCK = "observed.json", ".observed.lock"
_EVERY = 1.0  # seconds
_MOST_CASES = 20
_log = get_logger("plughost.hooks")


class ObservedCase(msgspec.Struct, frozen=True):
    """One verdict or refusal that was not applied.

    Attributes:
        at: When it was noted, in seconds since 1970.
        what: What it would have done, without secrets.
    """

    at: float
    what: str


class ObservedHook(msgspec.Struct, frozen=True, kw_only=True):
    """What one plugin would have done in one hook.

    Attributes:
        hook: Name of the hook.
        plugin: Name of the plugin.
        since: When the first was noted, in seconds since 1970.
        count: How many there were.
        last: The last of them, the newest at the end.
    """

    hook: str
    plugin: str
    since: float
    count: int = 0
    last: tuple[ObservedCase, ...] = ()


class Observations:
    """Writes what one host observes.

    Args:
        data_dir: The host's data folder.
        metrics: Where its calls are counted.
        clock: Time.
    """

    def __init__(self, data_dir: Path, metrics: CallMetrics, clock: Clock) -> None:
        self._data_dir = data_dir
        self._metrics = metrics
        self._clock = clock
        self._is_kept = False
        self._taking = threading.Lock()

    async def keep(self, needed: Callable[[], bool]) -> None:
        """Write what is new each second, for as long as it is needed; does nothing while another call does it."""
        if self._is_kept:
            return
        self._is_kept = True
        try:
            while needed():
                await self._clock.sleep(_EVERY)
                await anyio.to_thread.run_sync(self.write)
        finally:
            self._is_kept = False

    def write(self) -> None:
        """Write what is new since it was last written; where that cannot be done, the log says so."""
        with self._taking:  # what is told to whoever asks is written meanwhile, from another thread
            new = list(self._metrics.take_observed())
        if not new:
            return
        try:
            with _alone(self._data_dir):
                rows = {(row.hook, row.plugin): row for row in observed_in(self._data_dir)}
                now = self._clock.time()
                for hook, plugin, count, cases in new:
                    row = rows.get((hook, plugin)) or ObservedHook(hook=hook, plugin=plugin, since=now)
                    last = (*row.last, *(ObservedCase(now, writable(masked_text(what))) for what in cases))
                    rows[hook, plugin] = msgspec.structs.replace(
                        row, count=row.count + count, last=last[-_MOST_CASES:]
                    )
                replace_file(self._data_dir / _FILE, msgspec.json.encode(list(rows.values())))
        except OSError as error:
            _log.warning("what was not enforced cannot be written down", reason=str(error))


def observed_in(data_dir: Path) -> list[ObservedHook]:
    """Return what was written down in a data folder."""
    try:
        return msgspec.json.decode((data_dir / _FILE).read_bytes(), type=list[ObservedHook])
    except (OSError, msgspec.MsgspecError):
        return []


@contextlib.contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Keep the other hosts of the folder from writing meanwhile."""
    with (data_dir / _LOCK).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
