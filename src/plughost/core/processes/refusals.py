"""Which system calls a confined plugin is refused: what Landlock does not guard, and what nobody needs for its work."""

from __future__ import annotations

import errno
import os
from typing import Final

from plughost.contracts.processes import Confinement
from plughost.core.processes.seccomp import Only, Rule

_THREAD: Final = 0x00010000
_NAMESPACES: Final = 0x7E020000
"""All of ``CLONE_NEW...`` but the one for time, whose bit means something else to ``clone``."""

_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_STREAM, _SEQPACKET = 1, 5
_KIND_OF_SOCKET: Final = 0xF

_SET_OWNER, _SET_OWNER_TOO = 8, 15
_TYPE_FOR_USER, _CONSOLE, _OWN_FILE, _OWN_SOCKET = 0x5412, 0x541C, 0x8901, 0x8902

_NEVER: Final = (
    # other processes
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp"),
    *("pidfd_getfd", "perf_event_open"),
    # the machine
    *(
        "mount",
        "umount2",
        "pivot_root",
        "chroot",
        "open_tree",
        "open_tree_attr",
        "move_mount",
        "fsopen",
        "fsconfig",
    ),
    *(
        "fsmount",
        "fspick",
        "mount_setattr",
        "unshare",
        "setns",
        "kexec_load",
        "kexec_file_load",
        "init_module",
    ),
    *(
        "finit_module",
        "delete_module",
        "reboot",
        "swapon",
        "swapoff",
        "acct",
        "quotactl",
        "quotactl_fd",
        "syslog",
    ),
    *(
        "settimeofday",
        "clock_settime",
        "clock_adjtime",
        "adjtimex",
        "sethostname",
        "setdomainname",
        "iopl",
        "ioperm",
    ),
    *(
        "vhangup",
        "nfsservctl",
        "lookup_dcookie",
        "uselib",
        "modify_ldt",
        "personality",
        "bpf",
        "fanotify_init",
    ),
    # ways around a filter, or around what guards files
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd"),
    *("open_by_handle_at", "name_to_handle_at"),
    # what processes of one user share without a file
    *(
        "add_key",
        "request_key",
        "keyctl",
        "shmget",
        "shmat",
        "shmctl",
        "semget",
        "semop",
        "semtimedop",
        "semctl",
    ),
    *("msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink"),
)

_ABOUT_FILES: Final = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "file_setattr"),
    *("setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr"),
    *("removexattrat", "utime", "utimes", "futimesat", "utimensat"),
)
"""Landlock lets them pass, wherever the file lies; another user's files are safe from them in any case."""


def refusals(wanted: Confinement) -> list[Rule]:
    """Return the rules for the process that calls this."""
    rules = [Rule(name) for name in _NEVER]
    rules += _about_other_processes(os.getpid(), wanted.programs)
    rules += _about_beginning_processes(wanted.programs)
    rules += _about_sockets(wanted.network)
    if not wanted.user:
        rules += [Rule(name) for name in _ABOUT_FILES]
    return rules


def _about_other_processes(me: int, has_programs: bool) -> list[Rule]:
    mine = Only(0, (0, me))
    rules = [
        Rule("prlimit64", (mine,)),
        Rule("sched_setattr", (mine,)),
        Rule("sched_setparam", (mine,)),
        Rule("sched_setscheduler", (mine,)),
        Rule("setpriority", (Only(0, (0,)), Only(1, (0, me)))),
        Rule("ioprio_set", (Only(0, (1,)), Only(1, (0, me)))),
        # A file can be told whom to signal, and a terminal what its user types.
        Rule("fcntl", (Only(1, (_SET_OWNER, _SET_OWNER_TOO), other=True),)),
        Rule("ioctl", (Only(1, (_TYPE_FOR_USER, _CONSOLE, _OWN_FILE, _OWN_SOCKET), other=True),)),
    ]
    if has_programs:
        return rules  # it may stop what it began; Landlock keeps it from signalling others
    signals = ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
    return [
        *rules,
        *(Rule(name, (Only(0, (me,)),)) for name in signals),
        Rule("tkill"),
        Rule("pidfd_send_signal"),
    ]


def _about_beginning_processes(has_programs: bool) -> list[Rule]:
    no_namespaces = Only(0, (0,), mask=_NAMESPACES)
    # The flags of clone3 are in memory, where a filter cannot see them; without it the C library takes clone.
    rules = [Rule("clone3", error=errno.ENOSYS)]
    if has_programs:
        return [*rules, Rule("clone", (no_namespaces,))]
    threads = Only(0, (_THREAD,), mask=_THREAD)
    return [
        *rules,
        Rule("clone", (threads, no_namespaces)),
        *map(Rule, ("fork", "vfork", "execve", "execveat")),
    ]


def _about_sockets(has_network: bool) -> list[Rule]:
    if has_network:
        return [Rule("socket", (Only(0, (_UNIX, _INET, _INET6, _NETLINK)),))]
    # Event loops need a pair of sockets. One of datagrams could be pointed at any socket of the machine later.
    pairs = (Only(0, (_UNIX,)), Only(1, (_STREAM, _SEQPACKET), mask=_KIND_OF_SOCKET))
    return [Rule("socketpair", pairs), *map(Rule, ("socket", "connect", "bind"))]
