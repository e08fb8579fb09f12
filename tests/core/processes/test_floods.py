"""A process that says more than anybody can hear holds up nobody, and what is left out of it is counted."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from faulty_plugin import SOURCE
from housed import Neighbour, configuration, housed, process_of, until, write_plugin
from plughost.core.processes import hearing
from plughost.core.wire.channel import open_channel
from plughost.core.wire.frames import AT_ONCE, Kind

pytestmark = pytest.mark.anyio

MANY = 3_000
FLOODS = SOURCE.replace(
    "FAULTS = {",
    """
async def flood_of_lines():
    for number in range(3_000):
        SELF[0].context.log.info("flood", number=number)


async def flood_of_nonsense():
    channel = SELF[0].context._calls._channel
    for _ in range(1_500):
        channel.send(5, 0, 0xFF83)


async def flood_of_loggers():
    import logging
    for number in range(900):
        logging.getLogger(f"flood.{number}").warning("one of many")
    logging.getLogger("flood\\\\nERROR forged").warning("one of many")


async def flood_of_subscriptions():
    for _ in range(1_300):
        SELF[0].context.events.subscribe("told", print)


async def odd_lines():
    import logging
    logging.getLogger("odd").warning("name \\udcff", extra={"big": 1 << 70, "odd": "\\udcfe", "small": -3})
    return "done"


SELF = []
FAULTS = {
    "lines": flood_of_lines,
    "nonsense": flood_of_nonsense,
    "loggers": flood_of_loggers,
    "subscriptions": flood_of_subscriptions,
    "odd lines": odd_lines,
""",
).replace("        self.heard = []\n", "        self.heard = []\n        SELF.append(self)\n")


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Any:
    """Return how many records have a message, and the sum of a number that they carry."""
    caplog.set_level(logging.INFO)

    def of(message: str, number: str = "") -> tuple[int, int]:
        found = [one for one in caplog.records if one.getMessage() == message]
        return len(found), sum(one.__dict__[number] for one in found if number)

    return of


async def flooded(folder: Path, how: str) -> None:
    """Let a plugin flood its host, and end."""
    write_plugin(folder, FLOODS)
    async with housed(configuration(folder), timeouts={"misbehave": 60.0}) as host:
        await host.load_plugin(Neighbour, name="neighbour")
        await host.hooks.misbehave(how=how)
        assert await host.hooks.describe_device(user_agent="x") is None
        assert process_of(host).restarts == 0


async def test_of_a_flood_of_lines_some_are_told_and_the_rest_is_counted(
    tmp_path: Path, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "_TALK", 50)
    await flooded(tmp_path, "lines")
    lines, _ = told("flood")
    times, left_out = told("plugin logged more than is told of it", "lines")
    assert 0 < lines < MANY
    assert times >= 1
    assert lines + left_out >= MANY


async def test_of_a_flood_of_nonsense_a_few_are_told_and_the_rest_is_counted(
    tmp_path: Path, told: Any
) -> None:
    await flooded(tmp_path, "nonsense")
    lines, _ = told("what a plugin's process said was of no use")
    _, left_out = told("a plugin's process said more that was of no use", "times")
    assert 0 < lines < 1_500
    assert lines + left_out == 1_500


async def test_loggers_are_kept_for_good_so_one_process_makes_only_so_many(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await flooded(tmp_path, "loggers")
    names = {one.name for one in caplog.records if one.getMessage() == "one of many"}
    assert 100 < len(names) < 300
    assert "plughost.plugin.faulty" in names
    assert all(name.isprintable() for name in names)


async def test_registrations_are_bounded_and_the_rest_is_told(tmp_path: Path, told: Any) -> None:
    await flooded(tmp_path, "subscriptions")
    lines, _ = told("what a plugin's process said was of no use")
    _, left_out = told("a plugin's process said more that was of no use", "times")
    assert lines + left_out == 1_300 - 1_024


async def test_a_line_of_odd_text_and_big_numbers_is_told_and_not_the_plugins_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_plugin(tmp_path, FLOODS)
    async with housed(configuration(tmp_path)) as host:
        assert (await host.hooks.misbehave(how="odd lines"))["done"] == "done"
        await until(lambda: any(one.name == "odd" for one in caplog.records))
    (record,) = [one for one in caplog.records if one.name == "odd"]
    assert record.getMessage() == "name \\udcff"


async def test_between_two_handfuls_of_frames_everybody_else_has_a_turn() -> None:
    ours, theirs = socket.socketpair()
    taken: list[int] = []
    steps: list[int] = []
    async with anyio.create_task_group() as tasks:
        channel = open_channel(ours, tasks, lambda *frame: taken.append(frame[1]), lambda _: None)
        sender = open_channel(theirs, tasks, lambda *_: None, lambda _: None)
        for number in range(2_000):
            sender.send(Kind.NOTE, number, 1)
        with anyio.fail_after(30):
            while len(taken) < 2_000:
                before = len(taken)
                await checkpoint()
                steps.append(len(taken) - before)
        channel.close()
        sender.close()
    assert taken == [*range(2_000)]
    assert max(steps) <= 2 * AT_ONCE  # one that waited, and the one after it
