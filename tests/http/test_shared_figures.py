"""Figures of several workers: one answer has them all, each family once, and says who did not tell theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from anyio.abc import SocketStream
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from plughost.http import shared_figures
from plughost.http.metrics import own_figures
from plughost.http.shared_figures import SharedFigures

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder():  # paths of sockets may have 107 signs, which pytest's own folders come close to
    with TemporaryDirectory(prefix="plughost-") as folder:
        yield Path(folder)


async def letters(worker: int, count: float = 1.0) -> Sequence[Metric]:
    found = CounterMetricFamily("letters", "Letters", labels=("worker",))
    found.add_metric((str(worker),), count)
    return [found]


@asynccontextmanager
async def listening(*shared: SharedFigures) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        for one in shared:
            tasks.start_soon(one.listen)
        for one in shared:
            await reached(one._places[one._number])
        yield
        tasks.cancel_scope.cancel()


async def reached(place: Path) -> None:
    while True:
        with suppress(OSError):
            await (await anyio.connect_unix(place)).aclose()
            return
        await anyio.sleep(0.01)


def told(families: Sequence[Metric], name: str) -> dict[str, float]:
    return {
        sample.labels["worker"]: sample.value
        for one in families
        for sample in one.samples
        if one.name == name
    }


async def test_whoever_is_asked_tells_the_figures_of_all_each_family_once(folder: Path) -> None:
    all_of_them = [SharedFigures(folder, n, 3, partial(letters, n, 2.0**n), patience=30) for n in range(3)]
    async with listening(*all_of_them):
        for one in all_of_them:
            families = await one.of_all()
            assert sorted(family.name for family in families) == ["letters", "plughost_worker_up"]
            assert told(families, "letters") == {"0": 1, "1": 2, "2": 4}
            assert told(families, "plughost_worker_up") == {"0": 1, "1": 1, "2": 1}


async def silent(connection: SocketStream) -> None:
    async with connection:
        await anyio.sleep_forever()


async def odd(connection: SocketStream) -> None:
    async with connection:
        await connection.send(b"\xff\x00 what is no figure")


@pytest.mark.parametrize("answer", [silent, odd, None])
async def test_a_worker_that_tells_nothing_readable_is_named_and_keeps_nobody(
    folder: Path, answer: object
) -> None:
    one = SharedFigures(folder, 0, 2, partial(letters, 0), patience=30 if answer is odd else 0.05)
    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        if answer is not None:
            other = await stack.enter_async_context(await anyio.create_unix_listener(folder / "1.figs"))
            tasks.start_soon(other.serve, answer)
        families = await one.of_all()
        assert told(families, "letters") == {"0": 1}
        assert told(families, "plughost_worker_up") == {"0": 1, "1": 0}
        tasks.cancel_scope.cancel()


async def test_a_family_that_is_of_another_kind_elsewhere_is_left_out_and_nothing_else(folder: Path) -> None:
    async def gauge() -> Sequence[Metric]:
        found = GaugeMetricFamily("letters", "Letters", labels=("worker",))
        found.add_metric(("1",), 5)
        return [found, GaugeMetricFamily("stamps", "Stamps", 7)]

    one, other = SharedFigures(folder, 0, 2, partial(letters, 0), 30), SharedFigures(folder, 1, 2, gauge)
    async with listening(other):
        families = await one.of_all()
    assert told(families, "letters") == {"0": 1}
    assert "stamps" in {family.name for family in families}


async def test_a_place_where_nobody_can_listen_leaves_a_worker_with_its_own(folder: Path) -> None:
    one = SharedFigures(folder / ("a" * 200), 0, 2, partial(letters, 0))
    await one.listen()
    assert told(await one.of_all(), "letters") == {"0": 1}


async def test_one_that_went_before_leaves_its_place_to_the_next(folder: Path) -> None:
    for count in (1.0, 2.0):
        mine = SharedFigures(folder, 0, 2, partial(letters, 0, count))
        other = SharedFigures(folder, 1, 2, partial(letters, 1, count), patience=30)
        async with listening(mine):
            assert told(await other.of_all(), "letters") == {"0": count, "1": count}


async def test_the_metrics_of_a_worker_are_those_of_all(serve, folder: Path) -> None:
    async with serve() as served:
        runtime = served.app.runtime
        runtime.host.worker = 0
        runtime.shared_figures = SharedFigures(folder, 0, 2, partial(own_figures, runtime), patience=30)
        async with (
            listening(SharedFigures(folder, 1, 2, partial(letters, 1))),
            served.client(token=served.token("metrics")) as client,
        ):
            text = (await client.get("/metrics")).text
        families = list(text_string_to_metric_families(text))
        assert told(families, "plughost_ready") == {"0": 1}
        assert told(families, "letters") == {"1": 1}
        assert all("worker" in sample.labels for one in families for sample in one.samples)


async def test_a_worker_whose_figures_cannot_be_read_goes_on_and_is_asked_again(folder: Path) -> None:
    answers = [ValueError("a family of a plugin"), None]

    async def first_broken() -> Sequence[Metric]:
        if (failure := answers.pop(0)) is not None:
            raise failure
        return await letters(1)

    one, other = (
        SharedFigures(folder, 0, 2, partial(letters, 0), 30),
        SharedFigures(folder, 1, 2, first_broken),
    )
    listener = await anyio.create_unix_listener(folder / "1.figs")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, other._tell)
        assert told(await one.of_all(), "plughost_worker_up") == {"0": 1, "1": 0}
        assert told(await one.of_all(), "plughost_worker_up") == {"0": 1, "1": 1}
        tasks.cancel_scope.cancel()


async def test_a_worker_that_has_no_descriptor_left_for_who_asks_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = [anyio.BrokenResourceError(), anyio.BrokenResourceError()]
    listener = await anyio.create_unix_listener(folder / "1.figs")
    accept = listener.accept

    async def full_at_first() -> SocketStream:
        if refusals:
            raise refusals.pop()
        return await accept()

    async def made(path: Path) -> object:
        return listener

    monkeypatch.setattr(listener, "accept", full_at_first)
    monkeypatch.setattr(anyio, "create_unix_listener", made)
    monkeypatch.setattr(shared_figures, "_OUT_OF_DESCRIPTORS", 0.0)
    one, other = (SharedFigures(folder, n, 2, partial(letters, n), patience=30) for n in range(2))
    async with listening(other):
        assert told(await one.of_all(), "letters") == {"0": 1, "1": 1}
    assert not refusals
