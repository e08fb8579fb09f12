"""Bearer tokens for programs: ``phk_<id>_<secret>``, of which only a digest is kept.

SHA-256 without salt or stretching is right here: the secret has 256 random bits, so nobody guesses it from
the digest, and a slow hash would only let strangers burn the server's time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable

import msgspec

from plughost._dataclasses import dataclass
from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.logs import get_logger
from plughost.contracts.setting_types import ScopeText
from plughost.exceptions import StoreUnavailableError
from plughost.http.access_file import AccessFile
from plughost.http.guards import Identity

_log = get_logger("plughost.http")

PREFIX = "phk"
_SHAPE = re.compile(r"phk_(?P<id>[0-9a-f]{12})_(?P<secret>[0-9a-f]{64})")
_NOTED_EVERY = 60.0  # seconds between two notes that a token was used
_NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """What may be shown of a token.

    Attributes:
        id: Its public part.
        name: Who or what it was made for.
        scopes: What it may do.
        created_at: When it was made, in seconds since the epoch.
        expires_at: When it ends.
        last_used_at: When it was last used, up to a minute late; None when it never was.
        revoked_at: When it was revoked; None when it was not.
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float
    last_used_at: float | None = None
    revoked_at: float | None = None


class Tokens:
    """The tokens of one host. Every method is quick and synchronous; a change is durable when it returns.

    Args:
        file: Where they are kept.
        clock: Tells when they end.
    """

    def __init__(self, file: AccessFile, clock: Clock = SYSTEM_CLOCK) -> None:
        self._file = file
        self._clock = clock
        self._noted: dict[str, float] = {}

    def create(self, name: str, scopes: Iterable[str], lifetime: float) -> tuple[str, TokenRecord]:
        """Make a token; the first of the two returned is the token itself, which is never shown again.

        Args:
            name: Who or what it is for.
            scopes: What it may do: ``cache:read``, ``cache:*``, ``metrics``, ``*``.
            lifetime: Seconds until it ends.

        Raises:
            ValueError: No name, no scope, an odd scope, or a lifetime that is over.
        """
        wanted = tuple(sorted(set(scopes)))
        if not name.strip():
            raise ValueError("a token needs a name that says who or what it is for")
        if not wanted:
            raise ValueError("a token needs at least one scope, such as cache:read")
        for scope in wanted:
            try:
                msgspec.convert(scope, ScopeText)
            except msgspec.ValidationError:
                message = f"{scope!r} is not a scope: write area:verb, area:* or * for everything"
                raise ValueError(message) from None
        if not lifetime > 0:
            raise ValueError("a token needs a lifetime above 0 seconds")
        identifier, secret = secrets.token_hex(6), secrets.token_hex(32)
        now = self._clock.time()
        with self._file.writing() as db:
            db.execute(
                "INSERT INTO tokens (id, name, digest, scopes, created_at, expires_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (identifier, name, digest_of_token(secret), json.dumps(wanted), now, now + lifetime),
            )
        record = TokenRecord(
            id=identifier, name=name, scopes=wanted, created_at=now, expires_at=now + lifetime
        )
        return f"{PREFIX}_{identifier}_{secret}", record

    def identify(self, token: str) -> Identity | None:
        """Return who a token stands for; None when it is malformed, unknown, wrong, expired or revoked."""
        shape = _SHAPE.fullmatch(token)
        if shape is None:
            return None
        rows = self._file.read("SELECT * FROM tokens WHERE id = ?", shape["id"])
        kept = rows[0]["digest"] if rows else _NO_DIGEST
        if not hmac.compare_digest(kept, digest_of_token(shape["secret"])) or not rows:
            return None
        row = rows[0]
        now = self._clock.time()
        if row["revoked_at"] is not None or row["expires_at"] <= now:
            return None
        if now - self._noted.get(row["id"], 0.0) >= _NOTED_EVERY:
            self._noted[row["id"]] = now
            try:
                with self._file.writing() as db:
                    db.execute("UPDATE tokens SET last_used_at = ? WHERE id = ?", (now, row["id"]))
            except StoreUnavailableError as error:  # a full disk shuts nobody out whose token can be read
                _log.warning("the use of a token cannot be noted", token=row["id"], reason=str(error))
        return Identity(
            kind="token",
            id=row["id"],
            name=f"token {row['id']} ({row['name']})",
            scopes=frozenset(json.loads(row["scopes"])),
        )

    def revoke(self, identifier: str) -> bool:
        """End a token and the browsers that signed in with it; whether it was alive."""
        now = self._clock.time()
        with self._file.writing() as db:
            db.execute("DELETE FROM browsers WHERE token_id = ?", (identifier,))
            ended = db.execute(
                "UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL AND expires_at > ?",
                (now, identifier, now),
            )
            return ended.rowcount == 1

    def list(self) -> list[TokenRecord]:
        """Return all tokens, the newest first, ended ones too."""
        return [
            TokenRecord(
                id=row["id"],
                name=row["name"],
                scopes=tuple(json.loads(row["scopes"])),
                created_at=row["created_at"],
                expires_at=row["expires_at"],
                last_used_at=row["last_used_at"],
                revoked_at=row["revoked_at"],
            )
            for row in self._file.read("SELECT * FROM tokens ORDER BY created_at DESC, id")
        ]

    def any_alive(self) -> bool:
        """Whether some token can be used now."""
        query = "SELECT 1 FROM tokens WHERE revoked_at IS NULL AND expires_at > ? LIMIT 1"
        return bool(self._file.read(query, self._clock.time()))


def digest_of_token(secret: str) -> bytes:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).digest()
