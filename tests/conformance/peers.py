"""Which tests of other projects run on plughost, and which of them may fail and why.

A suite is a thin adapter in ``adapters/`` that gives the project's own tests plughost's services under the names they
expect. What is accepted is part of the promise: a test on the list that passes is as much an error as one that is
not on it and fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSuite:
    """Tests of one project, for one part of plughost.

    Attributes:
        name: What it is called in the table.
        distribution: The project on the package index, whose source holds the tests; empty when the tests are ours.
        version: Its version.
        adapter: File in ``adapters/`` that pytest is given.
        part: What of plughost stands in.
        paths: Folders of the source to put on the import path, below its root.
        seeds: Hash seeds to run under; one run each.
        accepted: Part of a test's name, which ends in ``$``, to why it may fail.
        note: A sentence for the published table.
    """

    name: str
    distribution: str
    version: str
    adapter: str
    part: str
    paths: tuple[str, ...] = (".",)
    seeds: tuple[int, ...] = (0,)
    accepted: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


SUITES: tuple[PeerSuite, ...] = (
    PeerSuite(
        name="Django sessions",
        distribution="django",
        version="5.2.8",
        adapter="django_sessions.py",
        part="session stores: memory, SQLite, Redis",
        paths=("tests",),
    ),
    PeerSuite(
        name="dogpile.cache",
        distribution="dogpile.cache",
        version="1.5.0",
        adapter="dogpile_backends.py",
        part="cache and locks: memory, Redis",
    ),
    PeerSuite(
        name="limits, moving window",
        distribution="limits",
        version="5.8.0",
        adapter="limits_windows.py",
        part="rate limits: memory, Redis",
        accepted={
            "test_moving_window_stats": "`reset_after` says when all of the window is free again; `limits`"
            " says when the oldest use leaves it, which is `retry_after` of a refused check",
            "test_moving_window_huge_cost": "above 1,000 uses in a window are counted in tenths of it, in"
            " bounded memory: a single use leaves up to a tenth of the window late",
        },
    ),
    PeerSuite(
        name="redis-py locks",
        distribution="redis",
        version="8.1.0",
        adapter="redis_locks.py",
        part="locks: Redis",
        accepted={
            "TestLock::test_lock$": "a lock of plughost always has a lease: a process that dies leaves none behind",
            "test_lock_token": "the secret by which a holder is known is drawn by plughost and cannot be chosen",
            "test_blocking_timeout": "who waits is woken when the lock is free; redis-py looks again in a rhythm, which"
            " is what the test counts",
            "test_context_manager_blocking_timeout": "the same",
        },
    ),
    PeerSuite(
        name="Starlette sessions",
        distribution="starlette",
        version="1.10.0",
        adapter="starlette_sessions.py",
        part="session middleware: memory, SQLite",
        seeds=(0, 1, 2),
        accepted={
            "test_session_expires": "a session without any life is refused where it is configured",
            "test_session_zero_max_age": "the same",
            "test_session_cookie[": "the test deletes the cookie by the name `session`; the cookie of plughost is named"
            " `__Host-session` over HTTPS and `session_plain` without",
        },
    ),
    PeerSuite(
        name="cashews commands",
        distribution="cashews",
        version="7.6.0",
        adapter="cashews_commands.py",
        part="cache and locks: memory, Redis",
        accepted={
            "bits": "fields of bits are not among a cache's values",
            "test_diff_types": "the same",
            "test_slice_incr": "counting in a window is what the rate limits are for",
            "test_get_size": "the size of one value is not told; `stats` has that of the cache",
        },
    ),
    PeerSuite(
        name="Litestar stores",
        distribution="",
        version="",
        adapter="litestar_stores.py",
        part="cache behind Litestar's `Store`: memory, Redis",
        note="Litestar's source distribution has no tests; these are ours, of what its documentation promises",
    ),
)
