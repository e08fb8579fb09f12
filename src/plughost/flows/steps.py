"""A sequence of named steps, each with its undo: all of them are done, or none.

The pattern is the saga of Garcia-Molina and Salem (1987), in one process: when a step fails, what the steps
before it did is undone in reverse order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio
import msgspec

Work = Callable[[], Awaitable[object]]


class SagaStep(msgspec.Struct, frozen=True):
    """One step.

    Attributes:
        name: How reports call it.
        do: Does it.
        undo: Takes it back; None when there is nothing to take back.
        half_done: Its failure may leave half of it done, so it is undone as well when it fails itself.
    """

    name: str
    do: Work
    undo: Work | None = None
    half_done: bool = False


class Failure(msgspec.Struct):
    """What went wrong in a sequence, and what became of the steps before.

    Attributes:
        step: Name of the step that failed or was cancelled.
        error: What it raised.
        undone: Names of the steps that were undone, in the order they were.
        not_undone: Name and error of the steps whose undo failed.
    """

    step: str
    error: BaseException
    undone: list[str] = msgspec.field(default_factory=list)
    not_undone: dict[str, Exception] = msgspec.field(default_factory=dict)

    @property
    def cancelled(self) -> bool:
        """Whether nothing failed, but somebody called it off."""
        return not isinstance(self.error, Exception)


class StepError(Exception):
    """A step failed and those before it are undone; the cause is what it raised.

    Attributes:
        failure: What happened.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.step}: {failure.error}")
        self.failure = failure


async def run_steps(steps: Sequence[SagaStep], on_failure: Callable[[Failure], Awaitable[object]]) -> None:
    """Do the steps in order; when one fails or is cancelled, undo those before it, last one first.

    Undoing and ``on_failure`` are shielded from cancellation; what bounds them are the limits of the hooks
    they call. An undo that fails does not keep the others from being tried.

    Args:
        steps: What to do.
        on_failure: Awaited after the undoing, with what happened.

    Raises:
        StepError: A step failed. A cancellation is raised on as it is.
    """
    done: list[SagaStep] = []
    for step in steps:
        try:
            await step.do()
        except BaseException as error:
            failure = Failure(step.name, error)
            with anyio.CancelScope(shield=True):
                await _undo([*done, step] if step.half_done else done, failure)
                await on_failure(failure)
            if failure.cancelled:
                raise
            raise StepError(failure) from error
        done.append(step)


async def _undo(steps: Sequence[SagaStep], failure: Failure) -> None:
    for step in reversed(steps):
        if step.undo is None:
            continue
        try:
            await step.undo()
        except Exception as error:  # reported with the failure; the others are undone all the same
            failure.not_undone[step.name] = error
        else:
            failure.undone.append(step.name)
