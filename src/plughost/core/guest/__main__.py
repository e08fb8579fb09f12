"""``python -m plughost.core.guest``: started by a host, with descriptors that only it can give."""

from __future__ import annotations

import os
import sys

from plughost.core.guest.birth import settle_process
from plughost.core.guest.life import live
from plughost.core.guest.template import serve_forks
from plughost.core.wire.births import MOST_BYTES, Ends, unpacked
from plughost.core.wire.protocol import GuestSpec


def main(arguments: list[str]) -> None:
    """Be the template, or the process of one plugin."""
    settle_process()
    what, *numbers = arguments
    if what == "template":
        number, library = numbers
        serve_forks(int(number), library)
    reading, *ends = map(int, numbers)
    with os.fdopen(reading, "rb") as pipe:
        spec = unpacked(pipe.read(MOST_BYTES), GuestSpec)
    live(spec, Ends(*ends))


if __name__ == "__main__":
    main(sys.argv[1:])
