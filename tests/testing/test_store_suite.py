"""The contract suite for session stores passes a good store, and finds each of the faults that are planted here."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from .planted_faults import GOOD, Faults, failures

PRELUDE = """
from dataclasses import dataclass

import msgspec
import pytest

from plughost.contracts.session_store import SessionPatch, StoredSession
from plughost.plugins.sessions.stores.memory import MemoryStore
from plughost.testing import SessionStoreSuite

@pytest.fixture
def anyio_backend():
    return "asyncio"

class Good(MemoryStore):
    pass
"""

CASE = """
{source}

class Test{name}(SessionStoreSuite):
    @pytest.fixture
    def store(self, clock):
        return {name}(clock.time)
"""

FAULTS: Faults = {
    "ServesExpiredSessions": (
        "test_it_ends_when_it_was_not_used",
        """
    def _lives(self, row, now):
        return row.epoch == self._epoch(row.subject)""",
    ),
    "OverwritesATakenDigest": (
        "test_a_taken_digest_is_refused_and_not_overwritten",
        """
    async def create(self, new):
        self._rows.pop(new.digest, None)
        return await super().create(new)""",
    ),
    "ReplacesAllFields": (
        "test_a_change_merges_key_by_key",
        """
    async def patch(self, digest, patch):
        found = self.read_now(digest)
        kept = set(patch.set) | set(patch.remove)
        lost = tuple(key for key in getattr(found, "fields", {}) if key not in kept)
        return await super().patch(digest, msgspec.structs.replace(patch, remove=(*patch.remove, *lost)))""",
    ),
    "IgnoresVersions": (
        "test_a_change_for_another_version_is_refused",
        """
    async def patch(self, digest, patch):
        return await super().patch(digest, msgspec.structs.replace(patch, version=None))""",
    ),
    "TakesAnySize": (
        "test_a_change_that_grows_too_large_is_refused_whole",
        """
    async def patch(self, digest, patch):
        return await super().patch(digest, msgspec.structs.replace(patch, max_bytes=2**40))""",
    ),
    "RevivesTheDeleted": (
        "test_what_was_deleted_stays_deleted",
        """
    async def delete(self, digest):
        row = self.read_now(digest)
        found = await super().delete(digest)
        if isinstance(row, StoredSession):
            self._keep(row)
        return found""",
    ),
    "KeepsTheReplaced": (
        "test_replacing_kills_the_old_digest_when_there_is_no_grace",
        """
    async def replace(self, digest, new, *, version, grace):
        return await super().replace(digest, new, version=version, grace=grace + 3600)""",
    ),
    "ReplacesAnyVersion": (
        "test_replacing_another_version_is_refused_and_changes_nothing",
        """
    async def replace(self, digest, new, *, version, grace):
        found = self.read_now(digest)
        return await super().replace(digest, new, version=getattr(found, "version", version), grace=grace)""",
    ),
    "EndsNobody": (
        "test_ending_a_subject_ends_all_of_its_sessions_and_nobody_elses",
        """
    async def end_subject(self, subject, keep=None):
        return len(await self.list_subject(subject))""",
    ),
    "FoldsSubjects": (
        "test_cve_2011_4136_subjects_are_told_apart_byte_for_byte",
        """
    async def create(self, new):
        subject = new.subject and new.subject.strip().lower()
        return await super().create(msgspec.structs.replace(new, subject=subject))""",
    ),
    "ProlongsByReading": (
        "test_reading_does_not_prolong_it",
        """
    async def read(self, digest):
        await self.touch(digest)
        return await super().read(digest)""",
    ),
    "PurgesWithoutBounds": (
        "test_a_purge_is_bounded_and_takes_only_what_is_over",
        """
    async def purge(self, limit):
        return await super().purge(10**9)""",
    ),
    "CountsTheDead": (
        "test_figures_follow_what_happens",
        """
    async def stats(self):
        found = await super().stats()
        return msgspec.structs.replace(found, active=len(self._rows)) if isinstance(found, msgspec.Struct) else (
            __import__("dataclasses").replace(found, active=len(self._rows)))""",
    ),
    "LooksAtEachSessionForItsFigures": (
        "test_the_figures_cost_the_same_however_many_sessions_there_are",
        """
    async def stats(self):
        sum(self._lives(row, self._now()) for row in self._rows.values())
        return await super().stats()""",
    ),
    "RemembersWhatWasReplacedWithoutGrace": (
        "test_replacing_kills_the_old_digest_when_there_is_no_grace",
        """
    async def replace(self, digest, new, *, version, grace):
        return await super().replace(digest, new, version=version, grace=grace or 0.000001)""",
    ),
    "SkipsAPage": (
        "test_pages_show_every_living_session_once",
        """
    async def page(self, cursor, limit):
        rows, after = await super().page(cursor, limit)
        return rows[:-1], after""",
    ),
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """Name of each case -> the tests of the suite that failed for it."""
    cases = [CASE.format(source="", name=GOOD)]
    for name, (_, body) in FAULTS.items():
        cases.append(CASE.format(source=f"class {name}(Good):{body}\n", name=name))
    return failures(tmp_path_factory.mktemp("suite"), "\n".join([PRELUDE, *cases]), FAULTS)


def test_a_good_store_passes(failed: Mapping[str, set[str]]) -> None:
    assert failed[GOOD] == set()


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(failed: Mapping[str, set[str]], name: str) -> None:
    assert failed[name] == {FAULTS[name][0]}
