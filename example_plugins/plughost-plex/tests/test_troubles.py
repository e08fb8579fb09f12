"""Every route in each of the eight troubles: with nothing kept, with something fresh, and with something stale."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx2
import pytest

from conftest import Browser, Fakes, Suite, running
from plughost.testing import FakeClock
from plughost_upstream.protocols import Upstreams

pytestmark = pytest.mark.anyio

KEPT = {
    **dict.fromkeys(("activities", "sessions"), 20),
    **dict.fromkeys(("ondeck", "continue"), 100),
    **dict.fromkeys(("library/1/all", "search?query=the", "watch-history", "media/recent"), 400),
    "metadata/101": 4000,
    "libraries": 90_000,
}
"""Routes whose answers are kept, and an age at which an answer is stale and may still be shown."""

MARKS = {"scrobble": {"id": "101"}, "unscrobble": {"id": "101"}, "rate": {"id": "101", "rating": 8}}

TROUBLES: dict[str, tuple[dict[str, Any], int, str]] = {
    "slow": ({"kind": "delay", "seconds": 30}, 504, "upstream_timeout"),
    "away": ({"kind": "away"}, 502, "plex_server_unreachable"),
    "500": ({"kind": "500"}, 502, "upstream_unavailable"),
    "429": ({"kind": "429"}, 503, "upstream_busy"),
    "a page": ({"kind": "garbage"}, 502, "upstream_garbage"),
    "another shape": ({"kind": "garbage", "garbage": "wrong"}, 502, "upstream_garbage"),
    "wrong things": ({"kind": "garbage", "garbage": "askew"}, 502, "upstream_garbage"),
    "9 MB": ({"kind": "garbage", "garbage": "huge"}, 502, "upstream_garbage"),
    "cut off": ({"kind": "cut"}, 502, "upstream_garbage"),
    "401": ({"kind": "401"}, 403, "plex_refused"),
    "404": ({"kind": "404"}, 404, "plex_missing"),
}


LIKE_ANOTHER = ("500", "another shape", "9 MB", "cut off")
CELLS = [
    pytest.param(trouble, marks=[pytest.mark.soak] if trouble in LIKE_ANOTHER else []) for trouble in TROUBLES
]
"""Every trouble; a normal run leaves those to the long one that take the same way through the code as another."""


class Viewer:
    """Ada in her browser, who asks for many things at once."""

    def __init__(self, suite: Suite) -> None:
        self.suite, self.browser = suite, suite.browser()

    async def ask(self, *paths: str) -> dict[str, httpx2.Response]:
        answers: dict[str, httpx2.Response] = {}

        async def one(path: str) -> None:
            answers[path] = await self.browser.get(f"/api/plex/{path}")

        async with anyio.create_task_group() as tasks:
            for path in paths:
                tasks.start_soon(one, path)
        return answers

    async def until(self, status: int, *paths: str) -> dict[str, httpx2.Response]:
        """Ask until all answer with a status: an old answer, or an old refusal, may be shown while a new one comes."""
        with anyio.fail_after(60):
            found = await self.ask(*paths)
            while any(answer.status_code != status for answer in found.values()):
                await anyio.sleep(0.05)
                found = await self.ask(*paths)
        return found

    def forgive(self) -> None:
        """Let all servers begin anew: none is left alone because it failed too often."""
        upstreams = self.suite.host.use(Upstreams)
        for name in upstreams.names():
            upstreams.remove(name)


LEFT_ALONE = {(502, "upstream_unavailable"), (502, "plex_server_unreachable")}
"""What is told of a server that failed too often: it is not asked, or its other ways were tried in vain."""


def told(answer: httpx2.Response) -> tuple[int, str]:
    """Return status and code of a problem document, which names no address and no token."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert "127.0.0.1" not in answer.text
    assert "token-of" not in answer.text
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("trouble", CELLS)
async def test_in_trouble_what_is_kept_is_shown_and_what_is_not_is_told(
    fakes: Fakes, tmp_path: Any, trouble: str
) -> None:
    options, status, code = TROUBLES[trouble]
    clock = FakeClock()
    kept = dict(list(KEPT.items())[::5]) if trouble == "9 MB" else KEPT  # so much is slow to send
    async with running(fakes, tmp_path, clock, deadline=_deadline(trouble)) as suite:
        viewer = Viewer(suite)
        assert (await viewer.browser.sign_in()).status_code == 200
        await viewer.browser.post("/api/plex/servers/machine-home/probe")

        fakes.home.begin(**options)
        for path, answer in (await viewer.ask(*kept)).items():
            found = told(answer)
            assert found == (status, code) or (status == 502 and found in LEFT_ALONE), path
            if found[1] in ("upstream_unavailable", "upstream_busy"):
                assert int(answer.headers["retry-after"]) >= 1, path

        fakes.home.end()
        viewer.forgive()
        await clock.advance(100)
        before = await viewer.until(200, *kept)
        fakes.home.begin(**options)
        fakes.home.forget()
        for path, answer in (await viewer.ask(*kept)).items():
            assert _content(answer) == _content(before[path]), path
            assert "detail" not in answer.headers["cache-status"], path
        assert fakes.home.calls == []

        passed = 0
        for age in sorted(set(kept.values())):
            viewer.forgive()
            await clock.advance(age - passed)
            passed = age
            paths = [path for path, stale_at in kept.items() if stale_at == age]
            if status == 404:
                await viewer.until(404, *paths)  # that takes the place of what was kept
                continue
            for path, answer in (await viewer.ask(*paths)).items():
                assert answer.status_code == 200, (path, answer.text)
                assert _content(answer) == _content(before[path]), path
                assert "; detail=upstream" in answer.headers["cache-status"], path
                assert int(answer.headers["age"]) >= age, path


@pytest.mark.parametrize(("kind", "why"), [
    ("500", "upstream-unavailable"), ("garbage", "upstream-garbage"), ("429", "upstream-busy"),
    ("401", "upstream-refused"),
])  # fmt: skip
async def test_a_stale_answer_says_what_is_wrong_with_the_server(
    fakes: Fakes, tmp_path: Any, kind: Any, why: str
) -> None:
    clock, paths = FakeClock(), ("activities", "ondeck", "watch-history")
    async with running(fakes, tmp_path, clock, deadline=60.0) as suite:
        viewer = Viewer(suite)
        assert (await viewer.browser.sign_in()).status_code == 200
        await viewer.until(200, *paths)
        fakes.home.begin(kind, retry_after="120")
        await clock.advance(301)
        with anyio.fail_after(60):
            for path in paths:
                told, wanted = "", f"; detail={why}"
                # Until what was asked behind its back has come back.
                while not told.endswith(wanted):
                    told = (await viewer.ask(path))[path].headers["cache-status"]
                    await anyio.sleep(0.05)


def _content(answer: httpx2.Response) -> Any:
    found = answer.json()
    return found.get("activities", found.get("MediaContainer"))


def _deadline(trouble: str) -> float:
    """Only who waits for nothing is to wait briefly: a busy machine is not the server in trouble."""
    return 1.0 if trouble == "slow" else 60.0


@pytest.mark.parametrize("trouble", CELLS)
async def test_in_trouble_what_cannot_be_kept_is_told_and_what_is_known_here_is_shown(
    fakes: Fakes, tmp_path: Any, trouble: str
) -> None:
    """Marks, looks at a server, playback and its parts; the list of servers and the change to another one."""
    options, status, code = TROUBLES[trouble]
    async with running(fakes, tmp_path, deadline=_deadline(trouble)) as suite:
        viewer = Viewer(suite)
        ada: Browser = viewer.browser
        assert (await ada.sign_in()).status_code == 200
        await ada.post("/api/plex/servers/machine-home/probe")
        stream = (await ada.post("/api/plex/playback/101")).json()["stream"]
        piece = f"{stream.rpartition('/')[0]}/session/x/base/00000.m4s"

        fakes.home.begin(**options)
        fakes.home.forget()
        read_as_bytes = options["kind"] == "garbage" and options.get("garbage") != "huge"
        answers: dict[str, httpx2.Response] = {}

        async def keep(name: str, ask: Callable[..., Awaitable[httpx2.Response]], *given: Any) -> None:
            answers[name] = await ask(*given)

        # Side by side, for each may take as long as the deadline.
        async with anyio.create_task_group() as tasks:
            for path, body in MARKS.items():
                tasks.start_soon(keep, path, ada.post, f"/api/plex/{path}", body)
        for path in MARKS:
            answer = answers[path]
            # A mark that was taken is answered with nothing or with a page, so a page is not garbage here.
            wanted = (204, "") if read_as_bytes else (status, code)
            found = (204, "") if answer.status_code == 204 else told(answer)
            assert found in (wanted, (502, "upstream_unavailable")), path
        viewer.forgive()
        # A mark may have been taken: it is not sent again.
        assert fakes.home.count("/:/", "PUT") <= 2 * len(MARKS)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep, "playback", ada.post, "/api/plex/playback/101")
            tasks.start_soon(keep, "stream", ada.get, stream)
            tasks.start_soon(keep, "piece", ada.get, piece)
        viewer.forgive()
        assert told(answers["playback"])[0] == status
        assert told(answers["stream"])[0] == (502 if read_as_bytes else status)
        answer = answers["piece"]
        # What a piece of a picture looks like is the player's business, and one that broke off had begun.
        begun = options["kind"] in ("garbage", "cut")
        assert answer.status_code == (200 if begun else status), answer.text[:300]
        if trouble == "cut off":  # the player sees that it is not whole
            assert len(answer.content) < int(answer.headers["content-length"])
        assert answer.headers["content-type"] in ("video/mp4", "application/problem+json")
        if options["kind"] != "delay":  # that takes three seconds, and is what `away` is
            # One that wants a rest is there.
            wanted = (503, "upstream_busy") if trouble == "429" else (502, "plex_server_unreachable")
            assert told(await ada.post("/api/plex/servers/machine-home/probe")) == wanted

        assert (await ada.get("/api/plex/servers")).status_code == 200
        far = await ada.put("/api/plex/servers/current", {"id": "machine-far"})
        assert (far.status_code, far.json()["name"]) == (200, "Far")


@pytest.mark.parametrize("trouble", [cell for cell in CELLS if cell.values[0] not in ("slow", "404")])
async def test_trouble_of_plex_tv_ends_no_sign_in_that_is_there_and_is_told_to_who_begins_one(
    fakes: Fakes, suite: Suite, trouble: str
) -> None:
    options, status, code = TROUBLES[trouble]
    ada = suite.browser()
    assert (await ada.sign_in()).status_code == 200
    fakes.plex_tv.begin(**options)
    for path in ("servers", *KEPT):
        assert (await ada.get(f"/api/plex/{path}")).status_code == 200, path
    begun = await suite.browser().post("/api/auth/plex")
    unreachable = (502, "upstream_unavailable")
    assert told(begun) == (unreachable if code == "plex_server_unreachable" else (status, code))


async def test_a_server_that_is_away_takes_no_other_one_away(suite, ada):
    guest = suite.browser()
    assert (await guest.sign_in(1)).status_code == 200
    assert (await ada.put("/api/plex/servers/current", {"id": "machine-far"})).status_code == 200
    suite.fakes.far.begin("500")
    for key in range(101, 110):
        answer = await ada.get(f"/api/plex/metadata/{key}")
        assert (answer.status_code, answer.json()["code"]) == (502, "plex_server_unreachable")
    assert (await guest.get("/api/plex/metadata/105")).status_code == 200
