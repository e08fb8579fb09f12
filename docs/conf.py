"""How the documentation is built: ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "plughost"
author = "The plughost authors"
release = version = version_of("plughost")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "cli_directive",
    "config_directive",
    "hook_directives",
]
exclude_patterns = ["_build", "_ext"]

smartquotes = False  # they make a dash of the two of an option
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
maximum_signature_line_length = 90
python_display_short_literal_types = True
napoleon_use_ivar = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"plughost {release}"
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "monokai"


def keep_trees(app: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Show the trees that docstrings draw as they are drawn."""
    if any("├──" in line for line in lines):
        first = next(number for number, line in enumerate(lines) if line.startswith("    "))
        lines[first:first] = ["::", ""]


def keep_colons(app: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Keep napoleon from reading ``The registry: what is in it.`` as a type and a text.

    It looks at the first line that is not empty; this one has nothing in it but an escaped space.
    """
    if what in {"attribute", "data", "property"}:
        lines.insert(0, "\\ ")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", keep_trees)
    app.connect("autodoc-process-docstring", keep_colons, priority=100)  # before napoleon, which has 500
