"""Text that is meant to be TOML and hurts its reader: an error that names the file, at every door it can come by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from plughost.checks.candidates import candidates_of
from plughost.cli.freezing.snapshot import read_snapshot
from plughost.core.config import load_config, set_plugin_enabled
from plughost.core.config.toml_text import MOST_PARTS, parse_toml
from plughost.core.finding.cards import read_card
from plughost.core.finding.sources import MANIFEST, from_directory
from plughost.exceptions import ConfigError, PluginInvalidError

HOSTILE = {
    "brackets": "x = " + "[" * 20_000,
    "closed brackets": "x = " + "[" * 5_000 + "]" * 5_000,
    "tables in tables": "x = " + "{a=" * 5_000,
    "a long number": "x = " + "9" * 5_000,
    "a number of pieces": "x = " + "1_1" * 5_000,
    "a key of many parts": "a." * 5_000 + "b = 1",
    "a key in a table": "x = {" + "a . " * 5_000 + "b = 1}",
    "a quoted key": "'a'.\"b\"." * 5_000 + "b = 1",
    "a head of many parts": "[" + "a." * 5_000 + "b]",
    "a list of many parts": "[[" + "a." * 5_000 + "b]]",
    "behind strings": 'x = """\n"""\ny = \'#\'\nz = "\\""\n' + "a." * 5_000 + "b = 1",
    "not closed": 'x = """' + '\\"""' * 5_000,
}


def configuration(path: Path) -> object:
    return load_config(path, environ={})


def edited(path: Path) -> object:
    return set_plugin_enabled(path, "lamp", True)


DOORS: dict[str, tuple[Callable[[Path], object], type[Exception]]] = {
    "configuration": (configuration, ConfigError),
    "editing": (edited, ConfigError),
    "a card": (lambda path: read_card("lamp", path), PluginInvalidError),
    "freeze": (read_snapshot, ConfigError),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(("read", "error"), DOORS.values(), ids=DOORS)
def test_text_that_hurts_is_told_as_an_error_of_its_file(tmp_path, read, error, text):
    path = tmp_path / "lamp.toml"
    path.write_text(text)
    with pytest.raises(error, match=r"lamp\.toml"):
        read(path)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_plugin_folder_with_it_is_broken_and_its_neighbour_found(tmp_path, text):
    for name, manifest in (
        ("broken", text),
        ("lamp", '[project.entry-points."plughost.plugins"]\nlamp = "lamp"'),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / MANIFEST).write_text(manifest)
    broken, lamp = from_directory(tmp_path, ["plughost.plugins"])
    assert "cannot be read" in broken.problem
    assert (lamp.name, lamp.problem) == ("lamp", "")


def test_a_folder_to_be_checked_says_what_is_broken(tmp_path):
    (tmp_path / MANIFEST).write_text(HOSTILE["brackets"])
    (candidate,) = candidates_of(str(tmp_path), load_config({}, environ={}))
    assert "cannot be read" in candidate.reason


@pytest.mark.parametrize(
    "text",
    [
        'x = "' + "a." * 500 + '"',
        "x = '" + "[" * 500 + "'",
        '"' + "a." * 500 + '" = 1',
        'x = """' + "\na." * 500 + '"""',
        "x = '''" + "{a=\n" * 500 + "'''''",
        'x = ["' + '", "1.2.3'.join("a" * 50) + '"]',
        "# " + "a." * 500,
        "\n".join(f"a{at}.b.c = 1.5" for at in range(500)),
        ".".join("a" * MOST_PARTS) + " = 1",
        "x = " + "[" * MOST_PARTS + "]" * MOST_PARTS,
        'x = "\\""\ny = "' + "[" * 500 + '"',
    ],
)
def test_dots_and_brackets_that_are_no_structure_are_not_counted(text):
    parse_toml(text)
