"""How processes of one machine wake each other: a named pipe for each that listens, and nothing to do until then."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

import anyio

from plughost.contracts import Word, own_folder

_STEP, _EVENT = b"s", b"e"


class Words:
    """The pipes of one fleet.

    Args:
        folder: Where they lie; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pipe: Path | None = None
        self._reading = -1

    async def wait(self) -> Word:
        """Return what another process told, or this one.

        Raises:
            OSError: No pipe can be made there.
        """
        if self._reading < 0:
            self._pipe = own_folder(self._folder) / f"{os.getpid()}-{secrets.token_hex(4)}"
            os.mkfifo(self._pipe, 0o600)
            # Open for both, or it would end whenever the last writer closes it.
            self._reading = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        await anyio.wait_readable(self._reading)
        try:
            heard = os.read(self._reading, 4096)
        except BlockingIOError:
            return Word()
        return Word(step=_STEP in heard, event=_EVENT in heard)

    def tell(self, word: Word) -> None:
        """Wake everybody who waits; the pipes of processes that died are removed."""
        with contextlib.suppress(OSError):
            for pipe in self._folder.iterdir():
                try:
                    writing = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
                except OSError:
                    pipe.unlink(missing_ok=True)
                    continue
                with contextlib.suppress(OSError):  # it is full: whoever reads it will wake
                    os.write(writing, _STEP * word.step + _EVENT * word.event)
                os.close(writing)

    def close(self) -> None:
        """Remove this process's pipe."""
        if self._reading >= 0 and self._pipe is not None:
            os.close(self._reading)
            self._pipe.unlink(missing_ok=True)
        self._reading = -1
