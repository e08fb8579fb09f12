"""Figures of all processes that serve one host together, told by whichever of them is asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec
from anyio.abc import SocketStream
from prometheus_client.core import GaugeMetricFamily, Metric

from plughost.contracts.error_text import error_line
from plughost.contracts.logs import get_logger

_PATIENCE = 2.0
"""Seconds within which the others must have told theirs: Prometheus waits for ten."""

_OUT_OF_DESCRIPTORS = 1.0
"""Seconds until it is tried again when the operating system gives no connection out."""

_log = get_logger("plughost.http")


class _Family(msgspec.Struct, frozen=True, array_like=True):
    """A family of figures on its way."""

    name: str
    help: str
    kind: str
    samples: tuple[tuple[str, dict[str, str], float], ...]


class SharedFigures:
    """What the workers of one ``plughost serve`` tell each other when one of them is asked for all figures.

    Args:
        folder: Where each of them listens; nobody else may look into it.
        number: Which of them this one is.
        workers: How many there are.
        own: Returns the figures of this one, which bear its number.
        patience: Seconds within which the others must have told theirs.
    """

    def __init__(
        self,
        folder: Path,
        number: int,
        workers: int,
        own: Callable[[], Awaitable[Sequence[Metric]]],
        patience: float = _PATIENCE,
    ) -> None:
        self._places = {each: folder / f"{each}.figs" for each in range(workers)}
        self._number = number
        self._own = own
        self._patience = patience

    async def listen(self) -> None:
        """Tell this one's figures to whichever other asks, until cancelled."""
        try:
            listener = await anyio.create_unix_listener(self._places[self._number])
        except OSError as error:
            _log.warning("the other workers cannot ask for figures", reason=str(error))
            return
        async with listener, anyio.create_task_group() as telling:
            while True:
                try:
                    await listener.serve(self._tell, telling)
                except (OSError, anyio.BrokenResourceError) as error:  # requests are worth more than figures
                    _log.warning(
                        "other workers cannot ask for figures now",
                        reason=error_line(error.__cause__ or error),
                    )
                    await anyio.sleep(_OUT_OF_DESCRIPTORS)

    async def of_all(self) -> Sequence[Metric]:
        """Return the figures of all that tell theirs in time, and which did."""
        found: dict[int, Sequence[_Family]] = {self._number: _packed(await self._own())}

        async def ask(number: int) -> None:
            with suppress(OSError, msgspec.MsgspecError, anyio.BrokenResourceError):
                async with await anyio.connect_unix(self._places[number]) as connection:
                    told = b"".join([piece async for piece in connection])
                found[number] = msgspec.msgpack.decode(told, type=tuple[_Family, ...])

        with anyio.move_on_after(self._patience):
            async with anyio.create_task_group() as asking:
                for number in self._places.keys() - {self._number}:
                    asking.start_soon(ask, number)
        up = GaugeMetricFamily(
            "plughost_worker_up", "Whether the figures of this worker are here", labels=("worker",)
        )
        for number in self._places:
            up.add_metric((str(number),), number in found)
        return [up, *_merged(family for number in sorted(found) for family in found[number])]

    async def _tell(self, connection: SocketStream) -> None:
        async with connection:
            try:
                await connection.send(msgspec.msgpack.encode(_packed(await self._own())))
            except anyio.BrokenResourceError:
                pass  # whoever asked did not wait
            except Exception as error:  # perhaps a plugin's: what else this worker does goes on
                _log.error("figures cannot be told to another worker", reason=error_line(error))


def _packed(metrics: Sequence[Metric]) -> list[_Family]:
    return [
        _Family(
            one.name,
            one.documentation,
            one.type,
            tuple((sample.name, dict(sample.labels), float(sample.value)) for sample in one.samples),
        )
        for one in metrics
    ]


def _merged(families: Iterable[_Family]) -> Iterable[Metric]:
    """Return each family once, as the format wants it, with the samples of all workers."""
    merged: dict[str, Metric] = {}
    for family in families:
        metric = merged.setdefault(family.name, Metric(family.name, family.help, family.kind))
        if metric.type != family.kind:  # they have different versions of a plugin, in the midst of a reload
            _log.warning("metric family of a worker left out", name=family.name, kind=family.kind)
            continue
        for name, labels, value in family.samples:
            metric.add_sample(name, labels, value)
    return merged.values()
