"""Text without its secrets: the one place that hides them, for errors, logs, reports and pages.

Hidden is what a host knows to be secret (what came through a reference, and what stands under a key such as
``password``), and what looks like it: passwords in urls, ``password=...``, bearer tokens. Anybody may have had
a hand in the text, so each step looks at every character a bounded number of times.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from weakref import WeakSet

from plughost.contracts.secret import MASK

_SHORTEST: Final = 5  # characters; hiding every "a" of a text would hide the text
_LONG: Final = 8  # below, a value may be part of a word that has nothing to do with it: "short" of "shorter"
_WORDS: Final = r"(?:password|passwd|pwd|secret|token|api_?key|access_?key|signature)"
# Patterns as text: they are compiled when they are first used, and most runs have no error to show.
_PAIR: Final = rf"(?i:({_WORDS}=)[^&;\s]+)"
_ITEM: Final = rf"""(?i:({_WORDS}["']: ?b?["'])[^"']+)"""
_BEARER: Final = r"(?i:\b((?:bearer|basic) )[\w.~+/=-]{6,})"
_TOKEN: Final = r"phk_([0-9a-f]{12})_[0-9a-f]{64}"  # noqa: S105  what one looks like
_PORT: Final = r"\d{1,5}(?![^\s/?#,;:)\]}'\"<>.])"

_SECRET_WORDS: Final = frozenset(
    {"password", "passwd", "passphrase", "pass", "pwd", "secret", "secrets", "token", "tokens", "key", "keys"}
    | {
        "apikey",
        "dsn",
        "credential",
        "credentials",
        "private",
        "salt",
        "signature",
        "authorization",
        "bearer",
    }
    | {"cookie", "pin", "otp"}
)
_HARMLESS_ENDS: Final = frozenset(
    {"ttl", "name", "names", "prefix", "file", "path", "dir", "directory", "timeout", "limit", "length"}
    | {"lifetime", "count", "size", "bytes", "seconds", "enabled", "required", "algorithm"}
    | {"domain", "samesite", "secure"}
)
"""What a key with a secret word in it may end in to be shown all the same: ``token_ttl``, ``cookie_name``."""

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class KnownSecrets:
    """The secrets of one host's configuration; while somebody holds on to it, no text of this process shows them.

    A short one is hidden by its place only: there is hardly a text without an ``a``.
    """

    __slots__ = ("__weakref__", "_values")

    def __init__(self) -> None:
        self._values: set[str] = set()
        _living.add(self)

    def __repr__(self) -> str:
        return f"KnownSecrets({len(self._values)})"

    def add(self, values: Iterable[str]) -> None:
        """Hide these from now on."""
        self._values.update(value for value in values if len(value) >= _SHORTEST)

    def include(self, others: KnownSecrets) -> None:
        """Hide what those others hide, too."""
        self._values |= others._values

    def hidden_in(self, text: str) -> str:
        """Return the text without them; the longest first, for one may be part of another."""
        for value in sorted(self._values, key=len, reverse=True):
            if len(value) >= _LONG:
                text = text.replace(value, MASK)
            elif value in text:
                text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", MASK, text)
        return text


_living: WeakSet[KnownSecrets] = WeakSet()


def masked_text(text: str) -> str:
    """Return the text with known secrets, passwords in urls, connection strings and tokens hidden."""
    for known in tuple(_living):
        text = known.hidden_in(text)
    if "://" in text:
        text = "\n".join(_without_url_passwords(line) for line in text.split("\n"))
    if "=" in text:  # looking for what each of them needs costs a tenth of looking for the whole
        text = re.sub(_PAIR, rf"\1{MASK}", text)
    if "':" in text or '":' in text:
        text = re.sub(_ITEM, rf"\1{MASK}", text)
    if "phk_" in text:
        text = re.sub(_TOKEN, rf"phk_\1_{MASK}", text)
    return re.sub(_BEARER, rf"\1{MASK}", text)


def masked(value: Any) -> Any:
    """Return plain data with every text in it masked; what is neither text nor a table or list stays itself."""
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, Mapping):
        return {masked(key): masked(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(masked(inner) for inner in value)
    return value


def _without_url_passwords(line: str) -> str:
    """Return the line without what stands between ``://user:`` and ``@``; a password may have spaces in it."""
    told, *pieces = line.split("://")
    last = max((place for place, piece in enumerate(pieces) if "@" in piece), default=-1)
    kept = [told]
    open_password = False  # it goes on behind a "://" that is part of it
    for place, piece in enumerate(pieces):
        before, at, after = piece.rpartition("@")
        user, colon, rest = piece.partition(":")
        if open_password:
            open_password = not at and not re.search(r"\s", piece)
            if at:
                kept.append(f"@{after}")
            continue
        names_password = bool(colon) and not set(user) & set("@/[ \t") and not re.match(_PORT, rest)
        if names_password and (at or (place < last and not re.search(r"\s", piece))):
            kept.append(f"://{user}:{MASK}" + (f"@{after}" if at else ""))
            open_password = not at
        elif at and kept[-1].lower().endswith(("http", "https")) and not set(before) & set(":/ \t"):
            kept.append(f"://{MASK}@{after}")
        else:
            kept.append(f"://{piece}")
    return "".join(kept)


def is_secret_key(key: str) -> bool:
    """Whether a key looks as if its value were a secret: ``api_key``, ``dsn``, ``clientSecret``."""
    words = [word.lower() for word in _WORD.findall(key)]
    return bool(_SECRET_WORDS.intersection(words)) and words[-1] not in _HARMLESS_ENDS
