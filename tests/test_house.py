"""One name for one thing in the whole house, functions of one screen, and each thing said once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import house

ROOT = Path(__file__).parent.parent
BEHIND_A_BRACKET = re.compile(r"^\s*[\])}]+( = \[\])?[:,]?  # (?!fmt:|noqa|type:)", re.MULTILINE)

SHARED = {
    # a command is named as it is typed
    "cleanup": "`plughost cache cleanup` and `plughost sessions cleanup`",
    "check": "`plughost check`, `plughost config check`, what a rollout is held against, and a check's mark",
    "create": "`plughost env create` and `plughost admin token create`",
    "invalidate": "`plughost cache invalidate`, the admin page's action for it, and a step of the suite",
    "list_backups": "`plughost backup list` asks the hook of that name",
    "new": "`plughost new`; in the suite of session stores, a new session",
    "restore": "`plughost backup restore`, `plughost restore`, and PostgreSQL's own tool",
    "show": "`plughost config show`, and the same for what a fleet follows",
    "stats": "`plughost cache stats` and `plughost sessions stats`",
    "status": "`plughost cache status` and `plughost database status`",
    "upgrade": "`plughost env upgrade`, and the fleet's command for a plugin of all hosts",
    "main": "the function that `python -m` runs, of the command and of a plugin's own process",
    # plugins do not know each other, and each says the same of its own
    "_Flight": "one load for all who ask at once, as everywhere",
    "require_asyncio": "each library that knows asyncio only has advice of its own",
    "unavailable": "each store's own errors as the one its callers expect",
    # the field's word for both
    "fail": "what becomes of a failing step; a fault for tests that fails",
    "warm_cache": "the hook, and the action that calls it",
}
"""Names of classes and functions that rooms share -> why that is right."""

MOST_USED_ONCE = 10.0
"""Of a hundred functions, so many may be private ones that a single place uses: the reader has to jump for each."""

FLEET, CACHE = "plughost/plugins/fleet", "plughost/plugins/cache"
SAID_TWICE = {
    ("plughost/contracts/fleet.py", f"{FLEET}/cards.py", 'host_name: str = ""'): (
        "what a member tells of itself on its way through the store, where every version has to read it, and what"
        " a caller is given of it"
    ),
    ("plughost/contracts/fleet_store.py", "plughost/contracts/fleet_store.py", "applied: int = 0"): (
        "what a member's heartbeat brings, and what the store keeps of it"
    ),
    (
        "plughost/core/calls/hook.py",
        "plughost/core/calls/hook.py",
        "around, fail = Around(hot.rules or found), hot.fail_into(found)",
    ): "the same call with waiting and without: a coroutine costs a plain call a third of its time",
    (f"{CACHE}/cache.py", f"{CACHE}/sync.py", ") -> Any:"): "a hit, which no call in between may slow down",
    (f"{CACHE}/cache.py", f"{CACHE}/sync.py", "entry is not None"): "the same hit, some lines further down",
    (f"{CACHE}/policies/lru.py", f"{CACHE}/policies/s3fifo.py", "counts.hits += 1"): (
        "each policy writes its own way of a hit, the shortest that it has"
    ),
}
"""Places that share six lines which are no signature: both files and the first line -> why neither can go."""


@pytest.fixture(scope="module")
def modules() -> list[house.Module]:
    return house.modules_of()


def test_a_name_that_two_rooms_have_means_the_same_in_both_or_has_a_reason(
    modules: list[house.Module],
) -> None:
    found = house.names_that_stand_twice(modules)
    new = {name: places for name, places in found.items() if name not in SHARED}
    assert new == {}, "give one of them another name, or write down here why both are right"
    assert SHARED.keys() == found.keys(), "a reason for what does not stand twice any more"


def test_a_function_fits_on_a_screen(modules: list[house.Module]) -> None:
    assert house.too_long(modules) == [], f"cut where a thought ends: {house.LONG} lines at most"


def test_few_helpers_are_used_once(modules: list[house.Module]) -> None:
    short = [
        f"{module.path}:{one.lineno} {one.name}"
        for module in modules
        for one in house.used_once(module)
        if house.length_of(one) <= 5
    ]
    share = house.share_used_once(modules)
    assert share < MOST_USED_ONCE, f"let paragraphs stand where they are read, perhaps one of these: {short}"


def test_what_is_said_twice_has_a_reason(modules: list[house.Module]) -> None:
    found = house.said_twice(modules)
    new = {key: places for key, places in found.items() if key not in SAID_TWICE}
    assert new == {}, "say it once, or write down here why both are right"
    assert SAID_TWICE.keys() == found.keys(), "a reason for what is not said twice any more"


def test_no_comment_hangs_behind_the_bracket_of_a_line_that_became_too_long_with_it() -> None:
    files = [
        file
        for room in ("src", "tests", "example_plugins", "benchmarks")
        for file in (ROOT / room).rglob("*.py")
    ]
    found = [
        str(file.relative_to(ROOT)) for file in files if BEHIND_A_BRACKET.search(file.read_text("utf-8"))
    ]
    assert found == [], "write it above the statement: the formatter has broken that for its sake"


def test_the_figures_are_counted_as_they_are_described() -> None:
    text = '''
"""A docstring,
of two lines."""
import os  # a comment


# another
def _once(a):
    """Nor this."""
    return a


def public():
    return _once(1)
'''
    module = house.Module.read(house.PurePosixPath("room/file.py"), text)
    assert [line for _, line in module.code] == [
        "import os  # a comment",
        "def _once(a):",
        "return a",
        "def public():",
        "return _once(1)",
    ]
    assert [function.name for function in house.used_once(module)] == ["_once"]
    assert [house.length_of(function) for function in house.functions_of(module)] == [2, 2]
    other = house.Module.read(house.PurePosixPath("other/file.py"), "def public(): ...")
    assert house.names_that_stand_twice([module, other]) == {"public": ["other/file.py", "room/file.py"]}


def test_each_figure_finds_what_it_is_there_to_keep_out() -> None:
    lines = [f"    total = add_to_the_{number}th(total)" for number in range(house.LONG - 1)]
    fits = "def counted(total):\n" + "\n".join(lines)
    alone = house.Module.read(house.PurePosixPath("room/alone.py"), fits)
    assert house.too_long([alone]) == []
    assert house.said_twice([alone]) == {}
    longer = f"{fits}\n    return total\n\n\ndef _once(): ...\n\n\ndef public():\n    _once()\n"
    grown = house.Module.read(house.PurePosixPath("room/grown.py"), longer)
    assert house.too_long([grown]) == [f"room/grown.py:1 counted, {house.LONG + 1} lines"]
    assert house.share_used_once([alone, grown]) == 25.0
    said = house.said_twice([alone, grown])
    assert [*said] == [("room/alone.py", "room/grown.py", "def counted(total):")]
    promise = "def ask(\n" + "".join(f"    argument_{one}: int,\n" for one in range(8)) + ") -> None: ...\n"
    paths = (house.PurePosixPath("room/promise.py"), house.PurePosixPath("other/kept.py"))
    both = [house.Module.read(path, promise) for path in paths]
    assert len(house.repeated(both)) == 1
    assert house.said_twice(both) == {}, "what a contract promises is written where it is kept as well"
