"""Session ids, their digests, and the public handles that lists and logs use instead."""

from __future__ import annotations

import re
import secrets
from hashlib import sha256

from plughost.exceptions import SessionDataError

_ID_BYTES = 32  # 256 bits: twice what ASVS 7.2.3 asks for, and no salt is needed to hash it
_HANDLE_BYTES = 12
_looks_like_an_id = re.compile(r"[A-Za-z0-9_-]{43}").fullmatch


def new_session_id() -> str:
    """Return a fresh secret: 43 characters that carry 256 random bits."""
    return secrets.token_urlsafe(_ID_BYTES)


def new_handle() -> str:
    """Return a fresh public name, worthless as a credential."""
    return secrets.token_urlsafe(_HANDLE_BYTES)


def digest_of_id(session_id: str | None) -> bytes | None:
    """Return the digest a store knows the session by; None when there is no id, or none that was ever made here.

    The text is hashed, not what it decodes to: two spellings of the same bytes are two different ids.
    """
    if session_id is None or not _looks_like_an_id(session_id):
        return None
    return sha256(session_id.encode("ascii")).digest()


def checked_user(user_id: str) -> str:
    """Return a user's id, which is text on every store.

    Raises:
        TypeError: It is something else: stores would keep it as one thing and find it as another.
        SessionDataError: It cannot be written as UTF-8, so that not every store could keep it.
    """
    if not isinstance(user_id, str):
        raise TypeError(f"user_id is text, not {type(user_id).__name__}: write str(user_id)")
    if not is_writable(user_id):
        raise SessionDataError(f"the user id {user_id!r} has half of a sign in it, which no text may have")
    return user_id


def is_writable(text: str) -> bool:
    """Whether a text can be written as UTF-8: half of a surrogate pair, as of a broken name of a file, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
