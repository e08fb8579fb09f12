"""The types of hook calls are derived from every declaration, and cost nothing when the program runs."""

from __future__ import annotations

import ast
import inspect

import pytest

from documented_hooks import HOOKS
from plughost.hookspecs import Hooks, relay


def derived() -> dict[str, str]:
    """What the relay says about each hook: ``before_auth = waterfall(auth.before_auth)``."""
    relay_class = next(
        node
        for node in ast.parse(inspect.getsource(relay)).body
        if isinstance(node, ast.ClassDef) and node.name == "Hooks"
    )
    [only_for_checkers] = [node for node in relay_class.body if isinstance(node, ast.If)]
    assert ast.unparse(only_for_checkers.test) == "TYPE_CHECKING"
    return {
        ast.unparse(node.targets[0]): ast.unparse(node.value)
        for node in only_for_checkers.body
        if isinstance(node, ast.Assign)
    }


def test_every_hook_of_the_catalogue_has_its_type_and_in_the_same_order() -> None:
    assert list(derived()) == list(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_the_type_of_a_hook_comes_from_its_mode_and_its_declaration(name: str) -> None:
    page = HOOKS[name]
    kind = page.options.mode + ("_sync" if page.options.sync else "")
    assert derived()[name] == f"{kind}({page.family}.{name})"


def test_nothing_of_it_is_there_when_the_program_runs() -> None:
    assert not {name for name in vars(Hooks) if not name.startswith("__")}
    assert "__getattr__" not in vars(Hooks)
    assert not hasattr(relay, "waterfall")
