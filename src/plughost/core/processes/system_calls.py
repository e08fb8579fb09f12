"""Calls of the Linux kernel that Python has no function for, and the numbers by which a filter knows calls."""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache
from typing import Any, Final

MACHINE: Final = platform.machine()
"""The processor's kind, such as ``x86_64``."""

NEWEST: Final = 469
"""The newest system call whose meaning is known here, ``file_setattr`` of Linux 6.17; it is the same everywhere."""

_NUMBERS: Final[dict[str, tuple[int, int]]] = {
    # name: (x86_64, aarch64); -1 where a machine has no such call
    "accept": (43, 202),
    "accept4": (288, 242),
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bind": (49, 200),
    "bpf": (321, 280),
    "chmod": (90, -1),
    "chown": (92, -1),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "connect": (42, 203),
    "delete_module": (176, 106),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fanotify_init": (300, 262),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "fcntl": (72, 25),
    "file_setattr": (469, 469),
    "finit_module": (313, 273),
    "fork": (57, -1),
    "fremovexattr": (199, 16),
    "fsconfig": (431, 431),
    "fsetxattr": (190, 7),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "futimesat": (261, -1),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "ioperm": (173, -1),
    "iopl": (172, -1),
    "ioprio_set": (251, 30),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "lchown": (94, -1),
    "listen": (50, 201),
    "lookup_dcookie": (212, 18),
    "lremovexattr": (198, 15),
    "lsetxattr": (189, 6),
    "modify_ldt": (154, -1),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "msgctl": (71, 187),
    "msgget": (68, 186),
    "msgrcv": (70, 188),
    "msgsnd": (69, 189),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "prlimit64": (302, 261),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "removexattr": (197, 14),
    "removexattrat": (466, 466),
    "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "seccomp": (317, 277),
    "semctl": (66, 191),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setpriority": (141, 140),
    "settimeofday": (164, 170),
    "setxattr": (188, 5),
    "setxattrat": (463, 463),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "shmget": (29, 194),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "tgkill": (234, 131),
    "tkill": (200, 130),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, -1),
    "userfaultfd": (323, 282),
    "utime": (132, -1),
    "utimensat": (280, 88),
    "utimes": (235, -1),
    "vfork": (58, -1),
    "vhangup": (153, 58),
}

_CAPABILITIES_VERSION: Final = 0x20080522

_MACHINES: Final = ("x86_64", "aarch64")


def knows_machine(machine: str = MACHINE) -> bool:
    """Whether the numbers of this machine's system calls are known here."""
    return machine in _MACHINES


def number_of(name: str, machine: str = MACHINE) -> int | None:
    """Return the number of a system call; None when the machine has no such call.

    Raises:
        KeyError: The call is not known here.
        ValueError: The machine is not.
    """
    number = _NUMBERS[name][_MACHINES.index(machine)]
    return None if number < 0 else number


def call(name: str, *arguments: Any) -> int:
    """Make a system call that has the same number on all machines or whose machine is known.

    Args:
        name: Its name.
        arguments: Numbers, or objects of ctypes.

    Raises:
        OSError: What the kernel answered.
    """
    number = number_of(name, MACHINE if knows_machine() else _MACHINES[1])
    return _checked(_library().syscall(number, *arguments))


def control(option: int, *arguments: int) -> int:
    """Call ``prctl``.

    Raises:
        OSError: What the kernel answered.
    """
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(_library().prctl(option, *map(ctypes.c_ulong, padded)))


def give_up_capabilities() -> None:
    """Give up every privilege of root that this thread has, for good if it may gain none by running a program.

    Raises:
        OSError: What the kernel answered.
    """
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    _checked(_library().capset(header, (ctypes.c_uint32 * 6)()))


@cache
def _library() -> Any:
    # At the first need: only Linux has these functions.
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)
