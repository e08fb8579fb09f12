"""Plugins that come from a folder, a wheel, a zip file or a url, without being installed."""

from __future__ import annotations

import py_compile
import stat
import sys
import threading
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from others import run_as_anybody
from plughost import Host
from plughost.contracts import PluginState
from plughost.core.config import LoadedConfig, load_config
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.finding.survey import survey
from plughost.core.packages.digests import digest_of_files
from plughost.core.packages.fetching import FetchLimits, fetch
from plughost.core.packages.unpacking import UnpackLimits, unpack
from plughost.exceptions import PluginError, PluginSourceError

from .package_files import file, hash_of, serving, sources, wheel_files, write_folder, zipped

pytestmark = pytest.mark.anyio

MIB = 1 << 20


@pytest.fixture(autouse=True)
def clean_interpreter() -> Iterator[None]:
    """Forget the packages that a test brought into the interpreter."""
    path = sys.path[:]
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.partition(".")[0].endswith("_code")]:
        del sys.modules[name]


def configured(tmp_path: Path, **section: Any) -> dict[str, Any]:
    data = str(tmp_path / "data")
    return {"host": {"data_dir": data, "allow": ["boxed"]}, "plugins": {"boxed": section}}


def host_for(tmp_path: Path, **section: Any) -> Host:
    return Host("test", config=configured(tmp_path, **section), environ={})


def candidate_of(loaded: LoadedConfig) -> PluginCandidate:
    return next(candidate for candidate in survey(loaded) if candidate.name == "boxed")


def written(folder: Path, pattern: str) -> Iterator[Path]:
    return folder.rglob(pattern)


async def reason_why_not(tmp_path: Path, **section: Any) -> str:
    """Start a host whose one plugin must not come up, and return what is said of it."""
    async with host_for(tmp_path, **section) as host:
        record = host.plugins["boxed"]
        assert record.state is PluginState.FAILED
        assert record.error is not None
        assert record.error.kind == "PluginSourceError"
        assert "boxed_code" not in sys.modules
        return record.reason


def wheel(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "acme_boxed-2.1.0-py3-none-any.whl"
    path.write_bytes(zipped(wheel_files(**changes)))
    return path


@pytest.mark.parametrize("kind", ["folder", "wheel", "zip", "zip with one folder in it", "src layout"])
async def test_a_plugin_runs_from_any_kind_of_package(tmp_path: Path, kind: str) -> None:
    if kind == "folder":
        path = write_folder(tmp_path / "box", sources())
    elif kind == "wheel":
        path = wheel(tmp_path)
    else:
        prefix = {"zip": "", "zip with one folder in it": "acme-boxed-main/", "src layout": ""}[kind]
        inner = "src/" if kind == "src layout" else ""
        files = {f"{prefix}{inner if '/' in name else ''}{name}": text for name, text in sources().items()}
        path = tmp_path / "box.zip"
        path.write_bytes(zipped(files))
    async with host_for(tmp_path, path=str(path)) as host:
        record = host.plugins["boxed"]
        assert (record.state, record.reason) == (PluginState.READY, "")
        assert (record.version, record.distribution, record.source) == ("2.1.0", "acme-boxed", "package")
        assert record.status == {"answer": 42}


async def test_a_relative_path_is_seen_from_the_configuration_file(tmp_path: Path) -> None:
    write_folder(tmp_path / "box", sources())
    file = tmp_path / "plughost.toml"
    file.write_text('[host]\nallow = ["boxed"]\ndata_dir = "data"\n[plugins.boxed]\npath = "box"\n')
    async with Host(config=file, environ={}) as host:
        assert host.plugins["boxed"].state is PluginState.READY


def test_metadata_and_card_are_read_without_importing(tmp_path: Path) -> None:
    loaded = load_config(configured(tmp_path, path=str(wheel(tmp_path))), environ={})
    candidate = candidate_of(loaded)
    assert candidate.wanted
    assert candidate.finding.reference == "boxed_code:P"
    assert candidate.card.description == "comes in a box"
    assert "boxed_code" not in sys.modules


def test_a_disabled_package_is_not_even_opened(tmp_path: Path) -> None:
    loaded = load_config(configured(tmp_path, path="nowhere.whl", enabled=False), environ={})
    candidate = candidate_of(loaded)
    assert candidate.verdict is PluginState.DISABLED
    assert not (tmp_path / "data").exists()


async def test_a_package_settles_which_of_two_plugins_of_a_name_is_meant(tmp_path: Path, install) -> None:
    install("boxed", "raise RuntimeError('the installed one')")
    async with host_for(tmp_path, path=str(wheel(tmp_path))) as host:
        assert host.plugins["boxed"].status == {"answer": 42}


async def test_module_says_which_part_of_a_package_is_the_plugin(tmp_path: Path) -> None:
    path = wheel(tmp_path, name="other")
    async with host_for(tmp_path, path=str(path), module="boxed_code:P") as host:
        assert host.plugins["boxed"].state is PluginState.READY


async def test_a_package_without_a_plugin_of_that_name_says_which_it_has(tmp_path: Path) -> None:
    reason = await reason_why_not(tmp_path, path=str(wheel(tmp_path, name="other")))
    assert "declares no plugin of that name, but 'other'" in reason


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "gone.whl cannot be read" in await reason_why_not(tmp_path, path=str(tmp_path / "gone.whl"))


async def test_what_is_no_zip_file_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "box.whl"
    path.write_bytes(b"not a zip file")
    assert "must be a wheel or a plain zip file" in await reason_why_not(tmp_path, path=str(path))


# digests


async def test_a_pinned_file_that_was_changed_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    pinned = digest_of_files(wheel(tmp_path))
    path = wheel(tmp_path, answer=666)
    reason = await reason_why_not(tmp_path, path=str(path), sha256=pinned)
    assert pinned in reason
    assert digest_of_files(path) in reason
    assert [one.name for one in (tmp_path / "data").iterdir() if one.is_dir()] == []


async def test_a_pinned_file_runs(tmp_path: Path) -> None:
    path = wheel(tmp_path)
    async with host_for(tmp_path, path=str(path), sha256=digest_of_files(path).upper()) as host:
        assert host.plugins["boxed"].state is PluginState.READY


async def test_a_pinned_folder_that_was_changed_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "box", sources())
    pinned = digest_of_files(folder)
    write_folder(folder, sources(answer=666))
    assert "was changed" in await reason_why_not(tmp_path, path=str(folder), sha256=pinned)


OPENED = """
import sys
from pathlib import Path
from plughost.core.packages.package import Package
from plughost.exceptions import PluginSourceError

box = Path(sys.argv[1])
package = Package(plugin="boxed", place="the box", path=box, sha256=sys.argv[2], store=box / "store")
try:
    package.open()
except PluginSourceError as error:
    print(error)
"""


@pytest.mark.parametrize("inside", ["__pycache__/a.cpython-311.pyc", "deep/__pycache__/b.cpython-313.pyc"])
def test_compiled_code_of_a_pinned_folder_that_cannot_be_removed_is_told_as_that(
    tmp_path: Path, inside: str
) -> None:
    folder = write_folder(tmp_path / "box", sources())
    compiled = write_folder(folder, {inside: "compiled"}) / inside
    compiled.parent.chmod(0o555)
    ran = run_as_anybody(OPENED, str(folder), digest_of_files(folder))
    compiled.parent.chmod(0o755)
    assert "the box has a __pycache__ that cannot be removed: Permission denied" in ran.stdout, ran.stderr
    assert "cannot be read" not in ran.stdout
    assert compiled.exists()


def test_the_digest_of_a_folder_knows_names_and_contents_but_not_caches(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "box", {"a.py": "1", "b.py": "2"})
    first = digest_of_files(folder)
    write_folder(folder, {"__pycache__/a.pyc": "compiled"})
    assert digest_of_files(folder) == first
    (folder / "b.py").rename(folder / "c.py")
    renamed = digest_of_files(folder)
    write_folder(folder, {"c.py": "3"})
    assert len({first, renamed, digest_of_files(folder)}) == 3


async def test_the_digest_is_checked_again_before_a_reload(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "box", sources())
    async with host_for(tmp_path, path=str(folder), sha256=digest_of_files(folder)) as host:
        write_folder(folder, sources(answer=666))
        with pytest.raises(PluginSourceError, match="was changed"):
            await host.reload_plugin("boxed")
        assert host.plugins["boxed"].status == {"answer": 42}


@pytest.mark.parametrize("tampering", ["changed", "added", "compiled", "a link"])
def test_an_unpacked_folder_that_was_touched_is_made_anew(tmp_path: Path, tampering: str) -> None:
    archive, target = wheel(tmp_path), tmp_path / "unpacked"
    unpack("boxed", archive, target)
    code = target / "boxed_code" / "__init__.py"
    good = code.read_text()
    if tampering == "changed":
        code.write_text("evil = True")
    elif tampering == "a link":
        (tmp_path / "evil.py").write_text(good)
        code.unlink()
        code.symlink_to(tmp_path / "evil.py")
    else:
        name = "evil.py" if tampering == "added" else "__pycache__/__init__.cpython-311.pyc"
        write_folder(target / "boxed_code", {name: "evil"})
    unpack("boxed", archive, target)
    files = {path.name for path in target.rglob("*") if path.is_file()}
    assert files == {"__init__.py", "plugin.toml", "METADATA", "RECORD"}
    assert (code.read_text(), code.is_symlink()) == (good, False)


# hostile archives


@pytest.mark.parametrize("name", ["../evil.py", "/evil.py", "a/../../evil.py", "..\\evil.py", "C:/evil.py"])
async def test_a_path_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "box.zip"
    path.write_bytes(zipped({**sources(), name: "evil"}))
    assert "leads outside" in await reason_why_not(tmp_path, path=str(path))
    assert not [*written(tmp_path, "evil.py")]


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "box.zip"
    link = zipfile.ZipInfo("boxed_code")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(PluginSourceError, match="not a plain file"):
        unpack("boxed", path, tmp_path / "unpacked")


@pytest.mark.parametrize("limits", [UnpackLimits(files=2), UnpackLimits(size=100_000)])
def test_a_bomb_is_refused_before_it_goes_off(tmp_path: Path, limits: UnpackLimits) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(zipped({f"{number}": b"\0" * 50_000 for number in range(3)}))
    with pytest.raises(PluginSourceError, match="at most"):
        unpack("boxed", path, tmp_path / "unpacked", limits)
    assert not (tmp_path / "unpacked").exists()


def test_an_archive_that_lies_about_a_size_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "liar.zip"
    data = bytearray(zipped({"big": b"\0" * 50_000}))
    size = (50_000).to_bytes(4, "little")
    while (at := data.find(size)) >= 0:
        data[at : at + 4] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(PluginSourceError):
        unpack("boxed", path, tmp_path / "unpacked")
    assert not [*tmp_path.rglob("big")]


def test_an_archive_that_lies_about_a_size_and_keeps_its_checksum_is_not_unpacked_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "liar.zip"
    size, claimed = 64 * MIB + 4660, 10  # so that its bytes stand nowhere else
    data = zipped({"big": b"\0" * size})
    for truth, lie in ((size, claimed), (zlib.crc32(b"\0" * size), zlib.crc32(b"\0" * claimed))):
        data = data.replace(truth.to_bytes(4, "little"), lie.to_bytes(4, "little"))
    path.write_bytes(data)
    tracemalloc.start()
    try:
        for _ in range(2):  # the second time it is compared with what is there
            unpack("boxed", path, tmp_path / "unpacked")
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()
    assert (tmp_path / "unpacked" / "big").read_bytes() == b"\0" * claimed


# urls


async def test_a_url_is_fetched_once_and_then_served_from_the_data_folder(tmp_path: Path) -> None:
    data = zipped(wheel_files())
    asked: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        file(data)(request)

    with serving(answer) as address:
        url = f"{address}/acme_boxed-2.1.0-py3-none-any.whl?token=hush"
        for _ in range(2):
            async with host_for(tmp_path, url=url, sha256=hash_of(data)) as host:
                assert host.plugins["boxed"].status == {"answer": 42}
                assert "hush" not in host.plugins["boxed"].origin
    assert len(asked) == 1


async def test_a_url_with_other_contents_than_pinned_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    with serving(file(zipped(wheel_files(answer=666)))) as address:
        reason = await reason_why_not(tmp_path, url=f"{address}/x.whl?token=hush", sha256="0" * 64)
    assert "was pinned" in reason
    assert "hush" not in reason
    assert [path for path in (tmp_path / "data" / ".packages").rglob("*") if path.is_file()] == []


def test_a_url_without_a_digest_is_refused_by_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only when its sha256 is given"):
        host_for(tmp_path, url="https://plugins.example/x.whl")


async def test_a_fetched_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    data = zipped(wheel_files())
    with serving(file(data)) as address:
        section = {"url": f"{address}/x.whl", "sha256": hash_of(data)}
        async with host_for(tmp_path, **section):
            pass
    del sys.modules["boxed_code"]
    (fetched,) = (tmp_path / "data").rglob("*.whl")
    fetched.write_bytes(zipped(wheel_files(answer=666)))
    assert "was changed" in await reason_why_not(tmp_path, **section)


@pytest.mark.parametrize(
    "url", ["http://plugins.example/x.whl", "file:///etc/passwd", "ftp://a/x.whl", "x.whl"]
)
async def test_only_https_and_this_machine_are_asked(tmp_path: Path, url: str) -> None:
    assert "is not fetched" in await reason_why_not(tmp_path, url=url, sha256="0" * 64)


@pytest.mark.parametrize("target", ["http://plugins.example/x.whl", "file:///etc/passwd"])
def test_a_redirection_leads_no_further_than_a_url_could(tmp_path: Path, target: str) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(302)
        request.send_header("Location", target)
        request.end_headers()

    with serving(answer) as address, pytest.raises(PluginSourceError, match=r"is not (fetched|allowed)"):
        fetch("boxed", f"{address}/x.whl", "0" * 64, tmp_path / "fetched")


def test_a_redirection_within_the_machine_is_followed(tmp_path: Path) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path == "/moved":
            file(b"data")(request)
            return
        request.send_response(302)
        request.send_header("Location", "/moved")
        request.end_headers()

    with serving(answer) as address:
        fetched = fetch("boxed", f"{address}/x.whl", hash_of(b"data"), tmp_path / "fetched")
    assert fetched.read_bytes() == b"data"


def test_more_than_the_limit_is_not_taken(tmp_path: Path) -> None:
    limits = FetchLimits(size=1000)
    with (
        serving(file(b"x" * 2000)) as address,
        pytest.raises(PluginSourceError, match="larger than the limit"),
    ):
        fetch("boxed", f"{address}/x.whl", hash_of(b"x" * 2000), tmp_path / "fetched", limits)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_of_404_is_told(tmp_path: Path) -> None:
    with (
        serving(lambda request: request.send_error(404)) as address,
        pytest.raises(PluginSourceError, match="Not Found"),
    ):
        fetch("boxed", f"{address}/x.whl", "0" * 64, tmp_path / "fetched")


async def test_a_server_that_does_not_answer_holds_nobody_up(tmp_path: Path) -> None:
    released = threading.Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        released.wait(30)

    with serving(answer) as address:
        config = configured(tmp_path, url=f"{address}/x.whl", sha256="0" * 64)
        config["host"]["load_timeout"] = 0.1
        async with Host("test", config=config, environ={}) as host:
            reason = host.plugins["boxed"].reason
        released.set()
    assert "took longer than the limit" in reason or "timed out" in reason


def test_looking_at_metadata_fetches_nothing(tmp_path: Path) -> None:
    asked: list[str] = []
    with serving(lambda request: asked.append(request.path)) as address:
        loaded = load_config(configured(tmp_path, url=f"{address}/x.whl", sha256="0" * 64), environ={})
        candidate = candidate_of(loaded)
    assert "was not fetched yet" in candidate.reason
    assert asked == []


async def test_a_failed_package_stops_no_other_plugin(tmp_path: Path) -> None:
    config = configured(tmp_path, path=str(wheel(tmp_path)))
    config["host"]["allow"] = ["boxed", "lost"]
    config["plugins"]["lost"] = {"path": "lost.whl"}
    async with Host("test", config=config, environ={}) as host:
        assert host.report.loaded == ("boxed",)
        with pytest.raises(PluginError, match="lost"):
            await host.load_plugin("lost")


@pytest.mark.parametrize("where", ["boxed_code/more", "more"])
async def test_a_pinned_folder_with_a_link_is_refused(tmp_path: Path, where: str) -> None:
    folder = write_folder(tmp_path / "box", sources())
    pinned = digest_of_files(folder)
    write_folder(tmp_path / "elsewhere", {"__init__.py": "evil = True"})
    (folder / where).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert "symbolic link" in await reason_why_not(tmp_path, path=str(folder), sha256=pinned)


async def test_compiled_code_in_a_pinned_folder_is_not_run_in_the_place_of_the_source(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "box", sources())
    source = folder / "boxed_code" / "__init__.py"
    pinned, good = digest_of_files(folder), source.read_text("utf-8")
    source.write_text(good.replace("42", "66"), "utf-8")
    compiled = py_compile.compile(
        str(source), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH, doraise=True
    )
    source.write_text(good, "utf-8")
    assert compiled
    async with host_for(tmp_path, path=str(folder), sha256=pinned) as host:
        assert host.plugins["boxed"].status == {"answer": 42}


def test_a_link_to_a_folder_in_what_was_unpacked_is_removed(tmp_path: Path) -> None:
    archive, target = wheel(tmp_path), tmp_path / "unpacked"
    unpack("boxed", archive, target)
    write_folder(tmp_path / "elsewhere", {"__init__.py": "evil = True"})
    (target / "other").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    unpack("boxed", archive, target)
    assert not (target / "other").exists()


@pytest.mark.parametrize("name", [".", "./", "", "/"])
@pytest.mark.parametrize("suffix", [".zip", ".whl"])
async def test_a_zip_file_with_a_nameless_member_fails_its_plugin_and_no_other(
    tmp_path: Path, name: str, suffix: str
) -> None:
    archive = tmp_path / f"boxed-1.0-py3-none-any{suffix}"
    with zipfile.ZipFile(archive, "w") as file:
        member = zipfile.ZipInfo("x")
        member.filename = name
        file.writestr(member, "x")
    assert archive.name in await reason_why_not(tmp_path, path=str(archive))
