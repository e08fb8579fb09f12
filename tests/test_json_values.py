"""What a host tells becomes JSON by one rule, whether a command, the API or a page shows it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plughost.cli.documents import dumped
from plughost.contracts import (
    error_line,
    error_lines,
    error_text,
    for_json,
    json_bytes,
    spoken,
    value_text,
    visible,
)


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@dataclass
class Lamp:
    colour: Colour
    lit: tuple[int, ...]


class Shade(msgspec.Struct, rename={"made_by": "by"}):
    lamp: Lamp
    made_by: str


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        (math.inf, None),
        (math.nan, None),
        (timedelta(minutes=2), 120.0),
        (Level.HIGH, 3),
        (Lamp(Colour.RED, (1, 2)), {"colour": "Colour.RED", "lit": [1, 2]}),
        (
            [Shade(Lamp(Colour.RED, (1,)), "ada")],
            [{"lamp": {"colour": "Colour.RED", "lit": [1]}, "by": "ada"}],
        ),
        ({"a": {"b"}}, {"a": ["b"]}),
        ({7: Path("lamps")}, {"7": "lamps"}),
    ],
)
def test_a_value_becomes_the_same_json_on_a_page_and_in_a_command(value: Any, said: Any) -> None:
    assert for_json(value) == said
    assert json.loads(dumped({"value": value}), parse_constant=pytest.fail) == {"value": said}


def test_what_holds_itself_ends_in_an_ellipsis() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert for_json(circle, deepest=2) == [[["…"]]]
    assert "…" in dumped({"circle": circle})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("caf\udce9", "caf\\udce9"),
        ({"caf\udce9": ["\ud800"]}, {"caf\\udce9": ["\\ud800"]}),
        ({"rocket": "\U0001f680"}, {"rocket": "\U0001f680"}),
        ({"many": 10**5000}, {"many": "a builtins.int, whose repr raises ValueError"}),
        ({"many": 10**4000}, {"many": 10**4000}),
        ({1: {2}}, {"1": [2]}),
    ],
)
def test_what_json_cannot_hold_does_not_keep_the_rest_of_a_document_back(value: Any, said: Any) -> None:
    assert for_json(value) == said
    assert json.loads(json_bytes({"value": value, "rest": 1})) == {"value": said, "rest": 1}
    assert json.loads(dumped({"value": value}).encode()) == {"value": said}


@pytest.mark.parametrize("text", [error_text, error_line, lambda error: "".join(error_lines(error))])
def test_the_text_of_an_error_can_be_written(text: Callable[[BaseException], str]) -> None:
    told = text(ValueError("no such file: caf\udce9"))
    assert "caf\\udce9" in told
    told.encode()


def test_what_is_shown_can_be_written() -> None:
    for told in (visible("caf\udce9"), spoken("caf\udce9"), value_text(["\udce9" * 10])):
        assert "\\udce9" in told
        told.encode()
