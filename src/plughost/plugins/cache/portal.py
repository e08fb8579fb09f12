"""The shared tier as a thread without a loop sees it: each call goes to the host's loop and is waited for."""

from __future__ import annotations

from collections.abc import Sequence

from plughost.plugins.cache.remote import Answer, Lease, Parcel, Remote
from plughost.plugins.cache.tasks import OwnLoop


class PortalRemote:
    """What a load needs of ``Remote``, in coroutines that never suspend: a thread runs them without a loop."""

    def __init__(self, remote: Remote, home: OwnLoop) -> None:
        self._remote = remote
        self._home = home

    @property
    def available(self) -> bool:
        """Whether it answers, and there is a loop to ask it through."""
        return self._home.running and self._remote.available

    @property
    def coherent(self) -> bool:
        """As of the tier itself."""
        return self._remote.coherent

    @property
    def echoes(self) -> bool:
        """As of the tier itself."""
        return self._remote.echoes

    async def read(self, key: str) -> Answer:
        """Read through the host's loop."""
        return self._home.call(self._remote.read, key)

    async def write(self, parcels: Sequence[Parcel]) -> Sequence[bool]:
        """Write through the host's loop."""
        return self._home.call(self._remote.write, parcels)

    async def lease(self, key: str, patience: float, tags: Sequence[str] = ()) -> Lease:
        """Ask for the lease through the host's loop."""
        return self._home.call(self._remote.lease, key, patience, tags)

    def give_back(self, lease: Lease, hold_for: float = 0.0) -> None:
        """Give the lease back through the host's loop."""

        async def give_back_there() -> None:
            self._remote.give_back(lease, hold_for)

        if self._home.running:
            self._home.call(give_back_there)
