"""No link of the documentation leads nowhere, and every public name is in the reference."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "example_plugins/*/*.md", "newsfragments/*.md")
    for path in ROOT.glob(pattern)
    if "_build" not in path.parts
)
LINK = re.compile(r"(?<!\\)\[(?P<text>[^\]\[]*)\]\((?P<target>[^)\s]*)(?:\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"^(?P<fence>`{3,}|:{3,})[^\n]*\n.*?^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
MADE_BY_SPHINX = re.compile(r"hook-\w+|setting-[\w.-]+|command-[\w-]+")

DOORS = (
    "plughost",
    "plughost.contracts",
    "plughost.http",
    "plughost.testing",
    "plughost.exceptions",
)


def links(page: Path) -> Iterator[str]:
    """Targets of the links of a page; what stands in code is none."""
    text = CODE.sub(
        lambda match: "" if "](" in match[0] else match[0], FENCE.sub("", page.read_text("utf-8"))
    )
    for match in LINK.finditer(text):
        yield match["target"]


def anchors(page: Path) -> set[str]:
    """What a link into a page may name: its headings, as MyST makes anchors of them, and its labels."""
    text = FENCE.sub("", page.read_text("utf-8"))
    headings = re.findall(r"^#{1,6}\s+(.+?)\s*$", text, re.MULTILINE)
    return {slug(heading) for heading in headings} | set(re.findall(r"^\(([\w.-]+)\)=$", text, re.MULTILINE))


def slug(heading: str) -> str:
    """The anchor of a heading, as forges and MyST make it."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")


def complaint(page: Path, target: str) -> str:
    """What is wrong with a link; empty when it leads somewhere."""
    parts = urlsplit(target)
    if parts.scheme:
        is_fine = parts.scheme in {"https", "mailto"} and bool(parts.netloc or parts.scheme == "mailto")
        return "" if is_fine else "is no https address"
    place = (page.parent / parts.path).resolve() if parts.path else page
    if not place.exists():
        return "leads to no file"
    if not place.is_relative_to(ROOT):
        return "leads out of the repository"
    is_page = place.suffix == ".md" and bool(parts.fragment)
    known = is_page and (parts.fragment in anchors(place) or MADE_BY_SPHINX.fullmatch(parts.fragment))
    return "names an anchor that is not there" if is_page and not known else ""


def test_there_are_pages_and_links_to_look_at() -> None:
    assert sum(1 for page in PAGES for _ in links(page)) > 50


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    found = [f"{target}: {said}" for target in links(page) if (said := complaint(page, target))]
    assert found == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a](gone.md)", "no file"), ("[a](other.md#gone)", "anchor"), ("[a](#gone)", "anchor"),
        ("[a](http://example.com)", "https"), ("[](gone.md)", "no file"), ("![a](gone.png)", "no file"),
    ],
)  # fmt: skip
def test_a_dead_link_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "other.md").write_text("# Here\n")
    page = tmp_path / "page.md"
    page.write_text(text)
    (target,) = links(page)
    assert said in complaint(page, target)


@pytest.mark.parametrize(
    "text",
    [
        "[a](other.md#two-words)",
        "[a](#here)",
        "[a](https://example.com/x#y)",
        "[a](other.md)",
        "`[a](x)`",
        "```\n[a](x)\n```",
    ],
)
def test_a_good_link_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "other.md").write_text("# Other\n\n## Two `words`!\n")
    page = tmp_path / "page.md"
    page.write_text(f"# Here\n\n{text}\n")
    assert [complaint(page, target) for target in links(page)] in ([], [""])


# names

DIRECTIVE = re.compile(
    r"^\.\. auto(?P<kind>\w+):: (?P<name>[\w.]+)\n(?P<options>(?:[ ]+:.*\n)*)", re.MULTILINE
)


def documented() -> set[str]:
    """Full names that the Python reference is made of."""
    found: set[str] = set()
    for match in DIRECTIVE.finditer((ROOT / "docs" / "reference" / "python.md").read_text("utf-8")):
        if match["kind"] != "module":
            found.add(match["name"])
            continue
        module = importlib.import_module(match["name"])
        members = re.search(r":members:(.*)", match["options"])
        if members is not None:
            named = [name.strip() for name in members[1].split(",") if name.strip()]
            found |= {f"{match['name']}.{name}" for name in named or public(module)}
    return found


def public(module: object) -> list[str]:
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    name = getattr(module, "__name__", "")
    return [
        key
        for key, value in vars(module).items()
        if getattr(value, "__module__", "") == name and key[0] != "_"
    ]


@pytest.mark.parametrize("door", DOORS)
def test_every_public_name_is_in_the_reference(door: str) -> None:
    module = importlib.import_module(door)
    names = {f"{door}.{name}" for name in public(module)}
    assert names - documented() == set()


def test_the_blocking_host_is_in_the_reference() -> None:
    assert "plughost.blocking.BlockingHost" in documented()
