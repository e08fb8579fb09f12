"""A plugin that does on request what no plugin should: the text of its file, to be put into a folder of plugins."""

SOURCE = """
import asyncio, ctypes, os, re, signal, sys, time

import anyio
import msgspec

from plughost import Plugin, hookimpl
from plughost.contracts import Allow, Deny, Device, Principal


class Config(msgspec.Struct):
    at_start: str = ""
    at_stop: str = ""


def fork_some():
    for _ in range(5):
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)


def fork_twice():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(60)
        os._exit(0)


def fork_bomb(depth=5):
    for _ in range(2):
        if os.fork() == 0:
            if depth:
                fork_bomb(depth - 1)
            time.sleep(60)
            os._exit(0)


async def answer_late():
    try:
        await anyio.sleep(3600)
    except BaseException:
        pass
    return "late"


def spin():
    while True:
        pass


async def swallow():
    while True:
        try:
            await anyio.sleep(3600)
        except BaseException:
            pass


FAULTS = {
    "": lambda: None,
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(0),
    "sys.exit": lambda: sys.exit(3),
    "raise": lambda: (_ for _ in ()).throw(ValueError("no such")),
    "spin": spin,
    "hold the lock": lambda: ctypes.PyDLL(None).usleep(2_000_000_000),
    "backtrack": lambda: re.match(r"(a+)+$", "a" * 64 + "b"),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "close everything": lambda: os.closerange(3, 256),
    "write garbage": lambda: os.write(1, b"\\\\x00\\\\xff garbage" * 2_000),
    "fork": fork_some,
    "fork twice": fork_twice,
    "fork bomb": fork_bomb,
    "kill the template": lambda: os.kill(os.getppid(), signal.SIGKILL),
    "late answer": answer_late,
    "swallow": swallow,
    "sleep": lambda: anyio.sleep(3600),
    "bomb": lambda: [bytearray(10_000_000) for _ in range(1_000)],
    "break the frames": lambda: [os.write(n, b"\\\\xff" * 64) for n in range(3, 12) if is_socket(n)],
    "big answer": lambda: "x" * (65 << 20),
    "odd answer": object,
}


def is_socket(number):
    try:
        return os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    except OSError:
        return False


class Faulty(Plugin):
    Config = Config

    async def start(self, context):
        self.context = context
        self.heard = []
        FAULTS[context.config.at_start]()

    async def stop(self):
        FAULTS[self.context.config.at_stop]()

    def status(self):
        return {"pid": os.getpid()}

    @hookimpl
    async def misbehave(self, how):
        done = FAULTS[how]()
        if hasattr(done, "__await__"):
            done = await done
        return {"pid": os.getpid(), "done": done}
"""
