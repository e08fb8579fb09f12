"""A page of memory that a host and a plugin's process share: what the process is at, and where it stood.

It is read when the process does not answer any more, or is gone. The first part is the flight recorder: the call that
is being stepped now. The rest is a file into which ``faulthandler`` writes stacks, without the interpreter's help.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
import tempfile
from typing import Final

from plughost.contracts.visible import writable

_STEPPING: Final = struct.Struct("<IH")
_OWNER: Final = struct.Struct("<I")
_OWNER_AT: Final = 64
_LAST_WORDS_AT: Final = 128
_MOST_LAST_WORDS: Final = 1_000  # bytes
_STACKS_AT: Final = 4096
_SIZE: Final = _STACKS_AT + 65_536
_TWIN: Final = (
    b"a process that the plugin forked returned from its function and was ended: end it by os._exit()\n"
)
_NOTHING: Final = _STEPPING.pack(0, 0)


def new_page(plugin: str) -> int:
    """Return the descriptor of a new page, of a size that nobody can change."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            os.ftruncate(file.fileno(), _SIZE)
            return os.dup(file.fileno())
    page = os.memfd_create(page_name(plugin), os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(page, _SIZE)
    fcntl.fcntl(page, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return page


def page_name(plugin: str) -> str:
    """Return what the page of a plugin is called in ``/proc/PID/fd`` of the host."""
    return f"plughost plugin {plugin}"


def leave_word(page: int, words: str) -> None:
    """Say in the page why the process ends, where nobody else will tell."""
    with contextlib.suppress(OSError):
        os.pwrite(page, _last_words(words), _LAST_WORDS_AT)


def _last_words(words: str) -> bytes:
    return writable(words).encode()[:_MOST_LAST_WORDS]


class FlightRecorder:
    """Notes in the page what is being stepped; in the plugin's process.

    Attributes:
        page: Descriptor of the page, where stacks are written to.
    """

    def __init__(self, page: int) -> None:
        self.page = page
        self._map = mmap.mmap(page, _SIZE)
        _OWNER.pack_into(self._map, _OWNER_AT, os.getpid())
        os.lseek(page, _STACKS_AT, os.SEEK_SET)
        self._is_copy = False

    def leave_word(self, words: str) -> None:
        """Say why the process ends, also when its files are closed."""
        self._map[_LAST_WORDS_AT : _LAST_WORDS_AT + _MOST_LAST_WORDS] = _last_words(words).ljust(
            _MOST_LAST_WORDS, b"\0"
        )

    def be_copied(self) -> None:
        """This is a process that the plugin forked: what is stepped here is none of the host's calls."""
        self._is_copy = True

    def begin(self, call: int, member: int) -> None:
        """A call is being stepped from now on."""
        _STEPPING.pack_into(self._map, 0, call, member)

    def end(self) -> None:
        """Nothing is. A copy of the process ends here: it would go on with the calls that the process answers."""
        if self._is_copy:
            os.write(2, _TWIN)
            os._exit(0)
        self._map[: _STEPPING.size] = _NOTHING


class FlightReader:
    """Reads the page; in the host.

    Args:
        page: Its descriptor, which is closed with this.
    """

    def __init__(self, page: int) -> None:
        self._page = page
        self._map = mmap.mmap(page, _SIZE, access=mmap.ACCESS_READ)
        self._last: bytes | None = None
        self._position = 0

    def stepping(self) -> tuple[int, int]:
        """Return call and member that are being stepped; zeros for none."""
        call, member = _STEPPING.unpack_from(self._bytes(), 0)
        return call, member

    def owner(self) -> int:
        """Return the number of the process, as that says itself; 0 before it does."""
        (pid,) = _OWNER.unpack_from(self._bytes(), _OWNER_AT)
        return int(pid)

    def last_words(self) -> str:
        """Return why the process ended, as that says itself, in one line; empty when it said nothing."""
        said = bytes(self._bytes()[_LAST_WORDS_AT : _LAST_WORDS_AT + _MOST_LAST_WORDS]).partition(b"\0")[0]
        shown = (one if one.isprintable() else " " for one in said.decode(errors="replace"))
        return " ".join("".join(shown).split())

    def stacks(self) -> str:
        """Return what was written of stacks since the page was turned, for people."""
        return bytes(self._bytes()[_STACKS_AT:]).partition(b"\0")[0].decode(errors="replace")

    @property
    def is_full(self) -> bool:
        """Whether there was no room for all that was to be written."""
        return bytes(self._bytes()[-1:]) != b"\0"

    def since(self, before: str) -> str:
        """Return what was written of stacks since they were ``before``; all when the page was turned meanwhile."""
        now = self.stacks()
        return now[len(before) :] if now.startswith(before) else now

    def turn(self, *, at_rest: bool) -> None:
        """Make room for further stacks where half of it is taken.

        The process goes on writing at the beginning, because it writes through the descriptor that it was given, of
        which this one is a copy: they have one position.

        Args:
            at_rest: Only when nothing was written since this was last asked: somebody may be about to read it.
        """
        if self._last is not None:
            return
        position, self._position = self._position, os.lseek(self._page, 0, os.SEEK_CUR)
        is_due = self._position > _SIZE // 2 and (position == self._position or not at_rest)
        if is_due:
            os.pwrite(self._page, bytes(_SIZE - _STACKS_AT), _STACKS_AT)
            os.lseek(self._page, _STACKS_AT, os.SEEK_SET)

    def close(self) -> None:
        """Let go of it; who still reads it, such as one who waits for stacks, reads what it was at last."""
        self._last = bytes(self._map)
        with contextlib.suppress(OSError):
            os.close(self._page)
        self._map.close()

    def _bytes(self) -> bytes | mmap.mmap:
        return self._map if self._last is None else self._last
