"""How keys are spelled, so that two pieces of code mean the same entry."""

from __future__ import annotations

from collections.abc import Callable

from plughost.contracts.counting import counted

KeyBuilder = Callable[..., str]
"""Makes a key from parts."""

_ESCAPES = str.maketrans({"%": "%25", ":": "%3A", "*": "%2A", "?": "%3F", "[": "%5B", "]": "%5D"})


def _part(value: object) -> str:
    if value is None or isinstance(value, bool | float) or not isinstance(value, str | int):
        raise TypeError(f"a part of a key is a string or an integer, not {value!r}")
    text = str(value)
    if not text:
        raise ValueError("a part of a key is empty: 'user::profile' would be everybody's")
    return text.translate(_ESCAPES)


class CacheKeys:
    """Keys by convention: ``kind:id:aspect``. Parts are escaped, so no id can reach into another's keys.

    ``CacheKeys.user("123")`` is ``"user:123:profile"``. Add your own kinds with ``CacheKeys.builder``.
    """

    @staticmethod
    def join(*parts: str | int) -> str:
        """Return the parts as one key, separators in them escaped.

        Raises:
            TypeError: A part is neither string nor integer.
            ValueError: A part is empty.
        """
        return ":".join(_part(part) for part in parts)

    @staticmethod
    def builder(*template: str) -> KeyBuilder:
        """Return a function that fills the ``{}`` places of a template, in order.

        ``CacheKeys.builder("order", "{}", "lines")("7") == "order:7:lines"``.
        """
        places = template.count("{}")

        def build(*values: str | int) -> str:
            if len(values) != places:
                raise TypeError(f"this key takes {counted(places, 'part')}, not {len(values)}")
            given = iter(values)
            return ":".join(_part(next(given)) if part == "{}" else part for part in template)

        return build

    @staticmethod
    def for_user(user_id: str | int, *parts: str | int) -> str:
        """Return a key of one user's own: ``user:<id>:...``."""
        return CacheKeys.join("user", user_id, *parts)

    @staticmethod
    def user(user_id: str | int) -> str:
        """A user's profile."""
        return CacheKeys.for_user(user_id, "profile")

    @staticmethod
    def settings(user_id: str | int) -> str:
        """A user's settings."""
        return CacheKeys.for_user(user_id, "settings")

    @staticmethod
    def achievements(user_id: str | int) -> str:
        """A user's achievements."""
        return CacheKeys.for_user(user_id, "achievements")

    @staticmethod
    def character(character_id: str | int) -> str:
        """A game character."""
        return CacheKeys.join("character", character_id, "profile")

    @staticmethod
    def inventory(character_id: str | int) -> str:
        """What a character carries."""
        return CacheKeys.join("character", character_id, "inventory")

    @staticmethod
    def skills(character_id: str | int) -> str:
        """What a character can do."""
        return CacheKeys.join("character", character_id, "skills")

    @staticmethod
    def guild(guild_id: str | int) -> str:
        """A guild."""
        return CacheKeys.join("guild", guild_id, "profile")

    @staticmethod
    def zone(zone_id: str | int) -> str:
        """A zone of the world."""
        return CacheKeys.join("zone", zone_id, "state")

    @staticmethod
    def combat(combat_id: str | int) -> str:
        """A fight that is going on."""
        return CacheKeys.join("combat", combat_id, "state")

    @staticmethod
    def leaderboard(board: str | int) -> str:
        """A leaderboard."""
        return CacheKeys.join("leaderboard", board)

    @staticmethod
    def temp(name: str | int) -> str:
        """Something short-lived."""
        return CacheKeys.join("temp", name)

    @staticmethod
    def rate_limit(subject: str | int, action: str | int) -> str:
        """A subject's use of an action, for the rate limiter."""
        return CacheKeys.join("rate_limit", subject, action)
