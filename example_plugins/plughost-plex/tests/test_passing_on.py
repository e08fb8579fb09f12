"""Pieces of a film are passed on as they come: never held whole, in part when a part is wanted, and let go of."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

pytestmark = pytest.mark.anyio


async def piece_of(ada: Any) -> str:
    """Return the address of a piece of a film that Ada plays."""
    stream = (await ada.post("/api/plex/playback/101")).json()["stream"]
    index = (await ada.get(stream)).text.splitlines()[-1]
    return f"{stream.rpartition('/')[0]}/{index.rpartition('/')[0]}/00000.m4s"


PARTS = {
    "bytes=0-99": slice(0, 100),
    "bytes=100-": slice(100, None),
    "bytes=-50": slice(-50, None),
    "bytes=7-7": slice(7, 8),
}


async def test_a_part_is_what_was_wanted_of_the_whole(ada):
    address = await piece_of(ada)
    whole = await ada.get(address)
    assert (whole.status_code, whole.headers["content-length"]) == (200, str(len(whole.content)))
    assert whole.headers["accept-ranges"] == "bytes"
    for wanted, part in PARTS.items():
        answer = await ada.get(address, headers={"Range": wanted})
        assert (answer.status_code, answer.content) == (206, whole.content[part]), wanted
        assert answer.headers["content-range"].endswith(f"/{len(whole.content)}")
        assert answer.headers["content-type"] == "video/mp4"


async def test_what_is_no_single_range_gets_the_whole(ada):
    address = await piece_of(ada)
    ada.fakes.home.forget()
    wanted = ("bytes=0-9, 20-29", "lines=1-2", "bytes=-", f"bytes={'9' * 99}-")
    conditional = {"Range": "bytes=0-9", "If-Range": '"something"'}
    for headers in (*({"Range": one} for one in wanted), conditional):
        answer = await ada.get(address, headers=headers)
        assert (answer.status_code, "content-range" in answer.headers) == (200, False), headers
    assert not any("range" in call.headers for call in ada.fakes.home.calls)


async def test_a_part_that_is_not_there_is_told_with_the_length_of_the_whole(ada):
    address = await piece_of(ada)
    length = len((await ada.get(address)).content)
    answer = await ada.get(address, headers={"Range": f"bytes={length + 1}-"})
    assert (answer.status_code, answer.headers["content-range"].rpartition("/")[2]) == (416, str(length))


@pytest.mark.parametrize("told_by", ["receive", "send"])
async def test_the_first_bytes_come_before_the_last_and_a_client_that_leaves_ends_the_call(
    suite, ada, told_by
):
    """The piece never ends: whoever read it first and sent it then would send nothing."""
    address, home = await piece_of(ada), ada.fakes.home
    home.endless = True
    came, gone = 0, anyio.Event()

    async def receive() -> dict[str, Any]:
        await (gone.wait() if told_by == "receive" else anyio.sleep_forever())
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal came
        came += len(message.get("body", b""))
        if came > 1 << 18:
            gone.set()
            if told_by == "send":
                raise OSError("the client has left")

    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in ada.client.cookies.jar)
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3" if told_by == "receive" else "2.4"},
        "http_version": "1.1", "method": "GET", "scheme": "http", "path": address, "raw_path": address.encode(),
        "root_path": "", "query_string": b"", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        "headers": [(b"host", b"127.0.0.1"), (b"cookie", cookies.encode())],
    }  # fmt: skip
    with anyio.fail_after(60):
        await suite.app(scope, receive, send)
        assert came > 1 << 18
        while not home.left:  # noqa: ASYNC110 - the fake lives in another thread
            await anyio.sleep(0.01)
