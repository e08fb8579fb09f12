"""What the service manager is told: the protocol of sd_notify(3), which is a datagram of lines."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

import anyio


class Notifier:
    """Tells the service manager that started this process how it is; does nothing where there is none.

    Args:
        environ: Where ``NOTIFY_SOCKET`` and ``WATCHDOG_USEC`` are looked for.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # An abstract address begins with a zero byte, which the variable writes as @.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        watched = environ.get("WATCHDOG_PID") in (None, str(os.getpid()))
        interval = environ.get("WATCHDOG_USEC", "") if watched else ""
        self._interval = int(interval) / 2_000_000 if interval.isdecimal() else 0.0

    def ready(self, status: str) -> None:
        """Say that requests are answered."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Say that the configuration is being read again; ``ready`` ends that."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._tell("STOPPING=1")

    async def keep_alive(self) -> None:
        """Say again and again that the event loop turns, where the manager asked for that."""
        while self._interval and self._address:
            self._tell("WATCHDOG=1")
            await anyio.sleep(self._interval)

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            try:
                channel.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                return  # nobody listens any more: serving goes on
