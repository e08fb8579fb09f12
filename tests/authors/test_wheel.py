"""The wheel carries the template, whole."""

from __future__ import annotations

import zipfile
from pathlib import Path

from plughost.cli.scaffold.questions import TEMPLATE

from .rendered_plugins import run

ROOT = Path(__file__).parent.parent.parent


def test_the_template_lies_in_the_wheel_with_all_its_files(tmp_path: Path) -> None:
    run(
        "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check",
        "--wheel-dir", str(tmp_path), str(ROOT),
    )  # fmt: skip
    (wheel,) = tmp_path.glob("plughost-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("plughost/template/")}
    there = {
        f"plughost/template/{path.relative_to(TEMPLATE).as_posix()}"
        for path in TEMPLATE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == there
    assert len(there) > 15
