"""What a killed process leaves is known to the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from app_plugins import EVERYTHING, staged
from plughost.flows.journal import Journal, Unfinished

pytestmark = pytest.mark.anyio

CUT_SHORT = Unfinished(app_name="shop/eu", operation="register", step="run_seeds", started_at=1.0)


async def test_a_note_is_there_while_an_operation_runs_and_gone_after_it(tmp_path: Path) -> None:
    seen: list[Unfinished] = []
    async with staged(tmp_path) as stage:

        async def look(_: str) -> None:
            seen.extend(Journal(tmp_path / "apps").unfinished())

        stage.trace.act["run_seeds"] = look
        await stage.host.apps.register("shop", EVERYTHING)
        assert [(entry.app_name, entry.operation, entry.step) for entry in seen] == [
            ("shop", "register", "run_seeds")
        ]
        assert Journal(tmp_path / "apps").unfinished() == ()


async def test_the_next_process_says_what_was_cut_short(tmp_path: Path) -> None:
    Journal(tmp_path / "apps").note(CUT_SHORT)
    async with staged(tmp_path) as stage:
        [entry] = await stage.host.apps.recover()
        assert str(entry) == (
            "the registration of app 'shop/eu' stopped in run_seeds because the process ended; "
            "registering it again goes on from there"
        )
        assert stage.host.apps.unfinished == (entry,)


async def test_registering_again_settles_what_was_cut_short(tmp_path: Path) -> None:
    Journal(tmp_path / "apps").note(CUT_SHORT)
    async with staged(tmp_path) as stage:
        await stage.host.apps.recover()
        await stage.host.apps.register("shop/eu", EVERYTHING)
        assert stage.host.apps.unfinished == ()
        assert Journal(tmp_path / "apps").unfinished() == ()


async def test_an_unregistration_that_was_cut_short_says_what_to_do(tmp_path: Path) -> None:
    entry = Unfinished(app_name="shop", operation="unregister", step="rollback_app", started_at=1.0)
    assert str(entry).endswith("unregister it with a rollback again, or register it to keep it")


async def test_a_note_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "apps")
    journal.note(CUT_SHORT)
    (tmp_path / "apps" / "other.json").write_text("{half")
    assert journal.unfinished() == (CUT_SHORT,)


async def test_a_note_holds_no_configuration(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        texts: list[str] = []

        def look(_: str) -> None:
            texts.extend(path.read_text() for path in (tmp_path / "apps").iterdir())

        stage.trace.act["run_migrations"] = look
        await stage.host.apps.register("shop", {**EVERYTHING, "url": "memory://user:sesame@here"})
    assert len(texts) == 1
    assert "sesame" not in texts[0]
