"""The runner of documentation blocks runs what it should and fails when it should."""

from __future__ import annotations

from pathlib import Path

import pytest

import docs_blocks


def write(folder: Path, text: str) -> Path:
    page = folder / "page.md"
    page.write_text(text, "utf-8")
    return page


def test_blocks_run_in_order_in_one_namespace(tmp_path: Path) -> None:
    page = write(tmp_path, "```python\nx = 1\n```\n\ntext\n\n```python\nassert x == 1\n```\n")
    assert docs_blocks.run_page(page, tmp_path) == 2


def test_a_block_that_stands_alone_knows_nothing_of_those_before(tmp_path: Path) -> None:
    page = write(tmp_path, "```python\nx = 1\n```\n\n```python\nassert x == 1\n```\n")
    with pytest.raises(NameError):
        docs_blocks.run_page(page, tmp_path, alone=True)


def test_a_failing_block_names_the_line_of_the_page(tmp_path: Path) -> None:
    page = write(tmp_path, "# Title\n\n```python\nx = 1\nraise RuntimeError(x)\n```\n")
    with pytest.raises(RuntimeError) as caught:
        docs_blocks.run_page(page, tmp_path)
    assert [entry.lineno for entry in caught.traceback][-1] == 4  # counted from zero


def test_a_block_with_a_caption_is_a_file(tmp_path: Path) -> None:
    page = write(tmp_path, "```{code-block} python\n:caption: folder/made.py\n\nraise RuntimeError\n```\n")
    assert docs_blocks.run_page(page, tmp_path) == 0
    assert (tmp_path / "folder" / "made.py").read_text("utf-8") == "raise RuntimeError\n"


def test_a_directive_without_a_caption_runs(tmp_path: Path) -> None:
    page = write(tmp_path, "```{code-block} python\n:emphasize-lines: 1\nx = 1\n```\n")
    assert docs_blocks.run_page(page, tmp_path) == 1


@pytest.mark.parametrize("language", ["console", "text", "toml", "{note}", ""])
def test_other_blocks_are_for_people(tmp_path: Path, language: str) -> None:
    page = write(tmp_path, f"```{language}\nrm -rf everything\n```\n")
    assert docs_blocks.run_page(page, tmp_path) == 0


def test_blocks_in_lists_are_taken_out_of_their_indentation(tmp_path: Path) -> None:
    page = write(tmp_path, "1. First\n\n   ```python\n   x = 1\n   ```\n")
    assert docs_blocks.run_page(page, tmp_path) == 1


def page_that_prints(what: str) -> str:
    return f"```python\nprint('hello')\n```\n\n```{{code-block}} text\n:caption: Output\n\n{what}\n```\n"


def test_what_a_block_prints_is_what_the_page_says(tmp_path: Path) -> None:
    assert docs_blocks.run_page(write(tmp_path, page_that_prints("hello")), tmp_path) == 1
    with pytest.raises(AssertionError, match="line 8"):
        docs_blocks.run_page(write(tmp_path, page_that_prints("goodbye")), tmp_path)
