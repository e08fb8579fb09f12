"""What a type checker knows about services; read by mypy, never run."""

from __future__ import annotations

from typing import Protocol, assert_type

from plughost import Host, PluginContext


class Mailer(Protocol):
    def send(self, text: str) -> None: ...


class Queue:
    """Answers for the Protocol without naming it."""

    def send(self, text: str) -> None: ...


def a_protocol_is_provided_by_whatever_implements_it(context: PluginContext, queue: Queue) -> None:
    context.provide(Mailer, queue)
    context.provide(Queue, queue)


def what_is_used_has_the_type_it_is_asked_for_by(context: PluginContext, host: Host) -> None:
    assert_type(context.use(Mailer), Mailer)
    assert_type(host.use(Mailer), Mailer)
    assert_type(context.use(Queue), Queue)
