"""Whose key a call is made with: the user's own, and if TMDB does not accept that, the shared one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

import anyio.to_thread

from plughost.contracts import Secret
from plughost.exceptions import ServiceError
from plughost_tmdb.protocols import KeyKind
from plughost_tmdb.store import KeyState, OwnKey, Store
from plughost_upstream.protocols import Pace
from plughost_vault.protocols import Reseal, Vault, VaultError

PURPOSE: Final = "tmdb key"
_TOKEN: Final = re.compile(r"[A-Za-z0-9._-]{8,1024}")
_OLD_KEY: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A key to make a call with.

    Attributes:
        kind: Whose it is.
        secret: The key.
        pace: Whose allowance the call counts against.
        own: What is stored of a user's own key.
    """

    kind: KeyKind
    secret: Secret
    pace: Pace
    own: OwnKey | None = None

    @property
    def header(self) -> Secret:
        """The value of ``Authorization``."""
        return Secret(f"Bearer {self.secret.reveal()}")


class Keys:
    """All keys.

    Args:
        store: Where users' own keys are.
        vault: Returns what seals them.
        shared: The key of the deployer; None for none.
        shared_rate: Calls per second with it.
        own_rate: Calls per second with a user's own.
        fallback: Whether the shared key stands in for one that TMDB does not accept.
    """

    def __init__(
        self,
        store: Store,
        vault: Callable[[], Vault],
        shared: Secret | None,
        *,
        shared_rate: float,
        own_rate: float,
        fallback: bool,
    ) -> None:
        self._store, self._vault = store, vault
        self._own_rate, self._fallback = own_rate, fallback
        self.shared = (
            None
            if shared is None
            else Credential(kind="shared", secret=shared, pace=Pace("tmdb:shared", shared_rate))
        )
        self._users: set[str] = set()  # who has a key, as far as this process knows

    async def load(self) -> None:
        """Read who has a key of their own."""
        self._users = {key.user for key in await anyio.to_thread.run_sync(self._store.keys)}

    @property
    def count(self) -> int:
        """How many users have a key of their own."""
        return len(self._users)

    def has_own(self, user: str) -> bool:
        """Whether a user has entered a key, as far as this process knows."""
        return user in self._users

    async def stored(self, user: str) -> OwnKey | None:
        """Return what is stored of a user's own key."""
        return await anyio.to_thread.run_sync(self._store.key_of, user) if user else None

    async def candidates(self, user: str) -> list[Credential]:
        """Return the keys to try for a user, the best first; empty when there is none."""
        own = await self.stored(user)  # whatever is known here: other processes of this server take keys, too
        (self._users.discard if own is None else self._users.add)(user)
        opened = None if own is None else self.opened(own)
        usable = opened is not None and own is not None and own.state != "refused"
        found = [opened] if opened is not None and usable else []
        if self.shared is not None and (own is None or self._fallback):
            found.append(self.shared)
        return found

    def of(self, user: str, key: Secret) -> Credential:
        """Return a key that a user has just entered, sealed for storing.

        Raises:
            ServiceError: No vault runs.
        """
        sealed = self._vault().seal(key, owner=user, purpose=PURPOSE)
        own = OwnKey(user=user, sealed=sealed, last4=key.reveal()[-4:], state="unchecked")
        return self._credential(own, key)

    def opened(self, own: OwnKey) -> Credential | None:
        """Return a stored key; None when it cannot be opened: the user enters it again, or the vault comes back."""
        try:
            return self._credential(own, self._vault().open(own.sealed, owner=own.user, purpose=PURPOSE))
        except (VaultError, ServiceError):
            return None

    async def keep(self, credential: Credential, state: KeyState) -> None:
        """Store a user's own key."""
        if credential.own is not None:
            await anyio.to_thread.run_sync(self._store.keep, replace(credential.own, state=state))
            self._users.add(credential.own.user)

    async def mark(self, credential: Credential, state: KeyState) -> None:
        """Note what TMDB says to a key."""
        if credential.own is not None and credential.own.state != state:
            await anyio.to_thread.run_sync(self._store.mark, credential.own, state)

    async def drop(self, user: str) -> bool:
        """Remove a user's own key; whether there was one."""
        self._users.discard(user)
        return await anyio.to_thread.run_sync(self._store.drop, user)

    async def reseal(self, reseal: Reseal) -> int:
        """Put all keys under the vault's newest key; how many were under an older one."""
        count = 0
        for key in await anyio.to_thread.run_sync(self._store.keys):
            sealed = reseal(key.sealed, owner=key.user, purpose=PURPOSE)
            if sealed != key.sealed:
                await anyio.to_thread.run_sync(self._store.reseal, key, sealed)
                count += 1
        return count

    def _credential(self, own: OwnKey, secret: Secret) -> Credential:
        name = sha256(own.user.encode()).hexdigest()[:12]
        return Credential(kind="own", secret=secret, pace=Pace(f"tmdb:own:{name}", self._own_rate), own=own)


def complaint_about(key: str) -> str:
    """Return what is wrong with a key that somebody entered; empty when it may be one."""
    if _OLD_KEY.fullmatch(key):
        return (
            "This is an API key. Enter the API Read Access Token, which stands below it in TMDB's settings."
        )
    if not _TOKEN.fullmatch(key):
        return "This is not an API Read Access Token: letters, digits, dots, dashes and underscores, 8 to 1024 of them."
    return ""
