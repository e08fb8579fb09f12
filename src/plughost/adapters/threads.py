"""A host for programs of threads: started in the process that uses it, when it is first used.

Servers of WSGI applications fork. A host that was started before has neither its threads nor its connections
in the new process, so each process starts its own.
"""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import field

from plughost._dataclasses import dataclass
from plughost.blocking import BlockingHost
from plughost.contracts.logs import get_logger
from plughost.host import ConfigSource

_log = get_logger("plughost.host")


@dataclass(slots=True)
class _HostHere:
    """Where the host of one process is. Its lock is held while that starts or stops."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    host: BlockingHost | None = None


class HostOfProcess:
    """One ``BlockingHost`` for each process.

    Args:
        name: Name of the host.
        config: As for ``Host``.
    """

    def __init__(self, name: str = "plughost", config: ConfigSource = None) -> None:
        self._name = name
        self._config = config
        self._places: dict[int, _HostHere] = {}

    def get(self) -> BlockingHost:
        """Return the host of this process, started; wait for it when another thread is starting it."""
        place = self._place
        with place.lock:
            if place.host is None:
                place.host = BlockingHost(self._name, config=self._config).start()
                atexit.register(self.stop)
            return place.host

    def begin(self) -> None:
        """Have the host of this process started by a thread, without waiting for it.

        When that fails it is logged, and ``get`` tries again.
        """

        def try_it() -> None:
            try:
                self.get()
            except Exception as error:  # whoever asks for the host is told
                _log.error("the host did not start", host=self._name, error=str(error))

        threading.Thread(target=try_it, name=f"{self._name} starts", daemon=True).start()

    def stop(self) -> None:
        """Stop the host of this process, if there is one; the next ``get`` starts another."""
        place = self._place
        with place.lock:
            host, place.host = place.host, None
            atexit.unregister(self.stop)
            if host is not None:
                host.stop()

    @property
    def _place(self) -> _HostHere:
        # By process, lock and all: the lock that a forked process inherits may be held by a thread it has not.
        return self._places.setdefault(os.getpid(), _HostHere())
