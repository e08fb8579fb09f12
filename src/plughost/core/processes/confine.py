"""Keeping a plugin's own process to what the deployer lets it touch: Landlock, seccomp, and no privileges.

It fails closed: what the kernel cannot keep keeps the plugin from starting, unless the deployer asked for the best
that can be had.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from plughost.contracts.counting import counted
from plughost.contracts.processes import Confinement
from plughost.core.processes import landlock, seccomp
from plughost.core.processes.figures import threads_here
from plughost.core.processes.places import Places, PluginCode, code_in_use
from plughost.core.processes.refusals import refusals
from plughost.core.processes.system_calls import MACHINE, control, give_up_capabilities, knows_machine
from plughost.exceptions import PluginProcessError

_SYSTEMS: Final = {"darwin": "macOS", "win32": "Windows"}
_DUMPABLE, _NO_NEW_PRIVILEGES = 4, 38


def confine(plugin: str, wanted: Confinement, *, data_dir: Path, code: PluginCode) -> tuple[str, ...]:
    """Confine this process for good; called in the plugin's own process, while it has one thread.

    Args:
        plugin: Its name, for messages.
        wanted: What the deployer allows it.
        data_dir: Its folder, which it may write in any case; temporary files go there too.
        code: Where its code lies, which it may read in any case.

    Returns:
        What holds, and with ``best_effort`` what does not, a few words each.

    Raises:
        PluginProcessError: A part of it is not to be had here, or something that the table names is not there. The
            process must not go on then: some of it may hold already.
    """
    missing = [*lacking(wanted), *_lacking_one_thread(wanted)]
    if missing and not wanted.best_effort:
        raise PluginProcessError(
            f"plugin {plugin!r} was not started, because it cannot be confined here as "
            f"[plugins.{plugin}.process.confine] asks. Missing is {'; '.join(missing)}. Mend that, or set "
            f"best_effort = true in that table: the plugin is then started without it, and its record says so",
            plugin=plugin,
        )
    not_kept = [f"not kept: {part}" for part in missing]
    if sys.platform != "linux":
        return tuple(not_kept)
    try:
        return (*_apply(plugin, wanted, data_dir, code), *not_kept)
    except OSError as error:
        raise PluginProcessError(
            f"plugin {plugin!r} was not started, because it cannot be confined: {error}. What the kernel refuses a "
            f"whole container can be seen with `plughost doctor` in it",
            plugin=plugin,
        ) from error


def lacking(wanted: Confinement, *, platform: str = sys.platform) -> list[str]:
    """Say which parts of a confinement this machine cannot keep, in words; empty when it can keep all of it."""
    if platform != "linux":
        system = _SYSTEMS.get(platform, platform)
        return [
            f"all of it: it is made of Landlock and seccomp of the Linux kernel, which {system} does not have"
        ]
    missing, parts = _lacking_landlock(wanted), "network, programs and other processes"
    if not knows_machine():
        missing.append(
            f"{parts}: plughost knows the system calls of x86_64 and aarch64, not those of {MACHINE}"
        )
    elif not seccomp.is_available():
        missing.append(f"{parts}: this kernel lets this process have no seccomp filter")
    if wanted.user and os.geteuid() != 0:
        missing.append(f"user {wanted.user}: only a host that runs as root can give a plugin another user")
    return missing


def _lacking_landlock(wanted: Confinement) -> list[str]:
    abi = landlock.abi_of_kernel()
    if abi < landlock.FILES:
        return [f"files: Landlock is not to be had, because {landlock.why_not()}"]
    needed = [(landlock.TRUNCATE, "shortening files", "6.2")]
    if wanted.programs:
        needed.append((landlock.SIGNALS, "signals to other processes while programs = true", "6.12"))
    return [
        f"{what}: this needs Landlock ABI {least} (Linux {linux}), and this kernel has {abi}"
        for least, what, linux in needed
        if abi < least
    ]


def _lacking_one_thread(wanted: Confinement) -> list[str]:
    others = threads_here() - 1
    if others == 0:
        return []
    cure = "" if wanted.strict else "; strict = true confines before the import"
    before = counted(
        others, "thread that was there before, such as one", "threads that were there before, such as those"
    )
    return [f"{before} that its import began{cure}"]


def _apply(plugin: str, wanted: Confinement, data_dir: Path, code: PluginCode) -> list[str]:
    # temporary files lie where they can be written
    folder = data_dir / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("TMPDIR", "SQLITE_TMPDIR"):
        os.environ[name] = str(folder)
    tempfile.tempdir = None
    named = [*wanted.read, *wanted.write]
    _must_be_there(plugin, named)
    places = Places.of(wanted, data_dir, code)
    used = [*code_in_use(code), data_dir, *named]
    control(_NO_NEW_PRIVILEGES, 1)
    kept = []
    if os.geteuid() == 0:
        _become(plugin, wanted.user, data_dir)
        if wanted.user:
            _must_reach(plugin, wanted.user, used)
            kept.append(f"user {wanted.user}")
    give_up_capabilities()
    control(_DUMPABLE, 0)
    kept.append("no privileges")
    if landlock.abi_of_kernel() >= landlock.FILES:
        landlock.restrict(
            read=places.read, write=places.write, names=places.names, run=places.run, tcp=wanted.network
        )
        kept.append(f"files (Landlock ABI {landlock.abi_of_kernel()})")
    if knows_machine() and seccomp.is_available():
        seccomp.refuse(refusals(wanted))
        kept.append("other processes")
        kept += [] if wanted.network else ["no network"]
        kept += [] if wanted.programs else ["no programs"]
    return kept


def _must_be_there(plugin: str, places: Iterable[Path]) -> None:
    for place in places:
        if not place.exists():
            raise PluginProcessError(
                f"[plugins.{plugin}.process.confine] names {place}, which is not there: create it, or correct the path",
                plugin=plugin,
            )


def _become(plugin: str, user: str, data_dir: Path) -> None:
    """Take another user, or stay root, and own the data folder: without privileges root is a user like others."""
    import pwd

    try:
        entry = pwd.getpwnam(user) if user else pwd.getpwuid(0)
    except KeyError:
        raise PluginProcessError(
            f"[plugins.{plugin}.process.confine] says user = {user!r}, and there is no such user: create it, or "
            f"correct the name",
            plugin=plugin,
        ) from None
    for _, folders, files, here in os.fwalk(data_dir, follow_symlinks=False):
        os.fchown(here, entry.pw_uid, entry.pw_gid)
        for name in (*folders, *files):
            # One with a second name may lie elsewhere, too, and be somebody else's there.
            if name in folders or os.stat(name, dir_fd=here, follow_symlinks=False).st_nlink == 1:
                os.chown(name, entry.pw_uid, entry.pw_gid, dir_fd=here, follow_symlinks=False)
    if user:
        os.setgroups([])
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)


def _must_reach(plugin: str, user: str, places: Iterable[Path]) -> None:
    for place in places:
        if not os.access(place, os.R_OK):
            raise PluginProcessError(
                f"plugin {plugin!r} cannot run as user {user!r}, who may not read {place}: let that user into it and "
                f"into the folders above it, or choose another user",
                plugin=plugin,
            )
