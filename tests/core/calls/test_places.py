"""Who is called before whom follows from who came when, whatever comes, goes and is replaced in between."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from plughost import hookimpl, hookspec
from plughost.core.calls.dispatch import HookDispatcher

NAMES = ("ant", "bee", "cat", "dog")


class Specs:
    @hookspec(mode="collect")
    async def counted(self) -> str:
        """Count."""


class One:
    @hookimpl
    async def counted(self) -> Any:
        return None


moves = st.tuples(
    st.sampled_from(["come", "go", "replace", "come back", "go and come"]), st.sampled_from(NAMES)
)


@settings(max_examples=150, deadline=None)
@given(st.lists(moves, max_size=20), st.permutations(NAMES))
def test_the_newest_is_called_first_and_whoever_keeps_its_place_is_called_where_it_was(
    program, reserved
) -> None:
    dispatcher = HookDispatcher()
    dispatcher.add_hookspecs(Specs)
    dispatcher.reserve_places(reserved)
    places = {name: place for place, name in enumerate(reserved)}  # of the first coming
    ages: dict[str, int] = {}
    newest = len(reserved)
    for what, name in program:
        newest += 1
        if what == "come" and name not in ages:
            dispatcher.register(name, One())
            ages[name] = places.pop(name, newest)
        elif what == "go" and name in ages:
            dispatcher.unregister(name)
            del ages[name]
        elif what == "replace" and name in ages:
            dispatcher.replace(name, One())
        elif what == "come back" and name in ages:
            dispatcher.keep_place(name)
            dispatcher.unregister(name)
            dispatcher.register(name, One())
        elif what == "go and come" and name in ages:  # by somebody else, and the very same plugin
            plugin = dispatcher.pluggy.unregister(name=name)
            dispatcher.pluggy.register(plugin, name)
            ages[name] = newest
        expected = tuple(sorted(ages, key=lambda one: -ages[one]))
        assert dispatcher.implementers()["counted"] == expected
