"""The hooks as their reference shows them, for tests that look at it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hook_pages", DOCS / "_ext" / "hook_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


HOOKS: dict[str, Any] = {page.name: page for page in _load().all_pages()}
"""A ``HookPage`` for each hook of the catalogue, by name."""
