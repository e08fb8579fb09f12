"""Several things awaited side by side, one after the other only where there is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio

Job = Callable[[], Awaitable[None]]


async def together(jobs: Sequence[Job]) -> None:
    """Await all jobs, each in a task of its own; a single one needs none.

    Raises:
        Exception: What the first job that failed raised; the others are cancelled by then.
    """
    if len(jobs) < 2:
        for job in jobs:
            await job()
        return
    raised: list[Exception] = []
    async with anyio.create_task_group() as tasks:

        async def attempt(job: Job) -> None:
            try:
                await job()
            except Exception as error:  # not left to the task group, which would wrap it
                raised.append(error)
                tasks.cancel_scope.cancel()

        for job in jobs:
            tasks.start_soon(attempt, job)
    if raised:
        raise raised[0]
