"""Entry points are read as text, and read the same as importlib.metadata reads them."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import importlib_metadata
import pytest

from plughost.core.finding.installed import entry_points
from plughost.testing.distributions import make_distribution

GROUP = "plughost.plugins"


def make(folder: Path, name: str, version: str = "1.0", reference: str = "mod:P", **points: str) -> None:
    make_distribution(
        folder, name, version=version, modules={}, entry_points={GROUP: points or {name: reference}}
    )


def test_a_distribution_is_found_with_its_own_spelling_of_name_and_version(tmp_path: Path) -> None:
    make(tmp_path, "Acme-Greeter", "1.2rc1")
    (point,) = entry_points([GROUP], [str(tmp_path)])
    assert (point.distribution, point.version, point.reference) == ("Acme-Greeter", "1.2rc1", "mod:P")


def test_the_first_folder_on_the_path_wins_for_one_distribution(tmp_path: Path) -> None:
    make(tmp_path / "a", "acme_greeter", "2.0")
    make(tmp_path / "b", "Acme-Greeter", "1.0")
    (point,) = entry_points([GROUP], [str(tmp_path / "a"), str(tmp_path / "b")])
    assert point.version == "2.0"


def test_comments_extras_and_other_groups_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "acme")
    (tmp_path / "acme-1.0.dist-info" / "entry_points.txt").write_text(
        "# plughost.plugins\n[console_scripts]\nx = y:z\n\n[plughost.plugins]\n; no\n  a = m:A [extra]\nb=n\n",
        "utf-8",
    )
    assert [(point.name, point.reference) for point in entry_points([GROUP], [str(tmp_path)])] == [
        ("a", "m:A"),
        ("b", "n"),
    ]


def test_a_zip_file_on_the_path_is_asked_too(tmp_path: Path) -> None:
    make(tmp_path / "made", "zipped")
    archive = tmp_path / "zipped.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in (tmp_path / "made").rglob("*"):
            file.write(path, path.relative_to(tmp_path / "made"))
    (point,) = entry_points([GROUP], [str(archive)])
    assert point.distribution == "zipped"


def test_a_finder_that_is_no_folder_is_asked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "editable")

    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            return None

        @staticmethod
        def find_distributions(context: object = None) -> list[importlib_metadata.Distribution]:
            return [importlib_metadata.PathDistribution(info) for info in tmp_path.glob("*.dist-info")]

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    assert "editable" in {point.distribution for point in entry_points([GROUP])}


def test_unreadable_places_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "broken-1.0.dist-info").write_text("a file, not a folder", "utf-8")
    (tmp_path / "empty-1.0.dist-info").mkdir()
    assert entry_points([GROUP], [str(tmp_path), str(tmp_path / "missing")]) == []


def test_it_finds_what_importlib_metadata_finds_in_this_environment() -> None:
    groups = ["console_scripts", "pytest11"]
    ours = {(p.group, p.name, p.reference) for p in entry_points(groups)}
    theirs = {
        (p.group, p.name, p.value.partition("[")[0].strip())
        for p in importlib_metadata.entry_points()
        if p.group in groups
    }
    assert ours == theirs
