"""What may be asked: paths and parameters, and the one way to write each question, which is its key in the cache."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from msgspec import Struct

Canonical = Callable[[str], str]
"""Returns a value the way it is always written; raises ``ValueError`` with what it should be."""

_DAY: Final = 86_400.0
_LAST_PAGE: Final = 500
_MOST_APPENDED: Final = 20
_MOST_QUERY: Final = 200


class QuestionError(ValueError):
    """A path or parameter that is not served.

    Attributes:
        parameter: Which; empty when it is the path.
    """

    def __init__(self, message: str, parameter: str = "") -> None:
        super().__init__(message)
        self.parameter = parameter


def _fits(pattern: str, what: str) -> Canonical:
    compiled = re.compile(pattern)

    def canonical(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"is {what}")
        return value

    return canonical


def _number(first: int, last: int) -> Canonical:
    def canonical(value: str) -> str:
        if not re.fullmatch(r"[0-9]{1,10}", value) or not first <= int(value) <= last:
            raise ValueError(f"is a number from {first} to {last}")
        return str(int(value))

    return canonical


def _words(value: str) -> str:
    words = " ".join(unicodedata.normalize("NFC", value).split())
    if not 0 < len(words) <= _MOST_QUERY:
        raise ValueError(f"has 1 to {_MOST_QUERY} characters")
    return words


def _appended(value: str) -> str:
    parts = sorted(set(value.split(",")))
    if len(parts) > _MOST_APPENDED or not all(re.fullmatch(r"[a-z_]{1,40}", part) for part in parts):
        raise ValueError(f"is up to {_MOST_APPENDED} names with commas between them")
    return ",".join(parts)


def _choices(value: str) -> str:
    """``a,b`` is a and b, ``a|b`` is a or b; neither depends on the order."""
    if not re.fullmatch(r"[A-Za-z0-9_ .+-]{1,60}([,|][A-Za-z0-9_ .+-]{1,60}){0,49}", value) or (
        "," in value and "|" in value
    ):
        raise ValueError("is up to 50 values with commas (and) or bars (or) between them")
    sign = "|" if "|" in value else ","
    return sign.join(sorted(set(value.split(sign))))


def _yes_or_no(value: str) -> str:
    if value.lower() not in ("true", "false"):
        raise ValueError("is true or false")
    return value.lower()


_language = _fits(r"[a-z]{2}(-[A-Z]{2})?", "a language such as de-DE")
_region = _fits(r"[A-Z]{2}", "a country such as DE")
_year = _number(1870, 2200)
_page = _number(1, _LAST_PAGE)
_date = _fits(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "a date such as 2026-11-28")
_amount = _fits(r"[0-9]{1,9}(\.[0-9]{1,3})?", "a number")
_sort = _fits(r"[a-z_]{1,40}\.(asc|desc)", "a field and a direction, such as popularity.desc")
_name = _fits(r"[A-Za-z0-9_/+-]{1,60}", "a name")


def _range(name: str, canonical: Canonical) -> dict[str, Canonical]:
    return {f"{name}.gte": canonical, f"{name}.lte": canonical}


def _each(names: str, canonical: Canonical) -> dict[str, Canonical]:
    return dict.fromkeys(names.split(), canonical)


_DISCOVER: Final[Mapping[str, Canonical]] = {
    "include_adult": _yes_or_no, "language": _language, "page": _page, "sort_by": _sort, "watch_region": _region,
    **_range("vote_average", _amount), **_range("vote_count", _amount), **_range("with_runtime", _amount),
    **_each(
        "with_companies with_genres with_keywords with_origin_country with_original_language"
        " with_watch_monetization_types with_watch_providers without_companies without_genres without_keywords"
        " without_watch_providers",
        _choices,
    ),
}  # fmt: skip
_DISCOVER_MOVIE: Final[Mapping[str, Canonical]] = {
    **_DISCOVER, "region": _region, "year": _year, "primary_release_year": _year, "include_video": _yes_or_no,
    "certification": _choices, "certification_country": _region, **_range("certification", _name),
    **_range("primary_release_date", _date), **_range("release_date", _date),
    **_each("with_cast with_crew with_people with_release_type", _choices),
}  # fmt: skip
_DISCOVER_TV: Final[Mapping[str, Canonical]] = {
    **_DISCOVER, "first_air_date_year": _year, "include_null_first_air_dates": _yes_or_no,
    "screened_theatrically": _yes_or_no, "timezone": _name, **_range("air_date", _date),
    **_range("first_air_date", _date), **_each("with_networks with_status with_type", _choices),
}  # fmt: skip
_SEARCH: Final[Mapping[str, Canonical]] = {
    "query": _words, "include_adult": _yes_or_no, "language": _language, "page": _page,
}  # fmt: skip
_DETAILS: Final[Mapping[str, Canonical]] = {"append_to_response": _appended, "language": _language}

_DEFAULTS: Final[Mapping[str, str]] = {
    "language": "en-US", "page": "1", "include_adult": "false", "include_video": "false",
    "sort_by": "popularity.desc", "include_null_first_air_dates": "false",
}  # fmt: skip
"""What TMDB takes when nothing is said: said or not, it is the same question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of question.

    Attributes:
        path: Pattern of its paths.
        cache: Name of the cache its answers are in.
        ttl: Seconds an answer is fresh.
        stale_for: Seconds it may be given after that, when TMDB is slow or away.
        parameters: Name of each parameter to how its values are written.
        answer: What an answer has to have, whatever else is in it.
        needed: Those without which it cannot be asked.
    """

    path: re.Pattern[str]
    cache: str
    ttl: float
    stale_for: float
    parameters: Mapping[str, Canonical]
    answer: type[Struct]
    needed: frozenset[str] = frozenset()


class _Page(Struct):
    results: list[dict[str, Any]]


class _Details(Struct):
    id: int


class _Configuration(Struct):
    images: dict[str, Any]


_ANSWERS: Final[Mapping[str, type[Struct]]] = {"details": _Details, "configuration": _Configuration}


def _kind(
    path: str, cache: str, ttl: float, stale_for: float, parameters: Mapping[str, Canonical], *needed: str
) -> Kind:
    return Kind(
        path=re.compile(path), cache=f"tmdb.{cache}", ttl=ttl, stale_for=stale_for, parameters=parameters,
        answer=_ANSWERS.get(cache, _Page), needed=frozenset(needed),
    )  # fmt: skip


KINDS: Final[Sequence[Kind]] = (
    _kind(
        r"trending/(all|movie|tv|person)/(day|week)", "trending", 3600, 7 * _DAY,
        {"language": _language, "page": _page},
    ),
    _kind(
        r"search/movie", "search", 1800, _DAY,
        {**_SEARCH, "primary_release_year": _year, "region": _region, "year": _year}, "query",
    ),
    _kind(r"search/tv", "search", 1800, _DAY, {**_SEARCH, "first_air_date_year": _year, "year": _year}, "query"),
    _kind(r"search/(person|multi)", "search", 1800, _DAY, _SEARCH, "query"),
    _kind(r"discover/movie", "discover", 3600, _DAY, _DISCOVER_MOVIE),
    _kind(r"discover/tv", "discover", 3600, _DAY, _DISCOVER_TV),
    _kind(r"(movie|tv|person)/[1-9][0-9]{0,9}", "details", _DAY, 30 * _DAY, _DETAILS),
    _kind(r"configuration", "configuration", _DAY, 30 * _DAY, {}),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question, written in the one way there is.

    Attributes:
        kind: Its kind.
        path: Its path.
        params: Its parameters, by name.
    """

    kind: Kind
    path: str
    params: Mapping[str, str]

    @property
    def key(self) -> str:
        """Its key in the cache: no user and no key of TMDB's is part of it, for all get the same answer."""
        query = urlencode(self.params)
        return f"{self.path}?{query}" if query else self.path


def question(path: str, params: Mapping[str, str]) -> Question:
    """Return the question that a path and parameters are.

    Raises:
        QuestionError: It is none that is served.
    """
    kind = next((kind for kind in KINDS if kind.path.fullmatch(path)), None)
    if kind is None:
        raise QuestionError(f"{path[:80]!r} is none of the paths that are served")
    written: dict[str, str] = {}
    for name, value in params.items():
        canonical = kind.parameters.get(name)
        if canonical is None:
            known = ", ".join(sorted(kind.parameters)) or "none"
            raise QuestionError(f"{name[:40]!r} is not a parameter of {path}; there are: {known}", name)
        try:
            written[name] = canonical(value)
        except ValueError as error:
            raise QuestionError(f"{name} {error}", name) from None
    for name in kind.needed - written.keys():
        raise QuestionError(f"{name} is needed", name)
    said = {name: value for name, value in sorted(written.items()) if _DEFAULTS.get(name) != value}
    return Question(kind=kind, path=path, params=said)
