"""What a plugin's process says unasked, such as log lines: heard up to a measure, and what is left out is counted."""

from __future__ import annotations

from typing import Final

from plughost.contracts.clock import Clock
from plughost.contracts.logs import get_logger
from plughost.core.processes.allowance import Allowance
from plughost.core.wire.protocol import Member

_TALKING: Final = frozenset({Member.LOG, Member.STATUS})
_ONCE: Final = frozenset({Member.READY, Member.FAILED})
_LONGEST: Final = 1 << 20  # bytes
_TALK: Final = 1_000  # lines each second, of up to a kilobyte; a longer one counts as several
_ODDITIES: Final = 10
_LOGGERS: Final = 200
_LONGEST_NAME: Final = 200
_log = get_logger("plughost.processes")


class Hearing:
    """Hears one process.

    Attributes:
        own: The logger of the plugin.

    Args:
        plugin: Name of the plugin.
        clock: Counts the seconds.
    """

    def __init__(self, plugin: str, clock: Clock) -> None:
        self.own = f"plughost.plugin.{plugin}"
        self._plugin = plugin

        def tell_of_lines(lines: int) -> None:
            log = get_logger(self.own, plugin=plugin)
            log.warning("plugin logged more than is told of it", lines=lines)

        def tell_of_oddities(times: int) -> None:
            _log.warning("a plugin's process said more that was of no use", plugin=plugin, times=times)

        self._talk = Allowance(_TALK, clock, tell_of_lines)
        self._oddities = Allowance(_ODDITIES, clock, tell_of_oddities)
        self._loggers: set[str] = set()

    def hears(self, member: int, size: int) -> bool:
        """Whether a note is taken in.

        Raises:
            ValueError: It is longer than any that makes sense.
        """
        if member in _TALKING:
            return self._talk.take(1 + size // 1024)
        if size > _LONGEST and member not in _ONCE:
            raise ValueError(f"it takes {size} bytes, and at most {_LONGEST} can be said at once")
        return True

    def puzzle_over(self, error: Exception) -> None:
        """Tell of a note that made no sense."""
        if self._oddities.take():
            _log.warning("what a plugin's process said was of no use", plugin=self._plugin, exc_info=error)

    def logger_of(self, name: str) -> str:
        """Return the name to log under: loggers are kept for good, so there are only so many for one process."""
        if name not in self._loggers:
            if len(self._loggers) >= _LOGGERS or len(name) > _LONGEST_NAME or not name.isprintable():
                return self.own
            self._loggers.add(name)
        return name

    def settle(self) -> None:
        """Tell what was left out and is not told yet."""
        self._talk.settle()
        self._oddities.settle()
