"""A trace of hook calls: the last calls with what each plugin did, while somebody wants to know."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable

from plughost import Host
from plughost.contracts import Clock, HookReport, error_line
from plughost.plugins.admin.documents import Document

_KEPT = 10  # calls of each hook: the page itself calls some all the time, and must not drive out the others


class HookTrace:
    """The last calls of each hook, the newest first. It costs the calls nothing while it is off.

    Args:
        clock: Tells when a call was.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: defaultdict[str, deque[Document]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._noted = 0
        self._end: Callable[[], None] | None = None

    @property
    def on(self) -> bool:
        """Whether calls are noted."""
        return self._end is not None

    def start(self, host: Host) -> None:
        """Note every call from now on, and forget those of an earlier trace."""
        if self._end is None:
            self._calls.clear()
            self._end = host.trace_hooks(self._note)

    def stop(self) -> None:
        """Note no more calls; those that were noted stay."""
        if self._end is not None:
            self._end()
            self._end = None

    def calls(self) -> list[Document]:
        """Return the calls."""
        # Copies: other threads call hooks meanwhile.
        kept = [call for calls in list(self._calls.values()) for call in list(calls)]
        return sorted(kept, key=lambda call: call["number"], reverse=True)

    def _note(self, report: HookReport) -> None:
        # Neither arguments nor results: they belong to whoever called, and may be secret.
        self._noted += 1
        self._calls[report.hook].append(
            {
                "number": self._noted,
                "at": self._clock.time(),
                "hook": report.hook,
                "duration": report.duration,
                "outcomes": [
                    {
                        "plugin": each.plugin,
                        "kind": each.kind.replace("_", " "),
                        "duration": each.duration,
                        "error": error_line(each.error)
                        if each.error is not None and not each.would_have
                        else "",
                        "would_have": each.would_have,
                    }
                    for each in report.outcomes
                ],
            }
        )
