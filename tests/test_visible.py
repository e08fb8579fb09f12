"""No sign that nobody sees reaches a terminal, a log or a page: it is written out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plughost.contracts import visible

TRICKS = ["\u202e", "\u2066", "\u200b", "\u2028", "\ufeff", "\u061c", "\x85"]
CONFIG = """
[host]
allow = ["odd"]
data_dir = "data"
[plugins.odd]
module = "odd:Odd"
[plugins.odd.config]
x = "a{0}b"
"""
PLUGIN = """
from plughost import Plugin
class Odd(Plugin):
    name = "odd"
    version = "1.0"
    async def start(self, context):
        context.log.warning("said a%sb", extra="a%sb")
        raise ValueError("raised a%sb")
"""


@pytest.mark.parametrize("trick", TRICKS)
def test_such_a_sign_is_written_out_and_json_reads_it_back(trick):
    assert trick not in visible(f"a{trick}b")
    assert json.loads(visible(json.dumps({"x": f"a{trick}b"}, ensure_ascii=False))) == {"x": f"a{trick}b"}


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "Žofie",
        "שלום",
        "नमस्ते",
        "\u0645\u06cc\u200c\u062e",
        "👩\u200d🚀",
        "a\n\tb",
        "\x1b[1mbold\x1b[0m",
    ],
)
def test_text_of_any_language_stays_as_it_is(text):
    assert visible(text) == text


@pytest.mark.parametrize(
    "command",
    [("run", "--once"), ("run", "--once", "--json"), ("list",), ("config", "show"), ("info", "odd")],
)
def test_nothing_a_plugin_or_a_configuration_says_turns_the_output_around(tmp_path: Path, command) -> None:
    trick = "\u202e"
    (tmp_path / "odd.py").write_text(PLUGIN % (trick, trick, trick), encoding="utf-8")
    (tmp_path / "plughost.toml").write_text(CONFIG.format(trick), encoding="utf-8")
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PLUGHOST_")}
    ran = subprocess.run(
        [sys.executable, "-m", "plughost", *command],
        cwd=tmp_path, env=environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert trick not in ran.stdout + ran.stderr
    if command[0] == "run":
        assert "\\u202eb" in ran.stdout + ran.stderr
