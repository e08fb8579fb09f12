"""What a host tells becomes JSON by one rule, whether a command, the API or a page shows it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import pytest

from plughost.cli.documents import dumped
from plughost.contracts import for_json


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@dataclass
class Lamp:
    colour: Colour
    lit: tuple[int, ...]


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
