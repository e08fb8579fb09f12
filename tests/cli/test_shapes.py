"""The shapes of the JSON documents are a promise: a key may come, none may go or change its kind.

A change that is meant is written by ``UPDATE_SHAPES=1 pytest tests/cli/test_shapes.py`` and read in review.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from .plugin_sources import FAILING, GOOD

SHAPES = Path(__file__).parent / "shapes"

COMMANDS = {
    "list": ("list",),
    "info": ("info", "good"),
    "hooks": ("hooks",),
    "hook": ("hooks", "before_auth"),
    "run": ("run", "--once"),
    "check": ("check", "good"),
    "checks": ("check", "--list"),
    "doctor": ("doctor",),
    "disable": ("disable", "off"),
    "config_show": ("config", "show"),
    "config_check": ("config", "check"),
    "profile": ("profile",),
    "version": ("version",),
    "error": ("info", "nobody"),
    "config_error": ("list", "-c", "absent.toml"),
    "usage_error": ("list", "--wrong"),
}


def shape_of(value: Any) -> Any:
    """Keys and kinds: a list has the kinds of its items, a number is a number."""
    if isinstance(value, dict):
        return {key: shape_of(inner) for key, inner in sorted(value.items())}
    if isinstance(value, list):
        kinds = {json.dumps(shape_of(inner), sort_keys=True) for inner in value}
        return [json.loads(kind) for kind in sorted(kinds)]
    if value is None or isinstance(value, bool | str):
        return {type(None): "null", bool: "boolean", str: "string"}[type(value)]
    return "number"


@pytest.fixture
def world(install, configure, only):
    configure("[plugins.off]\nenabled = false\n[plugins.good.config]\ngreeting = 'hi'\n")
    only("good", "bad", "off")
    for name, source in {"good": GOOD, "bad": FAILING, "off": GOOD}.items():
        install(name, source, card="description = 'd'")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_document_has_the_shape_it_was_promised_with(name: str, cli, world) -> None:
    document = cli(*COMMANDS[name], "--json").document
    for key in ("plugins", "skipped"):
        if isinstance(document.get(key), list):  # what else is installed here is no part of the promise
            document[key] = [row for row in document[key] if row["name"] in {"good", "bad", "off"}]
    found = shape_of(document)
    file = SHAPES / f"{name}.json"
    if os.environ.get("UPDATE_SHAPES"):
        file.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(file.read_text())


def test_every_error_has_code_message_and_details(cli, world) -> None:
    for name in ("error", "config_error", "usage_error"):
        assert set(cli(*COMMANDS[name], "--json").document) == {"code", "message", "details"}
