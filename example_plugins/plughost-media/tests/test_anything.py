"""Whatever is sent to the suite's routes: none fails of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec
import pytest
import schemathesis
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core import NOT_SET
from whole_suite import Suite, running

from plughost.http import Route
from plughost_media.deeds import DEEDS

OURS = ("tmdb", "plex", "images", "dashboard", "media")
FAST = {"shared_rate": 100_000.0, "own_rate": 100_000.0, "ceiling": 100_000.0}
FORM = "application/x-www-form-urlencoded"

KNOWN = {
    "type": "movie", "window": "week", "kind": "movie", "source": "plex", "handle": "x",
    "name": "ondeck", "ref": "library/metadata/101/thumb/1760000000", "part": "start.m3u8", "deed": "list", "id": "101",
    "query": "the", "page": "1", "language": "de-DE", "year": "1927", "include_adult": "false",
    "sort_by": "popularity.desc", "with_genres": "18", "vote_average.gte": "5", "append_to_response": "videos",
    "start": "0", "size": "10", "sort": "year:desc", "limit": "10", "before": "1760000000", "hours": "24",
    "w": "92", "f": "webp", "key": "101", "title": "Metropolis", "poster_path": "", "do": "load",
}  # fmt: skip
"""What routes are asked for, by the name of the parameter or field."""

QUERIES = {
    r"/api/tmdb/search/.*": ("query", "page", "language", "year", "include_adult"),
    r"/api/tmdb/discover/.*": ("page", "sort_by", "with_genres", "vote_average.gte"),
    r"/api/tmdb/trending/.*": ("page", "language"),
    r"/api/tmdb/(movie|tv|person)/.*": ("language", "append_to_response"),
    r"/api/plex/library/.*": ("start", "size", "sort"),
    r"/api/plex/search": ("query", "limit"),
    r"/api/media/history": ("size", "before"),
    r"/api/media/usage": ("hours",),
    r"/api/images/.*": ("w", "f"),
}
FIELDS = ("id", "kind", "title", "poster_path", "key", "name", "do")
NUMBERS = ("page", "year", "start", "size", "limit", "before", "hours", "w")

STRANGE = (
    "", " ", "0", "-1", "1.5", "nan", "inf", "1e400", "9" * 20, "000001" + "9" * 30, "9" * 5000, "\u0663\u00b2", "\x00",
    "%00", "..", "/", "a/b", "{id}", "'\"<&", "\U0001f995", "x" * 2000,
)  # fmt: skip


def parameters_of(route: Route) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """Return names and kinds of what is in the path, and names of what is in the query."""
    asked = (names for pattern, names in QUERIES.items() if re.fullmatch(pattern, route.path))
    return re.findall(r"{(\w+)(:\w+)?}", route.path), next(asked, ())


def described(routes: list[Route]) -> dict[str, Any]:
    """Return the routes as an OpenAPI document."""
    bodies = [route.body for route in routes if route.body is not None]
    schemas, components = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    by_body = dict(zip(map(id, bodies), schemas, strict=True))
    part = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^/\x00-\x1f]+$"}
    text, number = {"type": "string", "maxLength": 300}, {"type": "integer"}
    paths: dict[str, Any] = {}
    for route in routes:
        in_path, in_query = parameters_of(route)
        operation: dict[str, Any] = {
            "parameters": [
                *({"name": name, "in": "path", "required": True, "schema": number if kind == ":int" else part}
                  for name, kind in in_path),
                *({"name": name, "in": "query", "schema": number if name in NUMBERS else text} for name in in_query),
            ],
            "responses": {"200": {"description": "Fine."}},
        }  # fmt: skip
        if route.body is not None:
            operation["requestBody"] = {"content": {"application/json": {"schema": by_body[id(route.body)]}}}
        for method in (route.methods or set()) - {"HEAD"}:
            paths.setdefault(re.sub(r":\w+}", "}", route.path), {})[method.lower()] = operation
    return {
        "openapi": "3.1.0", "info": {"title": "media", "version": "1"}, "paths": paths,
        "components": {"schemas": components},
    }  # fmt: skip


class Asked:
    """The suite, and who asks it: Ada, or a program with a token where she may not.

    Attributes:
        routes: All routes of the suite.
        good: What they may well be asked for, by the name of a parameter or field.
    """

    def __init__(self, suite: Suite, portal: BlockingPortal) -> None:
        self._suite, self._portal = suite, portal
        self._token = suite.app.runtime.tokens.create("test", ["*"], 3600)[0]
        outcomes = suite.host.own_hooks.register_routes.report(context=suite.app.runtime.context).outcomes
        playing = portal.call(suite.do, "POST", "/api/plex/playback/101").json()
        self.good = KNOWN | {"ticket": playing["stream"].split("/")[4]}
        self.routes = [route for told in outcomes if told.plugin in OURS for route in told.value or ()]

    def holds(self, method: str, path: str, **options: Any) -> None:
        """Fail if that makes a route fail."""
        answer = self._portal.call(self._ask, method, path, options)
        assert answer.status_code < 500, (method, path, options, answer.text)

    async def _ask(self, method: str, path: str, options: Mapping[str, Any]) -> httpx2.Response:
        ada = self._suite.ada
        answer = await ada.request(method, path, **options, headers={"Origin": "http://127.0.0.1"})
        if answer.status_code in (401, 403):
            known = {"Authorization": f"Bearer {self._token}"}
            answer = await ada.request(method, path, **options, headers=known)
        return answer


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("suite") / "data"
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(running(folder, tmdb=FAST)) as suite,
    ):
        suite.fakes.tmdb.rate = 10**9
        yield Asked(suite, portal)


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # the host does, beside the strategies
def test_no_route_fails_of_what_its_description_allows(asked: Asked) -> None:
    schema = schemathesis.openapi.from_dict(described(asked.routes))
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 50

    for operation in operations:

        @settings(
            max_examples=8, deadline=None, database=None, derandomize=True, phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(operation.as_strategy())
        def holds(case: Any) -> None:
            body = {} if case.body is NOT_SET else {"json": case.body}
            asked.holds(case.method, case.formatted_path, params=case.query, **body)

        holds()


def test_no_route_fails_of_one_strange_value_among_good_ones(asked: Asked) -> None:
    for route in asked.routes:
        in_path, in_query = parameters_of(route)
        [method] = (route.methods or set()) - {"HEAD"}
        names = [*(name for name, _ in in_path), *in_query]
        for strange in (None, *names):
            for value in STRANGE if strange is not None else [""]:
                good = asked.good | ({"id": "1"} if route.path.startswith("/api/plex/library/") else {})
                given = good | ({} if strange is None else {strange: value})
                path = re.sub(r":\w+}", "}", route.path)
                path = path.format(**{name: quote(given[name], safe="") for name, _ in in_path})
                asked.holds(method, path, params={name: given[name] for name in in_query})


@pytest.mark.parametrize("deed", [deed for deed in DEEDS if deed != "sign-out"])
def test_no_form_of_the_page_fails_of_one_strange_field(asked: Asked, deed: str) -> None:
    good = {name: asked.good[name] for name in FIELDS}
    for name in FIELDS:
        for value in STRANGE:
            asked.holds("POST", f"/media/do/{deed}", data=good | {name: value})
    asked.holds("POST", f"/media/do/{deed}", data={})
