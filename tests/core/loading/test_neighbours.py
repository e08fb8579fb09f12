"""Modules of a plugin's folder are looked for elsewhere too, before it is imported."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest

from plughost import Host
from plughost.contracts import PluginState
from plughost.core.loading import neighbours

pytestmark = pytest.mark.anyio

CALM = "from plughost import Plugin\n\nimport {helper}\n\n\nclass Calm(Plugin):\n    pass\n"


class Parser:
    """Takes fright so often, as CPython's does up to 3.12 when another thread is deep in an expression."""

    def __init__(self, frights: int) -> None:
        self.frights = frights

    def parse(self, source: bytes) -> ast.Module:
        if self.frights:
            self.frights -= 1
            raise SystemError("AST constructor recursion depth mismatch (before=39, after=185)")
        return ast.parse(source)


async def state_of_one_with_a_helper(folder: Path, helper: str) -> PluginState:
    home = folder / "plugins" / "calm"
    home.mkdir(parents=True)
    (home / f"calm_{folder.name}.py").write_text(CALM.format(helper=helper))
    (home / f"{helper}.py").write_text("")
    (home / "pyproject.toml").write_text(
        '[project]\nname = "calm"\nversion = "1"\n[project.entry-points."plughost.plugins"]\n'
        f'calm = "calm_{folder.name}:Calm"\n'
    )
    config = {"host": {"plugin_dir": str(folder / "plugins"), "allow": ["calm"]}}
    async with Host(config=config, environ={}) as host:
        return host.plugins["calm"].state


@pytest.mark.parametrize(("elsewhere", "state"), [(True, PluginState.FAILED), (False, PluginState.READY)])
@pytest.mark.parametrize("frights", [0, 1])
async def test_a_parser_that_takes_fright_once_hides_no_clash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: bool, state: PluginState, frights: int
) -> None:
    helper = f"helper_{tmp_path.name}"
    monkeypatch.syspath_prepend(str(tmp_path))  # and with it sys.path as it was, at the end
    if elsewhere:
        (tmp_path / f"{helper}.py").write_text("")
    monkeypatch.setattr(neighbours, "ast", SimpleNamespace(**vars(ast) | {"parse": Parser(frights).parse}))
    assert await state_of_one_with_a_helper(tmp_path, helper) == state


async def test_a_parser_that_is_always_frightened_keeps_no_plugin_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(neighbours, "ast", SimpleNamespace(**vars(ast) | {"parse": Parser(1_000).parse}))
    assert await state_of_one_with_a_helper(tmp_path, f"helper_{tmp_path.name}") == PluginState.READY
