"""Celery: ``Plughost(app)``; each worker process has a host of its own, started and stopped with it."""

from __future__ import annotations

from typing import Any

from celery import Celery  # type: ignore[import-untyped]
from celery.signals import worker_process_init, worker_process_shutdown  # type: ignore[import-untyped]

from plughost.adapters.threads import HostOfProcess
from plughost.blocking import BlockingHost
from plughost.host import ConfigSource


class Plughost:
    """Gives tasks a host: ``app.plughost.host``.

    A pool of processes forks after the program was loaded, and a host would not survive that: each child begins
    to start one when it begins itself, and tasks wait for it. The child does not: Celery kills a child that does
    not say hello within four seconds. Pools that do not fork start it with the first task that asks for it.

    Args:
        app: The application.
        name: Name of the host.
        config: As for ``Host``.
    """

    def __init__(self, app: Celery, *, name: str = "plughost", config: ConfigSource = None) -> None:
        self._hosts = HostOfProcess(name, config)
        app.plughost = self
        # Weak references would let go of methods of an object that nobody else holds.
        worker_process_init.connect(self._begin, weak=False)
        worker_process_shutdown.connect(self._end, weak=False)

    @property
    def host(self) -> BlockingHost:
        """The host of this process, started."""
        return self._hosts.get()

    def stop(self) -> None:
        """Stop the host of this process, if there is one."""
        self._hosts.stop()

    def _begin(self, **_: Any) -> None:
        self._hosts.begin()

    def _end(self, **_: Any) -> None:
        self.stop()
