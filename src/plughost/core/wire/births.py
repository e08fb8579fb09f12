"""What a host and its template say to each other, so that a plugin's process begins."""

from __future__ import annotations

import errno
import os
import struct
from typing import Final, TypeVar

import msgspec

from plughost._dataclasses import dataclass
from plughost.core.wire.protocol import GuestSpec

READY: Final = b"R"
"""A message: the template is there."""

BORN: Final = b"B"
"""A message: a process was forked; its number comes with it, and a descriptor that stands for it."""

ENDED: Final = b"E"
"""A message: one ended; its number, its status as from ``os.wait``, and the most memory it used, in kilobytes."""

MESSAGE: Final = struct.Struct("=ciiq")
"""Kind, number of the process, status, kilobytes. A negative number stands for an error of the system."""

SEVERAL_THREADS: Final = errno.EDEADLK
"""What the template answers when it has several threads, and so must not fork."""

ENDS: Final = 4
"""Descriptors that go with a request; see ``Ends``."""

MOST_BYTES: Final = 200_000
"""Bytes of a request."""

_KEPT: Final = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "TERM",
        "XDG_RUNTIME_DIR",
    }
    | {"LD_LIBRARY_PATH", "PYTHONHOME"}  # without which some interpreters do not start
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "VIRTUAL_ENV", "SYSTEMROOT"}
)
"""Variables that a plugin's process keeps, beside those of the locale; secrets of the host are in the others."""


@dataclass(frozen=True, slots=True)
class Ends:
    """What a plugin's process is handed: descriptors, in the order they are sent.

    Attributes:
        channel: Its end of the channel.
        leash: A pipe that the host holds the other end of for as long as it lives.
        output: Where its standard streams go.
        page: The page it shares with the host.
    """

    channel: int
    leash: int
    output: int
    page: int

    def all(self) -> tuple[int, int, int, int]:
        """All of them."""
        return self.channel, self.leash, self.output, self.page


class Request(msgspec.Struct, frozen=True):
    """What the template is asked for.

    Attributes:
        spec: The process to begin.
        interpreter: The interpreter to start; empty for a fork of the template.
    """

    spec: GuestSpec
    interpreter: str = ""


M = TypeVar("M")


def packed(message: Request | GuestSpec) -> bytes:
    """Return a message as bytes; a path crosses as its text."""
    return msgspec.msgpack.encode(message, enc_hook=os.fspath)


def unpacked(data: bytes, kind: type[M]) -> M:
    """Return the message of that kind again.

    Raises:
        msgspec.DecodeError: It is not one.
    """
    return msgspec.msgpack.decode(data, type=kind, dec_hook=lambda wanted, value: wanted(value))


def scrubbed_environment() -> dict[str, str]:
    """Return the variables that a plugin's process may see."""
    return {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")}
