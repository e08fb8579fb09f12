"""Secrets, the keys made of them, and the envelope a value travels to the store in.

Each stored value begins with a byte that says how to read it: 1 is plain, 2 is sealed with AES-256-GCM. There
is never trial and error: a value is opened in the one way its envelope and the configuration allow, or not at all.
"""

from __future__ import annotations

import hmac
import os
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol

from plughost.exceptions import ConfigError, SessionUnreadableError, StoreUnavailableError

PLAIN: Final = b"\x01"
SEALED: Final = b"\x02"
MIN_SECRET: Final = 32
_KEY_ID = 4
_NONCE = 12
_HEAD = 1 + _KEY_ID + _NONCE
_MIN_DISTINCT = 10
_MOST_CIPHERS = 4096  # those of sessions used lately; making one takes as long as using it

_KNOWN_SECRETS = (  # parts of what samples, tutorials and advisories have made known
    "changeme", "change_me", "change-me", "change me", "temporary_key", "thisismyscretkey",
    "django-insecure", "mysecret", "my-secret", "my_secret", "supersecret", "super-secret",
    "super_secret", "your-secret", "your_secret", "yoursecret", "secret_key", "secret-key", "secretkey",
    "not-so-secret", "password", "qwerty", "example", "insecure", "letmein", "0123456789", "1234567890",
    "abcdefghij",
)  # fmt: skip


def check_secret(secret: str, origin: str) -> None:
    """Refuse a secret that is short, or that others can guess or have read.

    Raises:
        ConfigError: It is; the message says how to make one and never shows it.
    """
    lowered = secret.lower()
    complaint = ""
    if len(secret.encode()) < MIN_SECRET:
        complaint = f"is shorter than {MIN_SECRET} bytes"
    elif len(set(secret)) < _MIN_DISTINCT:
        complaint = f"has fewer than {_MIN_DISTINCT} different characters"
    elif any(known in lowered for known in _KNOWN_SECRETS):
        complaint = "contains a word that samples and documentation use"
    if complaint:
        advice = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
        raise ConfigError(f"the secret of the sessions plugin {complaint}; {advice}", path=origin)


def joined(*parts: bytes) -> bytes:
    """Return the parts with their lengths before them, so that no two lists of parts give the same bytes."""
    return b"".join(map(_with_length, parts))


def _with_length(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


def derive(key: bytes, *purpose: bytes) -> bytes:
    """Return a 32-byte key for one purpose: the expand step of HKDF (RFC 5869) for one block."""
    return hmac.digest(key, joined(*purpose) + b"\x01", "sha256")


class RingKey:
    """One secret's keys.

    Attributes:
        key_id: Four bytes that name it in envelopes; they tell nothing of the secret.
        fields: Root of the keys that seal fields.
        csrf: Key of the tokens.
        sealed_with: What every value that it seals is bound to: the format and the key's name.
    """

    __slots__ = ("csrf", "fields", "key_id", "sealed_with")

    def __init__(self, secret: str) -> None:
        root = hmac.digest(b"plughost.sessions.v1", secret.encode(), "sha256")  # the extract step of HKDF
        self.key_id = derive(root, b"key id")[:_KEY_ID]
        self.fields = derive(root, b"fields")
        self.csrf = derive(root, b"csrf")
        self.sealed_with = joined(SEALED, self.key_id)

    def __repr__(self) -> str:
        return f"RingKey({self.key_id.hex()})"


class KeyRing:
    """All secrets in force, the newest first: it seals and signs, the older ones only open and verify.

    Args:
        secrets: Checked secrets, newest first; none as long as the own one cannot be written.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self.take(secrets)

    def take(self, secrets: Sequence[str]) -> None:
        """Have these secrets from now on."""
        self._keys = tuple(RingKey(secret) for secret in secrets)
        self._by_id = {key.key_id: key for key in reversed(self._keys)}

    @property
    def newest(self) -> RingKey:
        """The key that seals and signs.

        Raises:
            StoreUnavailableError: There is none yet.
        """
        if not self._keys:
            raise StoreUnavailableError("the secret of the sessions could not be written yet")
        return self._keys[0]

    def __bool__(self) -> bool:
        """Whether there is a key."""
        return bool(self._keys)

    def by_id(self, key_id: bytes) -> RingKey | None:
        """Return the key an envelope names, or None."""
        return self._by_id.get(key_id)

    def csrf_token(self, digest: bytes) -> str:
        """Return the token bound to a session."""
        return _token(self.newest, digest)

    def csrf_matches(self, digest: bytes, token: str) -> bool:
        """Whether a token belongs to that session, made with any key in force. Any text may be given."""
        given = token.encode("utf-8", "surrogateescape")
        checks = [hmac.compare_digest(_token(key, digest).encode(), given) for key in self._keys]
        return any(checks)


class Owner(Protocol):
    """The session a value belongs to: a new one, or one that is stored."""

    @property
    def digest(self) -> bytes:
        """The store's key, by which a browser's id leads to it."""

    @property
    def subject(self) -> str | None:
        """Whose it is."""

    @property
    def handle(self) -> str:
        """Its public name."""


class NewOwner(NamedTuple):
    """An ``Owner`` that is about to be."""

    digest: bytes
    subject: str | None
    handle: str


class Envelope(Protocol):
    """How values are put into bytes a store keeps, and taken out again."""

    def close(self, owner: Owner, name: str, value: bytes) -> bytes:
        """Return what the store keeps of the field ``name`` of a session."""

    def open(self, owner: Owner, name: str, stored: bytes) -> bytes:
        """Return the value.

        Raises:
            SessionUnreadableError: It was not closed by us for this field of this session.
        """

    def is_current(self, stored: bytes) -> bool:
        """Whether it is closed the way it would be closed now."""


class PlainEnvelope:
    """No encryption: one byte in front."""

    def close(self, owner: Owner, name: str, value: bytes) -> bytes:
        """Return the value behind its format byte."""
        return PLAIN + value

    def open(self, owner: Owner, name: str, stored: bytes) -> bytes:
        """Return the value behind the format byte."""
        if stored[:1] != PLAIN:
            raise _unreadable(owner.handle, "it is sealed, and encryption is off")
        return stored[1:]

    def is_current(self, stored: bytes) -> bool:
        """Whether it is plain."""
        return stored[:1] == PLAIN


class SealedEnvelope:
    """AES-256-GCM under a key of the session's own, bound to the session and the field.

    A key per session keeps each key far below the 2^32 messages that random nonces allow. Digest, subject and
    handle are part of the key, format, key id and name are authenticated: bytes that are moved to another field or
    row do not open, nor do those of a row that is given to another user or put under the digest of another id.

    Args:
        ring: The keys.
        accept_plain: Open plain values too, while a store is on its way to being encrypted.
    """

    def __init__(self, ring: KeyRing, *, accept_plain: bool = False) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise ConfigError(
                "encrypting session fields needs cryptography: pip install 'plughost[sessions]', or set"
                " encrypt = false",
                path="plugins.sessions.config.encrypt",
            ) from error
        self._ring = ring
        self._accept_plain = accept_plain
        self._aead = AESGCM
        self._invalid = InvalidTag
        self._ciphers: dict[tuple[bytes, bytes, str | None, str], Any] = {}

    def close(self, owner: Owner, name: str, value: bytes) -> bytes:
        """Return the value sealed with the newest key."""
        key = self._ring.newest
        nonce = os.urandom(_NONCE)
        sealed: bytes = self._cipher(key, owner).encrypt(nonce, value, _bound_to(key, name))
        return SEALED + key.key_id + nonce + sealed

    def open(self, owner: Owner, name: str, stored: bytes) -> bytes:
        """Return the value, opened with the key its envelope names."""
        if stored[:1] == PLAIN and self._accept_plain:
            return stored[1:]
        if stored[:1] != SEALED or len(stored) < _HEAD:
            raise _unreadable(owner.handle, "it is not sealed, and plain values are refused")
        key = self._ring.by_id(stored[1 : 1 + _KEY_ID])
        if key is None:
            raise _unreadable(owner.handle, f"its key {stored[1 : 1 + _KEY_ID].hex()} is not in the key ring")
        try:
            nonce, sealed = stored[1 + _KEY_ID : _HEAD], stored[_HEAD:]
            opened: bytes = self._cipher(key, owner).decrypt(nonce, sealed, _bound_to(key, name))
        except self._invalid as error:
            raise _unreadable(owner.handle, "its bytes were changed or moved") from error
        return opened

    def is_current(self, stored: bytes) -> bool:
        """Whether it is sealed with the newest key."""
        return stored[: 1 + _KEY_ID] == SEALED + self._ring.newest.key_id

    def _cipher(self, key: RingKey, owner: Owner) -> Any:
        """Return the cipher of a session."""
        known = key.key_id, owner.digest, owner.subject, owner.handle
        made = self._ciphers.get(known)
        if made is None:
            if len(self._ciphers) >= _MOST_CIPHERS:
                self._ciphers.clear()
            # Nobody's session and one of a user without a name are two things.
            subject = (
                b"" if owner.subject is None else b"of " + owner.subject.encode("utf-8", "surrogatepass")
            )
            made = self._aead(derive(key.fields, b"session", owner.digest, subject, owner.handle.encode()))
            self._ciphers[known] = made
        return made


def _bound_to(key: RingKey, name: str) -> bytes:
    return key.sealed_with + _with_length(name.encode("utf-8", "surrogatepass"))


def _token(key: RingKey, digest: bytes) -> str:
    return urlsafe_b64encode(hmac.digest(key.csrf, digest, sha256)).rstrip(b"=").decode()


def _unreadable(handle: str, why: str) -> SessionUnreadableError:
    return SessionUnreadableError(
        f"session {handle} cannot be read: {why}. It is kept; put the key back into the key ring, or end the"
        " session"
    )
