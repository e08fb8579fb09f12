"""How a service is called from another process: by the members of its Protocol, if all of them can be.

What crosses is how the member was called, positions and keywords, so that defaults and names stay those of whoever
provides it. The values are written and read by the annotations of the Protocol; who only passes a call on, as the host
does between two plugins, needs to know nothing of them.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Final, NoReturn, Protocol

import msgspec

from plughost._dataclasses import dataclass
from plughost.contracts.plugin import Service
from plughost.contracts.value_text import class_name, value_text
from plughost.core.wire.codec import CannotCrossError, WireCodec, arguments_codec
from plughost.exceptions import NotCrossableError

_NO_MEMBERS: Final = frozenset(
    {"__init__", "__new__", "__subclasshook__", "__init_subclass__", "__class_getitem__"}
    | {"_abc_impl", "_is_protocol", "_is_runtime_protocol"}
)
_CANNOT_CROSS: Final = (TypeError, ValueError, msgspec.MsgspecError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCall:
    """One call of a member of a service.

    Attributes:
        service: Qualified name of its class.
        member: Name of the member.
        positional: How many arguments were given by position.
        keywords: Names of those that were given by name, which come after the others.
        arguments: The values, written by the annotations.
    """

    service: str
    member: str
    positional: int
    keywords: tuple[str, ...]
    arguments: bytes


Ask = Callable[[ServiceCall], Awaitable[bytes]]
"""Makes a call where the service is; returns what was written of its answer."""


class ServiceFace:
    """The members of a service that is called from another process.

    Attributes:
        name: Qualified name of its class.

    Args:
        plugin: Who provides or uses it from its own process, for messages.
        service: Its Protocol.

    Raises:
        NotCrossableError: It is not a Protocol, or has a member that cannot be called from another process.
    """

    def __init__(self, plugin: str, service: Service[Any]) -> None:
        if not isinstance(service, type):
            raise TypeError(f"a service is asked for by its Protocol, not by {value_text(service)}")
        self.name = class_name(service)
        self._plugin = plugin
        if not getattr(service, "_is_protocol", False):
            self._refuse("", "it is a class, and no Protocol that says what can be called")
        self._members = {name: self._member(name, value) for name, value in _members_of(service).items()}

    def stand_in(self, ask: Ask) -> object:
        """Return an object whose members make calls."""
        members = {name: _calling(self, name, member, ask) for name, member in self._members.items()}
        name = f"{self.name.rpartition('.')[2]} of another process"
        return type(name, (), {"__slots__": (), "__module__": __name__, **members})()

    async def serve(self, value: object, call: ServiceCall) -> bytes:
        """Make a call that came from another process; only what the Protocol declares can be called.

        Raises:
            AttributeError: It declares no such member.
            Exception: What the member raised.
        """
        member = self._members.get(call.member)
        if member is None:
            raise AttributeError(f"{self.name} has no member {call.member!r}")
        given = member.codec(call.positional, call.keywords).read(memoryview(call.arguments))
        named = dict(zip(call.keywords, given[call.positional :], strict=True))
        answer = await getattr(value, call.member)(*given[: call.positional], **named)
        return self.written(call.member, "return", member.answer, answer)

    def written(self, member: str, what: str, codec: WireCodec, value: Any) -> bytes:
        """Return what is written of a value.

        Raises:
            NotCrossableError: It cannot leave its process.
        """
        buffer = bytearray()
        try:
            codec.put(value, buffer, 0)
        except _CANNOT_CROSS as error:
            part = "its answer" if what == "return" else "one of its arguments"
            raise NotCrossableError(
                f"{self.name}.{member} was called across processes, and {part} cannot leave its own: {error}",
                plugin=self._plugin,
                hook=f"{self.name}.{member}",
                argument=what,
            ) from None
        return bytes(buffer)

    def _member(self, name: str, value: Any) -> Member:
        if not inspect.iscoroutinefunction(value):
            self._refuse(name, "it is no `async def`")
        try:
            signature = inspect.signature(value)
            hints = typing.get_type_hints(value, include_extras=True)
        except Exception as error:
            self._refuse(name, f"its annotations cannot be read: {error}")
        parameters = [*signature.parameters.values()][1:]  # without self
        answer = self._crossing(name, "answer", hints.get("return", Any))
        for one in parameters:
            if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
                self._refuse(name, f"it takes any number of arguments as {one.name!r}")
            self._crossing(name, f"argument {one.name!r}", hints.get(one.name, Any))
        return Member(signature.replace(parameters=parameters), hints, answer, value.__doc__)

    def _crossing(self, member: str, part: str, annotation: Any) -> WireCodec:
        try:
            return WireCodec(annotation)
        except CannotCrossError as error:
            self._refuse(member, f"its {part} cannot leave its process, because {error}")

    def _refuse(self, member: str, reason: str) -> NoReturn:
        which = f"of the service {self.name} the member {member!r}" if member else f"the service {self.name}"
        raise NotCrossableError(
            f"plugin {self._plugin!r} lives in a process of its own, and {which} cannot be called from one process "
            f"in another: {reason}. Declare a Protocol whose members are all `async def` and take and return data, "
            f'or take isolation = "process" out of [plugins.{self._plugin}]',
            plugin=self._plugin,
            hook=f"{self.name}.{member}" if member else self.name,
        )


class Member:
    """One member, and how its values cross.

    Attributes:
        signature: What it takes, without ``self``.
        answer: How its answer crosses.
        doc: What it says of itself.
        codec: The codec of arguments that are given in this way: so many by position, then those names.
    """

    def __init__(
        self, signature: inspect.Signature, hints: dict[str, Any], answer: WireCodec, doc: str | None
    ) -> None:
        self.signature = signature
        self.answer = answer
        self.doc = doc

        @lru_cache(maxsize=64)
        def codec(positional: int, keywords: tuple[str, ...]) -> WireCodec:
            names = [*signature.parameters]
            if positional > len(names) or not set(keywords) <= set(names):
                raise TypeError(f"it takes {', '.join(names) or 'no arguments'}")
            return arguments_codec([hints.get(name, Any) for name in (*names[:positional], *keywords)])

        self.codec = codec


def _calling(face: ServiceFace, name: str, member: Member, ask: Ask) -> Any:
    async def call(_: object, /, *arguments: Any, **named: Any) -> Any:
        member.signature.bind(*arguments, **named)  # TypeError as of any function
        keywords = tuple(named)
        codec = member.codec(len(arguments), keywords)
        values = face.written(name, "arguments", codec, (*arguments, *named.values()))
        answer = await ask(
            ServiceCall(
                service=face.name,
                member=name,
                positional=len(arguments),
                keywords=keywords,
                arguments=values,
            )
        )
        return member.answer.read(memoryview(answer))

    call.__name__ = name
    call.__doc__ = member.doc
    return call


def _members_of(protocol: type) -> dict[str, Any]:
    """Return what a Protocol declares, with the Protocols it derives from; attributes without a value too."""
    found: dict[str, Any] = {}
    for base in reversed(protocol.__mro__):
        if base is Protocol or base is typing.Generic or not getattr(base, "_is_protocol", False):
            continue
        facts = vars(base)
        found.update(dict.fromkeys(facts.get("__annotations__", ()), None))
        for name, value in facts.items():
            is_function = inspect.isfunction(value)
            if name in _NO_MEMBERS or (name.startswith("__") and not is_function):
                continue
            found[name] = value
    return found
