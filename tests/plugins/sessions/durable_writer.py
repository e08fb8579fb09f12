"""A process that writes sessions and says what was acknowledged, until it is killed. Run by test_kill.

Each line on stdout is one acknowledged fact, written after the store's call returned::

    created NAME            patched NAME KEY VALUE          ended NAME
    subject-ended SUBJECT   replaced OLD NEW                patching NAME KEY VALUE (before the call)
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import anyio

from plughost.contracts.clock import SYSTEM_CLOCK, SteadyTime
from plughost.contracts.session_store import SessionPatch, StoredSession
from plughost.plugins.sessions.stores.sqlite import SQLiteStore
from plughost.testing.suites.session_store import digest, new

TASKS = 8


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def write_for_ever(store: SQLiteStore, run: str, task: int) -> None:
    chance = random.Random(f"{run}-{task}")  # noqa: S311 - to choose, not to hide
    mine: list[str] = []
    number = 0
    subject = f"subject-{task}"
    while True:
        what = chance.random()
        if what < 0.3 or not mine:
            number += 1
            name = f"{run}-{task}-{number}"
            await store.create(new(name, subject))
            say("created", name, subject)
            mine.append(name)
        elif what < 0.8:
            name, key, value = chance.choice(mine), f"k{chance.randrange(4)}", str(chance.randrange(10**9))
            read = await store.read(digest(name)) if chance.random() < 0.5 else None
            base = read if isinstance(read, StoredSession) else None
            say("patching", name, key, value)
            if await store.patch(digest(name), SessionPatch(set={key: value.encode()}, base=base)):
                say("patched", name, key, value)
        elif what < 0.9:
            name = mine.pop(chance.randrange(len(mine)))
            say("ending", name)
            await store.delete(digest(name))
            say("ended", name)
        elif what < 0.95:
            old = mine.pop(chance.randrange(len(mine)))
            row = await store.read(digest(old))
            number += 1
            fresh = f"{run}-{task}-{number}"
            say("ending", old)
            await store.replace(
                digest(old), new(fresh, subject, fields=row.fields), version=row.version, grace=0
            )
            say("replaced", old, fresh, subject)
            mine.append(fresh)
        else:
            say("subject-ending", subject)
            await store.end_subject(subject)
            say("subject-ended", subject)
            mine.clear()
        if chance.random() < 0.02:
            await store.purge(50)


async def main(path: Path, run: str) -> None:
    store = SQLiteStore(path, SteadyTime(SYSTEM_CLOCK))
    await store.open()
    say("ready")
    async with anyio.create_task_group() as group:
        for task in range(TASKS):
            group.start_soon(write_for_ever, store, run, task)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2])
