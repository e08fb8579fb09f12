"""The program that moves from pluggy on the page of the guide has as many lines as the page says."""

import re
from pathlib import Path

import pytest

from docs_blocks import blocks

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "move-from-pluggy.md"
TEXT = PAGE.read_text("utf-8")
PROGRAMS = {block.caption: block.code.strip().splitlines() for block in blocks(TEXT) if block.caption}


@pytest.mark.parametrize(
    ("program", "said"),
    [("greet.py", r"A program of (\d+) lines"), ("greet_hosted.py", r"the move it has (\d+)")],
)
def test_the_page_tells_how_long_the_program_is(program, said):
    assert len(PROGRAMS[program]) == int(re.search(said, TEXT)[1])


def test_specs_plugins_and_calls_are_the_same_before_and_after():
    before, after = (
        "\n".join(PROGRAMS[name]).partition("def main") for name in ("greet.py", "greet_hosted.py")
    )
    assert before[0] == after[0].replace("from plughost.blocking import BlockingHost\n", "")
