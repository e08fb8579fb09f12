"""Runs the Python blocks of a documentation page, in order, in one namespace, as a reader would.

A fenced block of Python is run. A block with the caption ``Output`` is what the block before it must have
printed. A block with a caption (``{code-block} toml`` with ``:caption: plughost.toml``) is a file of that
name: it is written into the folder in which the page runs, and not run itself. Other blocks are for people.

``python docs_blocks.py PAGE`` runs a page in the current folder; an error names the line of the page. With
``--alone`` behind it each block has a namespace of its own, for pages whose blocks are whole programs.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import ModuleType

FENCE = re.compile(
    r"^(?P<indent>[ ]*)(?P<fence>`{3,}|:{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
OPTIONS = re.compile(r"\A(?:[ ]*:(?:\w|-)+:[^\n]*\n)*")
RUN = {"python", "{code-block} python"}
OUTPUT = "Output"


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        language: What stands after the fence.
        code: Its text, without options.
        line: The line of the page on which the text begins.
        caption: Name of the file it is, or ``Output``; empty when it is neither.
    """

    language: str
    code: str
    line: int
    caption: str = ""

    @property
    def runs(self) -> bool:
        """Whether it is Python to be run here."""
        return self.language in RUN and not self.caption


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for match in FENCE.finditer(text):
        body = match["body"]
        options = OPTIONS.match(body) if match["info"].startswith("{") else None
        head = options[0] if options else ""
        caption = re.search(r":caption:\s*(\S+)", head)
        code = dedent(body[len(head) :])
        blank = len(code) - len(code.lstrip("\n"))
        yield Block(
            language=match["info"].strip(),
            code=code[blank:],
            line=text.count("\n", 0, match.start("body")) + head.count("\n") + blank + 1,
            caption=caption[1] if caption else "",
        )


def run_page(page: Path, folder: Path, *, alone: bool = False) -> int:
    """Write the files of a page and run its Python blocks, each ``alone`` or as one program; return how many."""
    namespace = vars(ModuleType("__main__"))
    count, printed = 0, ""
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.caption == OUTPUT:
            assert printed == block.code, f"{page}, line {block.line}: what was printed is\n{printed}"
        elif block.caption:
            target = folder / block.caption
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.code, encoding="utf-8")
        elif block.runs:
            count += 1
            namespace = vars(ModuleType("__main__")) if alone else namespace
            code = compile("\n" * (block.line - 1) + block.code, str(page), "exec", dont_inherit=True)
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(code, namespace)  # noqa: S102  the documentation is ours
            printed = output.getvalue()
    return count


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    told = run_page(Path(sys.argv[1]), Path.cwd(), alone="--alone" in sys.argv)
    sys.stderr.write(f"{told} blocks\n")
