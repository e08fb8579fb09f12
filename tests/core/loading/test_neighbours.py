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


async def test_a_parser_that_takes_fright_keeps_no_plugin_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does in CPython up to 3.12, when another thread is deep in an expression at that moment."""

    def frightened(source: object) -> ast.AST:
        raise SystemError("AST constructor recursion depth mismatch (before=39, after=185)")

    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / f"calm_{tmp_path.name}.py").write_text(
        "from plughost import Plugin\n\n\nclass Calm(Plugin):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))  # and with it sys.path as it was, at the end
    monkeypatch.setattr(neighbours, "ast", SimpleNamespace(**vars(ast) | {"parse": frightened}))
    async with Host(config={"host": {"plugin_dir": str(plugins)}}, environ={}) as host:
        (state,) = [one.state for one in host.plugins.values() if one.name.startswith("calm")]
        assert state is PluginState.READY
