"""How the documentation is built: ``sphinx-build -W docs docs/_build``."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "plughost"
author = "The plughost authors"
release = version = version_of("plughost")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "hook_directives"]
exclude_patterns = ["_build", "_ext"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_class_signature = "separated"
napoleon_use_ivar = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"plughost {release}"
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
