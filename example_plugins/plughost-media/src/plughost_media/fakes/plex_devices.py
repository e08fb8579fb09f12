"""Tokens of plex.tv that a device takes by the signature of its key, and that end after a week."""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_LIFE, _NONCE_LIFE = 7 * 86_400, 300


class RefusedError(Exception):
    """What plex.tv does not take.

    Attributes:
        status: Of its answer.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Known:
    account: int
    client: str
    key: Ed25519PublicKey


class Devices:
    """Knows keys, and gives tokens for what they sign.

    Args:
        now: Seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._own = now, Ed25519PrivateKey.generate()
        self._known: dict[str, _Known] = {}
        self._nonces: dict[str, float] = {}
        self._given: dict[str, tuple[int, float]] = {}

    @property
    def tokens(self) -> frozenset[str]:
        """The tokens that were given."""
        return frozenset(self._given)

    def introduce(self, account: int, client: str, key: dict[str, Any]) -> None:
        """Know an account on a device by a key; refused if the key is somebody else's, or none at all."""
        name, known = key.get("kid", ""), self._known.get(key.get("kid", ""))
        kind = (key.get("kty"), key.get("crv"), key.get("alg"))
        if not name or kind != ("OKP", "Ed25519", "EdDSA") or "d" in key:
            raise RefusedError(400)
        if known is not None and (known.account, known.client) != (account, client):
            raise RefusedError(422)
        public = Ed25519PublicKey.from_public_bytes(_unpacked(key["x"]))
        self._known[name] = _Known(account, client, public)

    def nonce(self) -> str:
        """Return a word for one statement."""
        nonce = secrets.token_hex(16)
        self._nonces[nonce] = self._now() + _NONCE_LIFE
        return nonce

    def exchange(self, statement: str, client: str) -> tuple[int, str]:
        """Return whose key has signed a statement, and a token for it."""
        try:
            head, claims, signature = statement.split(".")
            said, told = json.loads(_unpacked(head)), json.loads(_unpacked(claims))
            known = self._known[said["kid"]]
            known.key.verify(_unpacked(signature), f"{head}.{claims}".encode())
        except (ValueError, KeyError, InvalidSignature):
            raise RefusedError(422) from None
        if told.get("exp", 0) <= self._now():
            raise RefusedError(498)
        fits = (said.get("alg"), told.get("aud"), told.get("iss")) == ("EdDSA", "plex.tv", client)
        if not fits or known.client != client or self._nonces.pop(told.get("nonce", ""), 0) <= self._now():
            raise RefusedError(422)
        return known.account, self._token(known, said["kid"])

    def account_of(self, token: str) -> int | None:
        """Return whose token it is; None when it is none of these, or over."""
        account, until = self._given.get(token, (None, 0.0))
        return account if until > self._now() else None

    def forget(self, account: int) -> None:
        """Know an account by no key and no token any more, as when it took the device off its list."""
        self._known = {name: known for name, known in self._known.items() if known.account != account}
        self._given = {token: given for token, given in self._given.items() if given[0] != account}

    def _token(self, known: _Known, thumbprint: str) -> str:
        now = int(self._now())
        claims = {
            "aud": ["plex.tv", known.client], "iss": "plex.tv", "iat": now, "exp": now + _LIFE,
            "thumbprint": thumbprint, "user": {"id": known.account}, "jti": secrets.token_hex(8),
        }  # fmt: skip
        head = {"alg": "EdDSA", "typ": "JWT", "kid": "of-plex-tv"}
        text = ".".join(_packed(json.dumps(part).encode()) for part in (head, claims))
        token = f"{text}.{_packed(self._own.sign(text.encode()))}"
        self._given[token] = (known.account, now + _LIFE)
        return token


def _packed(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unpacked(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
