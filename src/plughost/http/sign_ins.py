"""Administrators' browsers: signed in by a link that works once, or by a token, and out again."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.http.access_file import AccessFile
from plughost.http.guards import Identity
from plughost.http.tokens import digest_of_token


class SignIns:
    """The links and the signed-in browsers of one host; what is kept of each is a digest.

    They are apart from the sessions of the application, so that whoever stops the plugin ``sessions`` on the
    admin page does not lose the page.

    Args:
        file: Where they are kept.
        host_name: Part of the cookie's name: cookies know no ports, so two hosts on one machine share them.
        link_lifetime: Seconds a link is good for.
        browser_lifetime: Seconds a browser stays signed in.
        clock: Tells when they end.
    """

    def __init__(
        self,
        file: AccessFile,
        *,
        host_name: str,
        link_lifetime: float,
        browser_lifetime: float,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._file = file
        self._clock = clock
        self._link_lifetime = link_lifetime
        self._browser_lifetime = browser_lifetime
        self._cookie = f"plughost_{re.sub(r'[^a-z0-9]', '_', host_name.lower())}_admin"

    def make_link_code(self, name: str = "sign-in link", scopes: Iterable[str] = ("*",)) -> str:
        """Return the code of a link that signs one browser in, once."""
        code, now = secrets.token_urlsafe(32), self._clock.time()
        with self._file.writing() as db:
            db.execute("DELETE FROM links WHERE expires_at <= ?", (now,))
            db.execute(
                "INSERT INTO links (digest, name, scopes, expires_at) VALUES (?, ?, ?, ?)",
                (digest_of_token(code), name, json.dumps(sorted(scopes)), now + self._link_lifetime),
            )
        return code

    def redeem(self, code: str) -> str | None:
        """Take a link's code for a browser's secret; None when it was used, is too old or never was."""
        now = self._clock.time()
        with self._file.writing() as db:
            row = db.execute(
                "DELETE FROM links WHERE digest = ? RETURNING name, scopes, expires_at",
                (digest_of_token(code),),
            ).fetchone()
        if row is None or row["expires_at"] <= now:
            return None
        return self._begin(row["name"], row["scopes"], now + self._browser_lifetime, None)

    def begin_with_token(self, identity: Identity, token_id: str) -> str:
        """Sign a browser in with what a token may do; it is out when the token is revoked."""
        expires = self._clock.time() + self._browser_lifetime
        return self._begin(identity.name, json.dumps(sorted(identity.scopes)), expires, token_id)

    def identify(self, secret: str) -> Identity | None:
        """Return whose browser holds ``secret``; None when nobody's does, or no longer."""
        query = (
            "SELECT browsers.name, browsers.scopes FROM browsers"
            " LEFT JOIN tokens ON tokens.id = browsers.token_id"
            " WHERE browsers.digest = ? AND browsers.expires_at > ?"
            " AND (browsers.token_id IS NULL OR (tokens.revoked_at IS NULL AND tokens.expires_at > ?))"
        )
        now = self._clock.time()
        rows = self._file.read(query, digest_of_token(secret), now, now)
        if not rows:
            return None
        # Part of the digest names this browser: of 256 random bits nobody guesses the secret by it.
        return Identity(
            kind="browser",
            id=digest_of_token(secret).hex()[:12],
            name=rows[0]["name"],
            scopes=frozenset(json.loads(rows[0]["scopes"])),
        )

    def end(self, secret: str) -> None:
        """Sign a browser out."""
        with self._file.writing() as db:
            db.execute("DELETE FROM browsers WHERE digest = ?", (digest_of_token(secret),))

    def cookie_name(self, connection: Mapping[str, Any]) -> str:
        """Return the cookie's name: over https one that only https can set, for the whole site only."""
        return f"__Host-{self._cookie}" if connection.get("scheme") in ("https", "wss") else self._cookie

    def cookie(self, connection: Mapping[str, Any], secret: str | None) -> str:
        """Return the value of ``Set-Cookie`` that signs in, or with None the one that signs out."""
        age = 0 if secret is None else int(self._browser_lifetime)
        secure = "; Secure" if connection.get("scheme") == "https" else ""
        name = self.cookie_name(connection)
        return f"{name}={secret or ''}; Max-Age={age}; Path=/; HttpOnly; SameSite=Lax{secure}"

    def secret_in(self, connection: Mapping[str, Any]) -> str | None:
        """Return the browser's secret that a request brings; None when it brings none, or two."""
        wanted = f"{self.cookie_name(connection)}="
        found = [
            crumb.strip()[len(wanted) :]
            for key, value in connection["headers"]
            if key == b"cookie"
            for crumb in value.decode("latin-1").split(";")
            if crumb.strip().startswith(wanted)
        ]
        return found[0] if len(found) == 1 and found[0] else None

    def _begin(self, name: str, scopes: str, expires: float, token_id: str | None) -> str:
        secret = secrets.token_urlsafe(32)
        with self._file.writing() as db:
            db.execute("DELETE FROM browsers WHERE expires_at <= ?", (self._clock.time(),))
            db.execute(
                "INSERT INTO browsers (digest, name, scopes, expires_at, token_id) VALUES (?, ?, ?, ?, ?)",
                (digest_of_token(secret), name, scopes, expires, token_id),
            )
        return secret
