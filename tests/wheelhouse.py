"""A folder of wheels for ``pip install --no-index --find-links``: plughost as it is here, what it needs, and others."""

from __future__ import annotations

import importlib.metadata
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement

import plughost

SOURCE = Path(plughost.__file__).parent


def wheelhouse(folder: Path) -> Path:
    """Fill a folder with plughost and all it needs, packed again from what is installed here."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _closure("plughost"):
        _pack_again(importlib.metadata.distribution(name), folder)
    return folder


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    modules: Mapping[str, str],
    *,
    requires: tuple[str, ...] = (),
    plugins: Mapping[str, str] | None = None,
    group: str = "plughost.plugins",
) -> Path:
    """Write a wheel of pure Python; ``plugins`` are its entry points in ``group``."""
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = dict(modules)
    files[f"{stem}.dist-info/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}"
    )
    files[f"{stem}.dist-info/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if plugins:
        points = "".join(f"{point} = {reference}\n" for point, reference in plugins.items())
        files[f"{stem}.dist-info/entry_points.txt"] = f"[{group}]\n{points}"
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(f"{stem}.dist-info/RECORD", _record(archive, stem))
    return wheel


def _closure(name: str) -> list[str]:
    wanted, found = [name], []
    while wanted:
        one = wanted.pop()
        if one not in found:
            found.append(one)
            for line in importlib.metadata.requires(one) or ():
                requirement = Requirement(line)
                if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                    wanted.append(requirement.name)
    return found


def _pack_again(distribution: importlib.metadata.Distribution, folder: Path) -> None:
    stem = f"{distribution.metadata['Name'].replace('-', '_').replace('.', '_')}-{distribution.version}"
    text = distribution.read_text("WHEEL") or ""
    tags = [line.removeprefix("Tag: ") for line in text.splitlines() if line.startswith("Tag: ")]
    with zipfile.ZipFile(folder / f"{stem}-{_together(tags)}.whl", "w") as archive:
        for name, path in _files(distribution):
            archive.write(path, name)
        info = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        archive.writestr(f"{info.rpartition('/')[0]}/RECORD", _record(archive, stem))


def _together(tags: list[str]) -> str:
    parts = [tag.split("-") for tag in tags]
    return "-".join(".".join(dict.fromkeys(part[place] for part in parts)) for place in range(3))


def _files(distribution: importlib.metadata.Distribution) -> Iterator[tuple[str, Path]]:
    """What a wheel of it would hold; of plughost, which is edited in its folder, that folder."""
    passed_over = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
    for file in distribution.files or ():
        if file.parts[0] != ".." and file.suffix not in {".pyc", ".pth"} and file.name not in passed_over:
            yield str(file), Path(str(file.locate()))
    if (
        distribution.metadata["Name"] == "plughost"
        and not Path(str(distribution.locate_file("plughost"))).is_dir()
    ):
        for path in sorted(SOURCE.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                yield str(path.relative_to(SOURCE.parent)), path


def _record(archive: zipfile.ZipFile, stem: str) -> str:
    return "".join(f"{name},,\n" for name in archive.namelist()) + f"{stem}.dist-info/RECORD,,\n"
