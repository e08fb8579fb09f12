"""The plugin in a real host with the real disk cache, asked by HTTP."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from PIL import Image

from plughost import Host, Plugin, hookimpl
from plughost.contracts import HttpContext
from plughost.http import create_app
from plughost_images import ImagesPlugin
from plughost_images.protocols import ImageOrigin, PictureMissingError, PictureRequest

pytestmark = pytest.mark.anyio
POSTER = "/api/images/shelf/red.jpg"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Shelf(Plugin):
    """A source with red pictures."""

    name = "shelf"

    def __init__(self, fresh: float = 3600.0) -> None:
        self.fresh = fresh
        self.fetched: list[PictureRequest] = []
        self.gives: bytes | Exception = drawn("red")

    @hookimpl(optionalhook=True)
    async def image_source(self, name: str) -> ImageOrigin | None:
        if name != "shelf":
            return None
        return ImageOrigin(
            pattern=r"[a-z]+\.jpg", fetch=self.fetch, key=self.key, fresh=self.fresh, immutable=True
        )

    async def fetch(self, wanted: PictureRequest) -> bytes:
        self.fetched.append(wanted)
        await anyio.sleep(0.01)
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives

    async def key(self, wanted: PictureRequest) -> str:
        if wanted.ref == "hidden.jpg":
            raise PictureMissingError
        return wanted.ref


def drawn(colour: str) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (900, 1350), colour).save(written, "JPEG")
    return written.getvalue()


class Seen:
    def __init__(self, host: Host, shelf: Shelf, client: httpx2.AsyncClient) -> None:
        self.host, self.shelf, self.client = host, shelf, client

    async def get(self, path: str = POSTER, **options: Any) -> httpx2.Response:
        return await self.client.get(path, **options)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture(params=["with the disk cache"])
async def seen(request: pytest.FixtureRequest, tmp_path: Path, shelf: Shelf) -> AsyncIterator[Seen]:
    kept = ["diskcache"] if request.param == "with the disk cache" else []
    host = Host(config={"host": {"allow": kept, "data_dir": str(tmp_path)}}, environ={})
    async with host:
        await host.load_plugin(ImagesPlugin)
        await host.load_plugin(shelf)
        app = create_app(host)
        token = app.runtime.tokens.create("test", ["images:write"], 3600)[0]
        transport = httpx2.ASGITransport(app=app)
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(transport=transport, base_url="http://t", headers=headers) as client:
            yield Seen(host, shelf, client)
        app.close()


def size_of(answer: httpx2.Response) -> tuple[str | None, int]:
    picture = Image.open(io.BytesIO(answer.content))
    return picture.format, picture.width


async def test_a_picture_comes_in_the_size_and_format_that_was_asked_for(seen: Seen) -> None:
    answer = await seen.get(params={"w": "185", "f": "webp"})
    assert size_of(answer) == ("WEBP", 185)
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert size_of(await seen.get(params={"f": "avif"})) == ("AVIF", 342)


async def test_auto_is_what_the_browser_can_show(seen: Seen) -> None:
    assert size_of(await seen.get(headers={"Accept": "image/webp,*/*"}))[0] == "WEBP"
    assert size_of(await seen.get(headers={"Accept": "image/*"}))[0] == "JPEG"


async def test_it_is_fetched_once_for_all_who_ask(seen: Seen) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(30):
            group.start_soon(seen.get)
    assert len(seen.shelf.fetched) == 1
    first = await seen.get()
    assert (await seen.get(headers={"If-None-Match": first.headers["etag"]})).status_code == 304
    assert len(seen.shelf.fetched) == 1


async def test_who_is_not_signed_in_sees_nothing(seen: Seen) -> None:
    assert (await seen.get(headers={"Authorization": ""})).status_code == 401
    assert seen.shelf.fetched == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/images/nobody/red.jpg",
        "/api/images/shelf/hidden.jpg",
        "/api/images/shelf/red.svg",
        "/api/images/shelf/..%2f..%2fetc%2fpasswd",
        "/api/images/shelf/http:%2f%2f169.254.169.254%2flatest.jpg",
        "/api/images/shelf//evil.example/red.jpg",
        "/api/images/shelf/%F0%9D%94%AFed.jpg",
        "/api/images/shelf/" + "a" * 400 + ".jpg",
    ],
)
async def test_what_no_source_has_is_missing_and_nobody_is_asked(seen: Seen, path: str) -> None:
    assert (await seen.get(path)).status_code == 404
    assert seen.shelf.fetched == []


@pytest.mark.parametrize("query", [{"w": "343"}, {"w": "0185"}, {"w": "9999999"}, {"f": "svg"}, {"f": ""}])
async def test_sizes_and_formats_nobody_needs_are_refused(seen: Seen, query: dict[str, str]) -> None:
    assert (await seen.get(params=query)).status_code == 422
    assert seen.shelf.fetched == []


@pytest.mark.parametrize(
    "gives", [ConnectionError("away"), b"<svg/>", b"", b"<!doctype html>", drawn("red")[:500]]
)
async def test_without_an_old_picture_a_placeholder_is_shown_that_nobody_keeps(
    seen: Seen, gives: bytes | Exception
) -> None:
    good, seen.shelf.gives = seen.shelf.gives, gives
    answer = await seen.get()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["etag"] == '"placeholder"'
    seen.shelf.gives = good
    assert size_of(await seen.get())[0] == "JPEG"


class TestStale:
    @pytest.fixture
    def shelf(self) -> Shelf:
        return Shelf(fresh=0.05)

    async def test_the_old_picture_is_shown_while_its_source_fails_and_the_new_one_soon_after(
        self, seen: Seen
    ) -> None:
        old = await seen.get()
        seen.shelf.gives = ConnectionError("away")
        await anyio.sleep(0.1)
        shown = await seen.get()
        assert shown.content == old.content
        assert shown.headers["cache-status"] == "plughost; hit; detail=stale"
        assert shown.headers["cache-control"] == "private, no-cache"
        seen.shelf.gives = drawn("blue")
        for _ in range(200):
            await anyio.sleep(0.05)
            if (await seen.get()).content != old.content:
                return
        pytest.fail("the new picture never came")

    @pytest.mark.parametrize("wanted", [True, False])
    async def test_only_who_asks_for_it_is_told_by_the_header_of_before(
        self, seen: Seen, wanted: bool
    ) -> None:
        await seen.host.unload_plugin("images")
        await seen.host.load_plugin(ImagesPlugin, {"warning_header": wanted})
        assert "warning" not in (await seen.get()).headers
        seen.shelf.gives = ConnectionError("away")
        await anyio.sleep(0.1)
        assert ("warning" in (await seen.get()).headers) == wanted


async def test_forgetting_a_picture_takes_all_its_sizes_and_no_other_picture(seen: Seen) -> None:
    for width in ("92", "342"):
        await seen.get(params={"w": width})
    await seen.get("/api/images/shelf/blue.jpg")
    assert (await seen.client.delete(POSTER)).json() == {"removed": 2}
    await seen.get()
    await seen.get("/api/images/shelf/blue.jpg")
    assert [wanted.ref for wanted in seen.shelf.fetched] == ["red.jpg", "red.jpg", "blue.jpg", "red.jpg"]


async def test_the_panel_forgets_everything(seen: Seen) -> None:
    await seen.get()
    [panel] = seen.host.hooks.register_admin_panels(context=HttpContext(host_name="t"))[0]
    assert await panel.actions[0].run({}) == "1 picture forgotten."


@pytest.mark.parametrize("seen", ["without it"], indirect=True)
async def test_without_a_disk_cache_pictures_are_made_each_time(seen: Seen) -> None:
    for _ in range(2):
        assert size_of(await seen.get())[1] == 342
    assert len(seen.shelf.fetched) == 2
    assert (await seen.client.delete(POSTER)).status_code == 503


async def test_the_source_s_plugin_may_go_and_the_pictures_go_with_it(seen: Seen) -> None:
    await seen.get()
    await seen.host.unload_plugin("shelf")
    assert (await seen.get()).status_code == 404
