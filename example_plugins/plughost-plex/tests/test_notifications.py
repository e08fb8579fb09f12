"""What servers say by themselves is known at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import anyio
import pytest

from conftest import Browser, Fakes, Suite, running
from plughost import Plugin, hookimpl
from plughost.testing import FakeClock
from plughost_plex.notifications import events_of
from plughost_upstream.protocols import UpstreamGarbageError

pytestmark = pytest.mark.anyio

SCAN = '{"TimelineEntry": {"sectionID": "1", "state": 5}}'
STOPPED = '{"PlaySessionStateNotification": {"state": "stopped"}}'
PLAYING = '{"PlaySessionStateNotification": {"state": "playing"}}'


async def until(holds: Callable[[], object], clock: FakeClock) -> None:
    """Let time pass until something holds."""
    with anyio.fail_after(60):
        while not holds():
            await anyio.sleep(0.01)
            await clock.advance(1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def listening(fakes: Fakes, tmp_path, clock: FakeClock) -> AsyncIterator[tuple[Suite, Browser]]:
    """Give a host that listens to the server of Ada, and her browser."""
    async with running(fakes, tmp_path, clock, notifications=True) as suite:
        ada = suite.browser()
        await ada.sign_in()
        for path in ("libraries", "library/1/all", "library/2/all", "watch-history"):
            assert (await ada.get(f"/api/plex/{path}")).status_code == 200
        await clock.advance(15)
        await until(lambda: fakes.home.listening, clock)
        yield suite, ada
    with anyio.fail_after(60):
        while fakes.home.listening:  # noqa: ASYNC110 - the server notices in a thread of its own
            await anyio.sleep(0.01)


async def test_a_section_that_changed_is_loaded_at_once_and_many_words_cost_one_look(listening, fakes, clock):
    home = fakes.home
    home.library.changed_sections["1"] = home.library.changed_at + 60
    home.forget()
    for _ in range(100):
        home.notify("timeline", SCAN)
    await until(lambda: home.count("/library/sections/1/all"), clock)
    assert home.count("/library/sections/2/all") == 0
    assert [call.path for call in home.calls].count("/library/sections") < 5
    assert fakes.far.listening == 0


async def test_what_somebody_has_seen_is_told_when_they_stop(listening, fakes, clock):
    class Diary(Plugin):
        name = "diary"

        @hookimpl(optionalhook=True)
        async def media_watched(self, key: str) -> None:
            seen.append(key)

    seen: list[str] = []
    suite, _ = listening
    await suite.host.jobs.run_now("plex history sync")
    await suite.host.load_plugin(Diary())
    fakes.home.watch(1001, "102")
    fakes.home.notify("playing", PLAYING)
    fakes.home.notify("playing", STOPPED)
    await until(lambda: seen, clock)
    assert seen == ["102"]


@pytest.mark.parametrize("half_way", [True, False])
async def test_a_stream_that_breaks_off_begins_anew(listening, fakes, clock, caplog, half_way):
    fakes.home.hang_up(half_way=half_way)
    with anyio.fail_after(60):
        while fakes.home.listening:  # noqa: ASYNC110 - the server notices in a thread of its own
            await anyio.sleep(0.01)
    fakes.home.begin("500")
    await clock.advance(15)
    fakes.home.end()
    await clock.advance(15)
    await until(lambda: fakes.home.listening, clock)
    assert "crash" not in caplog.text


async def test_another_upstream_is_listened_by_when_it_is_reloaded(listening, fakes, clock):
    suite, _ = listening
    before = fakes.home.count("/:/eventsource")
    await suite.host.reload_plugin("upstream")
    await clock.advance(15)
    await clock.advance(15)
    await until(lambda: fakes.home.count("/:/eventsource") > before and fakes.home.listening == 1, clock)


async def test_nobody_is_listened_to_unless_a_deployer_says_so(fakes, tmp_path, clock):
    async with running(fakes, tmp_path, clock) as suite:
        ada = suite.browser()
        await ada.sign_in()
        await ada.get("/api/plex/libraries")
        await clock.advance(100)
        assert fakes.home.count("/:/eventsource") == 0


class Pieces:
    """A reply that comes in pieces."""

    status, headers = 200, {}

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


async def test_events_are_read_however_they_are_cut() -> None:
    text = b": hello\n\nevent: ping\r\ndata: {}\r\n\r\nevent: timeline\ndata: {\ndata: }\n\nretry: 5\n\nevent: cut"
    for size in (1, 7, len(text)):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert [event async for event in events_of(Pieces(*pieces))] == [
            ("ping", b" {}"), ("timeline", b" { }")
        ]  # fmt: skip
    with pytest.raises(UpstreamGarbageError):
        _ = [event async for event in events_of(Pieces(*[b"data: " + b"x" * 9_000 + b"\n"] * 200))]
