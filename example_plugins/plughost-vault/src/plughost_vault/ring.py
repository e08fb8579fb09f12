"""Keys and what is sealed with them: AES-256-GCM, the owner and the purpose authenticated."""

from __future__ import annotations

import os
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from plughost.contracts import Secret
from plughost_vault.protocols import VaultError

_FORMAT: Final = "v1"
_KEY_ID: Final = 4
_NONCE: Final = 12
_MOST: Final = 1 << 20
"""Characters of a sealed text; nothing that a vault is for is longer."""


class Key:
    """A key that seals, made of a secret.

    Attributes:
        key_id: Names it in sealed texts; tells nothing of the secret.
    """

    __slots__ = ("_aead", "key_id")

    def __init__(self, secret: Secret) -> None:
        made = HKDF(SHA256(), length=32 + _KEY_ID, salt=b"plughost-vault", info=b"key and id").derive(
            secret.reveal().encode()
        )
        self.key_id = made[32:].hex()
        self._aead = AESGCM(made[:32])

    def __repr__(self) -> str:
        return f"Key({self.key_id})"

    def seal(self, plain: bytes, bound_to: bytes) -> bytes:
        """Return nonce and sealed bytes."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, plain, bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """Return what ``seal`` was given.

        Raises:
            InvalidTag: The bytes or what they are bound to are others.
        """
        return self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound_to)


class KeyRing:
    """Implements ``Vault``: the first key seals, all of them open.

    Args:
        read: Returns the secrets, the newest first; asked again when a sealed text names a key that is not
            known, for another process may have put it there.
    """

    def __init__(self, read: Callable[[], Sequence[Secret]]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._keys: tuple[Key, ...] = ()
        self._load()

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Names of the keys, the newest first."""
        return tuple(key.key_id for key in self._keys)

    def seal(self, secret: Secret, *, owner: str, purpose: str) -> str:
        """Return the secret sealed with the newest key."""
        key = self._keys[0]
        body = key.seal(secret.reveal().encode(), _bound_to(key.key_id, owner, purpose))
        return f"{_FORMAT}.{key.key_id}.{_written(body)}"

    def open(self, sealed: str, *, owner: str, purpose: str) -> Secret:
        """Return what was sealed for this owner and purpose."""
        key_id, body = _parts_of(sealed)
        key = self._named(key_id)
        try:
            return Secret(key.open(body, _bound_to(key_id, owner, purpose)).decode())
        except (InvalidTag, ValueError):
            # Not `from error`: nothing of what was tried belongs into a traceback.
            raise VaultError(
                "this sealed text was changed, or was sealed for another owner or purpose: ask its owner for the"
                " secret again"
            ) from None

    def is_current(self, sealed: str) -> bool:
        """Whether it is sealed with the newest key."""
        return sealed.startswith(f"{_FORMAT}.{self._keys[0].key_id}.")

    def reseal(self, sealed: str, *, owner: str, purpose: str) -> str:
        """Return it under the newest key."""
        secret = self.open(sealed, owner=owner, purpose=purpose)
        return sealed if self.is_current(sealed) else self.seal(secret, owner=owner, purpose=purpose)

    def refresh(self) -> None:
        """Read the keys again."""
        self._load()

    def _named(self, key_id: str) -> Key:
        for look_again in (True, False):
            for key in self._keys:
                if key.key_id == key_id:
                    return key
            if look_again:
                self._load()
        raise VaultError(
            f"key {key_id} is not in the vault, so what it sealed cannot be opened: put the key back, or ask the"
            f" owners for their secrets again"
        )

    def _load(self) -> None:
        with self._lock:
            self._keys = tuple(Key(secret) for secret in self._read())


def _written(body: bytes) -> str:
    return urlsafe_b64encode(body).rstrip(b"=").decode()


def _bound_to(key_id: str, owner: str, purpose: str) -> bytes:
    parts = [part.encode("utf-8", "surrogatepass") for part in (_FORMAT, key_id, owner, purpose)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _parts_of(sealed: str) -> tuple[str, bytes]:
    made_by, _, rest = sealed.partition(".")
    key_id, _, body = rest.partition(".")
    try:
        if made_by != _FORMAT or len(key_id) != 2 * _KEY_ID or len(sealed) > _MOST:
            raise ValueError(made_by)
        read = urlsafe_b64decode(body.encode("ascii") + b"=" * (-len(body) % 4))
        # Python reads "+" for "-", passes over foreign signs, and ignores spare bits.
        if _written(read) != body:
            raise ValueError(key_id)
        return key_id, read
    except ValueError:
        raise VaultError("this is not a text that a vault sealed") from None
