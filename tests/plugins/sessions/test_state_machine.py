"""One model, three stores: whatever is done in whatever order, all of them agree with it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from plughost.contracts.session_store import (
    ReplacedSession,
    SessionPatch,
    SessionStore,
    StoredSession,
    VersionConflict,
)
from plughost.plugins.sessions.stores.memory import MemoryStore
from plughost.plugins.sessions.stores.redis import RedisStore
from plughost.plugins.sessions.stores.sqlite import SQLiteStore
from plughost.testing.suites.session_store import digest, new
from servers import server as running_server

SUBJECTS = st.sampled_from(["ada", "bob", None])
KEYS = st.sampled_from(["a", "b", "c"])
FIELDS = st.dictionaries(KEYS, st.binary(max_size=3), max_size=3)
GRACE = 10.0


class Moves:
    """Time for a store, moved by the machine; also the monotonic clock of nobody."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now


class Model:
    """What a session store is: 60 lines, no epochs, no batches, no figures kept."""

    def __init__(self, now: Moves) -> None:
        self.now = now
        self.rows: dict[str, dict[str, Any]] = {}
        self.led: dict[str, tuple[str, float]] = {}

    def alive(self, name: str) -> dict[str, Any] | None:
        row = self.rows.get(name)
        return row if row is not None and row["expires"] > self.now() else None

    def find(self, name: str) -> tuple[dict[str, Any] | None, bool, bool]:
        """The row, whether through a replaced name, whether within the grace."""
        via, graceful = False, True
        while name in self.led:
            name, until = self.led[name]
            via, graceful = True, graceful and self.now() < until
        return self.alive(name), via, graceful

    def create(
        self, name: str, subject: str | None, idle: float, absolute: float, fields: dict[str, bytes]
    ) -> None:
        deadline = self.now() + absolute
        self.rows[name] = {
            "name": name, "subject": subject, "fields": dict(fields), "version": 1, "deadline": deadline,
            "idle": idle, "expires": min(self.now() + idle, deadline),
        }  # fmt: skip

    def patch(self, name: str, fields: dict[str, bytes], remove: list[str]) -> bool:
        row, _, graceful = self.find(name)
        if row is None or not graceful:
            return False
        row["fields"] = {k: v for k, v in row["fields"].items() if k not in remove} | fields
        row["version"] += bool(fields or remove)
        return True

    def touch(self, name: str) -> None:
        row = self.alive(name)
        if row is not None and name not in self.led:
            row["expires"] = min(max(row["expires"], self.now() + row["idle"]), row["deadline"])

    def extend(self, name: str, idle: float) -> None:
        row, _, graceful = self.find(name)
        if row is not None and graceful:
            row["expires"] = min(max(row["expires"], self.now() + idle), row["deadline"])

    def replace(
        self, old: str, name: str, subject: str | None, idle: float, keep: bool, grace: float
    ) -> bool:
        row = self.alive(old)
        if row is None or old in self.led:
            return False
        self.create(name, subject, idle, row["deadline"] - self.now() if keep else 500.0, row["fields"])
        del self.rows[old]
        if grace:
            self.led[old] = (name, self.now() + grace)
        return True

    def delete(self, name: str) -> bool:
        row, _, _ = self.find(name)
        if row is not None:
            del self.rows[row["name"]]
        return row is not None

    def end(self, subject: str, keep: str | None) -> None:
        row, _, graceful = self.find(keep) if keep is not None else (None, False, False)
        spared = row if graceful else None  # an id that was replaced and is out of its grace is nobody's
        self.rows = {n: r for n, r in self.rows.items() if r["subject"] != subject or r is spared}


class StoreMachine(RuleBasedStateMachine):
    """Drives a store and the model side by side."""

    open_store: ClassVar[Any]
    portal: ClassVar[BlockingPortal]
    names = Bundle("names")

    @initialize()
    def begin(self) -> None:
        self.clock = Moves()
        self.model = Model(self.clock)
        self.number = 0
        self.context: AbstractContextManager[SessionStore] = type(self).open_store(self.clock)
        self.store = self.context.__enter__()

    def teardown(self) -> None:
        if hasattr(self, "context"):
            self.context.__exit__(None, None, None)

    def call(self, name: str, *args: Any, **options: Any) -> Any:
        return self.portal.call(lambda: getattr(self.store, name)(*args, **options))

    def fresh(self) -> str:
        self.number += 1
        return f"n{self.number}"

    @rule(target=names, subject=SUBJECTS, idle=st.sampled_from([20.0, 100.0]), fields=FIELDS)
    def create(self, subject: str | None, idle: float, fields: dict[str, bytes]) -> str:
        name = self.fresh()
        made = self.call("create", new(name, subject, idle=idle, absolute=150.0, fields=fields))
        self.model.create(name, subject, idle, 150.0, fields)
        assert made is not None
        return name

    @rule(name=names)
    def create_again(self, name: str) -> None:
        if self.model.find(name)[0] is not None:
            assert self.call("create", new(name)) is None

    @rule(name=names, fields=FIELDS, remove=st.lists(KEYS, max_size=2))
    def patch(self, name: str, fields: dict[str, bytes], remove: list[str]) -> None:
        removed = [key for key in remove if key not in fields]
        found = self.call("patch", digest(name), SessionPatch(set=fields, remove=tuple(removed)))
        assert (found is not None) == self.model.patch(name, fields, removed)

    @rule(name=names)
    def touch(self, name: str) -> None:
        self.call("touch", digest(name))
        self.call("patch", digest("nobody"), SessionPatch())
        self.model.touch(name)

    @rule(name=names, idle=st.sampled_from([5.0, 60.0, 1000.0]))
    def extend(self, name: str, idle: float) -> None:
        self.call("patch", digest(name), SessionPatch(idle=idle))
        self.model.extend(name, idle)

    @rule(target=names, old=names, subject=SUBJECTS, keep=st.booleans(), grace=st.sampled_from([0.0, GRACE]),
          stale=st.booleans())  # fmt: skip
    def replace(self, old: str, subject: str | None, keep: bool, grace: float, stale: bool) -> Any:
        name, row = self.fresh(), self.model.alive(old)
        subject = row["subject"] if row is not None and keep else subject
        fields = dict(row["fields"]) if row is not None else {}
        given = new(name, subject, idle=30.0, absolute=None if keep else 500.0, fields=fields)
        version = (row["version"] if row is not None else 1) + stale
        if stale and row is not None:
            with pytest.raises(VersionConflict):
                self.call("replace", digest(old), given, version=version, grace=grace)
            return multiple()
        found = self.call("replace", digest(old), given, version=version, grace=grace)
        assert (found is not None) == self.model.replace(old, name, subject, 30.0, keep, grace)
        return name if found is not None else multiple()

    @rule(name=names)
    def delete(self, name: str) -> None:
        assert (self.call("delete", digest(name)) is not None) == self.model.delete(name)

    @rule(subject=st.sampled_from(["ada", "bob"]), keep=st.none() | names)
    def end_subject(self, subject: str, keep: str | None) -> None:
        self.call("end_subject", subject, digest(keep) if keep is not None else None)
        self.model.end(subject, keep)

    @rule(limit=st.integers(1, 4))
    def purge(self, limit: int) -> None:
        assert len(self.call("purge", limit)) <= limit

    @rule(seconds=st.sampled_from([0.5, 6.0, 15.0, 40.0, 200.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(name=names)
    def read(self, name: str) -> None:
        found = self.call("read", digest(name))
        row, via, graceful = self.model.find(name)
        if row is None:
            assert found is None
        elif via and not graceful:
            assert found == ReplacedSession(successor=digest(row["name"]))
        else:
            assert isinstance(found, StoredSession)
            assert found.fields == row["fields"]
            assert found.subject == row["subject"]
            assert found.version == row["version"]
            assert found.digest == digest(row["name"])
            assert (found.successor_of is not None) == via
            assert found.expires_at == pytest.approx(row["expires"], abs=0.01)
            assert found.deadline == pytest.approx(row["deadline"], abs=0.01)

    @invariant()
    def figures_and_lists_agree(self) -> None:
        if not hasattr(self, "store"):
            return
        living = [row for name, row in self.model.rows.items() if self.model.alive(name) is not None]
        assert self.call("stats").active == len(living)
        for subject in ("ada", "bob"):
            listed = self.call("list_subject", subject)
            assert {one.digest for one in listed} == {
                digest(r["name"]) for r in living if r["subject"] == subject
            }


@contextmanager
def _opened(portal: BlockingPortal, store: SessionStore) -> Iterator[SessionStore]:
    portal.call(store.open)
    try:
        yield store
    finally:
        portal.call(store.close)


def _check(opener: Any, portal: BlockingPortal, examples: int, steps: int) -> None:
    machine = type("Machine", (StoreMachine,), {"open_store": staticmethod(opener), "portal": portal})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )


FORMS = [
    pytest.param(25, 40, id="short"),
    pytest.param(1500, 60, id="long", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
]


@pytest.mark.parametrize(("examples", "steps"), FORMS)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_memory_store_is_the_model(backend: str, examples: int, steps: int) -> None:
    with start_blocking_portal(backend) as portal:
        _check(lambda now: _opened(portal, MemoryStore(now)), portal, examples, steps)


@pytest.mark.parametrize(("examples", "steps"), FORMS)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_sqlite_store_is_the_model(backend: str, examples: int, steps: int) -> None:
    @contextmanager
    def opener(now: Moves) -> Iterator[SessionStore]:
        with (
            TemporaryDirectory() as folder,
            _opened(portal, SQLiteStore(Path(folder) / "s.db", now)) as store,
        ):
            yield store

    with start_blocking_portal(backend) as portal:
        _check(opener, portal, examples, steps)


@pytest.mark.parametrize(("examples", "steps"), FORMS)
def test_the_redis_store_is_the_model(examples: int, steps: int) -> None:
    numbers = iter(range(10**9))

    def opener(now: Moves) -> AbstractContextManager[SessionStore]:
        return _opened(portal, RedisStore(server.url, prefix=f"m{next(numbers)}", now=now))

    with running_server() as server, start_blocking_portal("asyncio") as portal:
        _check(opener, portal, examples, steps)
