"""One text where several are meant is told how to write it: it was taken for a list of its letters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plughost import Host
from plughost.contracts import NewUser, Principal, User, UserChange
from plughost.http import PUBLIC, CachePolicy, Route
from plughost.http.middleware import ResponseCacheMiddleware
from plughost.plugins.cache.manager import NamedCaches

MADE: dict[str, tuple[str, Callable[[], object]]] = {
    "who is signed in": ("roles", lambda: Principal("u1", "ada", roles="admin")),  # type: ignore[arg-type]
    "a new user": ("roles", lambda: NewUser(username="ada", roles="admin")),  # type: ignore[arg-type]
    "a stored user": ("roles", lambda: User(user_id="u1", username="ada", roles="admin")),  # type: ignore[arg-type]
    "new roles": ("roles", lambda: UserChange(user_id="u1", roles="admin")),  # type: ignore[arg-type]
    "fields that go": ("remove_fields", lambda: UserChange(user_id="u1", remove_fields="age")),  # type: ignore[arg-type]
    "headers of a policy": ("vary", lambda: CachePolicy(ttl=1, vary="accept")),  # type: ignore[arg-type]
    "tags of a policy": ("tags", lambda: CachePolicy(ttl=1, tags="users")),  # type: ignore[arg-type]
    "methods": ("methods", lambda: Route("/x", lambda _: None, methods="GET", guard=PUBLIC)),
    "headers of a middleware": ("vary", lambda: _cached(vary="accept")),
}


def _cached(**options: Any) -> ResponseCacheMiddleware:
    async def app(*_: object) -> None: ...

    return ResponseCacheMiddleware(app, cache=NamedCaches().default, **options)


@pytest.mark.parametrize("what", MADE)
def test_one_text_is_not_its_letters(what: str) -> None:
    argument, make = MADE[what]
    with pytest.raises(TypeError, match=rf"{argument}=.* is one, and may be several: write {argument}=\["):
        make()


@pytest.mark.anyio
@pytest.mark.parametrize("argument", ["apps", "only"])
async def test_a_backup_of_one_name_is_not_one_of_its_letters(tmp_path: Path, argument: str) -> None:
    settings = {"host": {"allow": [], "data_dir": str(tmp_path)}}
    async with Host("acme", config=settings, environ={}) as host:
        with pytest.raises(TypeError, match=f"write {argument}="):
            await host.backups.run(**{argument: "shop"})


def test_lists_of_roles_are_kept_as_tuples() -> None:
    assert NewUser(username="ada", roles=["admin"]).roles == ("admin",)  # type: ignore[arg-type]
    assert UserChange(user_id="u1", remove_fields=["age"]).remove_fields == ("age",)  # type: ignore[arg-type]
    assert UserChange(user_id="u1").roles is None
