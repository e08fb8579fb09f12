"""Passwords: hashed with argon2id in worker threads, a few at a time."""

from __future__ import annotations

import anyio
import anyio.to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError


class Passwords:
    """Hashes and verifies.

    One hash takes some 50 ms of a core and 64 MiB on purpose; ``parallel`` bounds how many run at once, so that a
    flood of sign-ins neither fills the memory nor stops the event loop.

    Args:
        parallel: How many may be hashed at the same time.
        hasher: Its costs; argon2-cffi's recommendation when None.
    """

    def __init__(self, parallel: int, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._limiter = anyio.CapacityLimiter(parallel)
        # What an unknown name is verified against, so that it takes as long as a known one.
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """Return the hash to store."""
        return await anyio.to_thread.run_sync(self._hasher.hash, password, limiter=self._limiter)

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether it is the password; for None, somebody unknown, it is not, after the same time."""
        found = await anyio.to_thread.run_sync(
            self._verify, stored or self._nobody, password, limiter=self._limiter
        )
        return found and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether it was hashed with other costs than are used now."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False
