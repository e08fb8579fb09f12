"""What keeps a plugin's process from being begun, and what a deployer can do about it."""

from __future__ import annotations

import errno
from typing import Final

from plughost.core.wire.births import SEVERAL_THREADS

_TO_DO: Final = {
    errno.EMFILE: "Raise the limit of open files of the host: `ulimit -n`, or LimitNOFILE of its systemd unit",
    errno.ENFILE: "The machine has too many files open: raise fs.file-max by sysctl",
    errno.EAGAIN: "Raise the limit of processes of its user or container: `ulimit -u`, TasksMax of its systemd unit, "
    "or --pids-limit of the container",
    errno.ENOMEM: "The machine or the container has no memory left for it",
    SEVERAL_THREADS: "the process of which those of plugins are forked has several threads, whose locks a fork would "
    "copy: something that runs in each interpreter begins them, such as sitecustomize or a .pth file of a profiler. "
    'Take that out, or write start = "fresh" into [plugins.NAME.process]',
    errno.ENOENT: "It has to be there for as long as the host runs; when Python was upgraded, start the host again",
    errno.EACCES: "The host's user must be allowed to run it",
}
_OTHERWISE: Final = (
    "It needs memfd_create, pidfd_open and fork of Linux 5.4 or newer, which a sandbox around the host may refuse. "
    'Allow them there, or take isolation = "process" out'
)


def in_words(error: OSError) -> str:
    """Return what is in the way and what can be done about it, for people."""
    if error.errno is None:
        return str(error)  # raised by plughost, which says both
    if error.errno == SEVERAL_THREADS:
        return _TO_DO[SEVERAL_THREADS]
    return f"{error}. {_TO_DO.get(error.errno, _OTHERWISE)}"
