"""What a plugin that has pictures gives to this one: see the hook ``image_source``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


class PictureMissingError(Exception):
    """The source has no such picture, or not for this user. The answer is 404, and nothing is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRequest:
    """A picture that somebody wants.

    Attributes:
        ref: The name of the picture as the browser wrote it; it fits the source's ``pattern``.
        width: Pixels wanted; a source that has several sizes gives the next larger one.
        user_id: Who asks; empty for a token.
    """

    ref: str
    width: int
    user_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOrigin:
    """Where the pictures of one source come from. No address is ever taken from a browser.

    Attributes:
        pattern: Regular expression that the whole of a ref must fit; a ref never begins with a slash.
        fetch: Brings the bytes of the original, whatever they are. Raise what you like: an old picture or a
            placeholder is shown then.
        key: Returns under which name the picture is the same for everybody who gets it, such as the server's id
            and the ref. Raises ``PictureMissingError`` for who may not see it.
        fresh: Seconds it is fresh on the disk.
        immutable: Whether a new picture always gets a new ref, so that browsers may keep it for good.
    """

    pattern: str
    fetch: Callable[[PictureRequest], Awaitable[bytes]]
    key: Callable[[PictureRequest], Awaitable[str]]
    fresh: float = 86_400.0
    immutable: bool = False
