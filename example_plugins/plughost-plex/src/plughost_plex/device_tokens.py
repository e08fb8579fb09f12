"""Tokens of a week that plex.tv gives for the signature of a key of ours, in place of those that never end."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plughost.contracts import Clock, Secret
from plughost_plex.plex_tv import PlexTv
from plughost_plex.protocols import Account
from plughost_plex.shelf import Shelf
from plughost_upstream.protocols import (
    UpstreamMissingError,
    UpstreamRefusedError,
    UpstreamRejectedError,
)
from plughost_vault.protocols import Vault, VaultError

ACCOUNT_TOKEN: Final = "plex account token"  # noqa: S105 - its name
DEVICE_KEY: Final = "plex device key"

_LIFE: Final = 7 * 86_400.0
_RENEWED_AT: Final = 2 * 86_400.0
"""Seconds before its end at which a token is renewed: days enough for a second and third try."""

_STATEMENT_LIFE: Final = 300
_SCOPE: Final = "username"
_NOT_KNOWN: Final = (UpstreamMissingError, UpstreamRejectedError, UpstreamRefusedError)


class DeviceKey:
    """A key of Ed25519, by which plex.tv knows an account on this installation.

    Args:
        secret: The key, as ``secret`` of another one gave it.
    """

    def __init__(self, secret: Secret) -> None:
        self.secret = secret
        self._key = Ed25519PrivateKey.from_private_bytes(_unpacked(secret.reveal()))
        public = self._key.public_key().public_bytes_raw()
        self.name = hashlib.sha256(public).hexdigest()
        self.public = {
            "kty": "OKP", "crv": "Ed25519", "x": _packed(public), "use": "sig", "alg": "EdDSA", "kid": self.name,
        }  # fmt: skip

    @classmethod
    def new(cls) -> DeviceKey:
        """Make one."""
        return cls(Secret(_packed(Ed25519PrivateKey.generate().private_bytes_raw())))

    def signed(self, claims: Mapping[str, Any]) -> Secret:
        """Return claims as a signed JWT."""
        head = {"alg": "EdDSA", "typ": "JWT", "kid": self.name}
        text = ".".join(_packed(msgspec.json.encode(part)) for part in (head, claims))
        return Secret(f"{text}.{_packed(self._key.sign(text.encode()))}")


class DeviceTokens:
    """Takes such tokens, and renews them before they end.

    Args:
        shelf: Where keys and tokens are kept.
        plex_tv: Who gives tokens.
        vault: Returns what seals them.
        identifier: The client identifier of this installation.
        clock: Time.
    """

    def __init__(
        self, shelf: Shelf, plex_tv: PlexTv, vault: Callable[[], Vault], identifier: str, clock: Clock
    ) -> None:
        self._shelf, self._plex_tv, self._vault = shelf, plex_tv, vault
        self._identifier, self._clock = identifier, clock

    async def are_good(self, account: Account) -> bool:
        """Whether an account has such a token, and for some days more."""
        device = await self._shelf.device(account.user_id)
        return device is not None and device.until - self._clock.time() > _RENEWED_AT

    async def renewed(self, account: Account, token: Secret | None) -> Secret | None:
        """Return a new token, which is kept in place of the one before.

        Args:
            account: Whose.
            token: The one before, which introduces a new key; None when it is not good any more.

        Returns:
            None when plex.tv gives none for this account: the one before stays.

        Raises:
            UpstreamError: plex.tv gave no answer.
        """
        key = await self._kept_key(account)
        if key is not None:
            try:
                return await self._exchanged(account, key)
            except _NOT_KNOWN:
                if token is None:
                    return None
        if token is None:
            return None
        key = key or await self._new_key(account)
        try:
            await self._plex_tv.introduce(token, key.public)
            return await self._exchanged(account, key)
        except _NOT_KNOWN:
            await self._shelf.forget_device(account.user_id)
            return None

    async def _kept_key(self, account: Account) -> DeviceKey | None:
        device = await self._shelf.device(account.user_id)
        if device is None:
            return None
        try:
            return DeviceKey(self._vault().open(device.key, owner=account.user_id, purpose=DEVICE_KEY))
        except VaultError:
            return None

    async def _new_key(self, account: Account) -> DeviceKey:
        """Keep a new key before plex.tv hears of it: the first token that it brings ends the one before."""
        key = DeviceKey.new()
        sealed = self._vault().seal(key.secret, owner=account.user_id, purpose=DEVICE_KEY)
        await self._shelf.keep_device(account.user_id, sealed, 0.0)
        return key

    async def _exchanged(self, account: Account, key: DeviceKey) -> Secret | None:
        now = self._clock.time()
        claims = {
            "nonce": await self._plex_tv.nonce(),
            "scope": _SCOPE,
            "aud": "plex.tv",
            "iss": self._identifier,
        }
        statement = key.signed({**claims, "iat": int(now), "exp": int(now) + _STATEMENT_LIFE})
        token = await self._plex_tv.exchange(statement)
        if (await self._plex_tv.person(token)).id != account.plex_id:
            return None  # a token of somebody else is worse than none
        sealed = self._vault().seal(token, owner=account.user_id, purpose=ACCOUNT_TOKEN)
        await self._shelf.reseal(account.user_id, "", sealed)
        await self._shelf.keep_device(
            account.user_id,
            self._vault().seal(key.secret, owner=account.user_id, purpose=DEVICE_KEY),
            _end_of(token, now + _LIFE),
        )
        return token


def _end_of(token: Secret, unsaid: float) -> float:
    """Return when a token ends by its own word; plex.tv vouches for it by the connection it came over."""
    try:
        claims = msgspec.json.decode(_unpacked(token.reveal().split(".")[1]), type=dict[str, Any])
        return min(float(claims["exp"]), unsaid)
    except (IndexError, KeyError, TypeError, ValueError, msgspec.MsgspecError):
        return unsaid


def _packed(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unpacked(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
