"""One name for one thing in the whole house, and comments that stand where they are read."""

from __future__ import annotations

import re
from pathlib import Path

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


def test_a_name_that_two_rooms_have_means_the_same_in_both_or_has_a_reason() -> None:
    found = house.names_that_stand_twice(house.modules_of())
    new = {name: places for name, places in found.items() if name not in SHARED}
    assert new == {}, "give one of them another name, or write down here why both are right"
    assert SHARED.keys() == found.keys(), "a reason for what does not stand twice any more"


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
