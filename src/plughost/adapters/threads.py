"""A host for programs of threads: started in the process that uses it, when it is first used.

Servers of WSGI applications fork. A host that was started before has neither its threads nor its connections
in the new process, so it is started after, by whoever asks first.
"""

from __future__ import annotations

import atexit
import os
import threading

from plughost.blocking import BlockingHost
from plughost.host import ConfigSource


class HostOfProcess:
    """One ``BlockingHost`` for each process.

    Args:
        name: Name of the host.
        config: As for ``Host``.
    """

    def __init__(self, name: str = "plughost", config: ConfigSource = None) -> None:
        self._name = name
        self._config = config
        self._lock = threading.Lock()
        self._host: BlockingHost | None = None
        self._process = 0

    def get(self) -> BlockingHost:
        """Return the host of this process, started."""
        with self._lock:
            if self._host is None or self._process != os.getpid():
                self._host = BlockingHost(self._name, config=self._config).start()
                self._process = os.getpid()
                atexit.register(self.stop)
            return self._host

    def stop(self) -> None:
        """Stop the host of this process, if there is one; the next ``get`` starts another."""
        with self._lock:
            host, self._host = self._host, None
            atexit.unregister(self.stop)
            if host is not None and self._process == os.getpid():
                host.stop()
