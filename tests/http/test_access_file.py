"""The file that decides over access is its owner's alone, whoever made it before."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from plughost.contracts import copy_sqlite, own_secret
from plughost.exceptions import ConfigError, StoreUnavailableError
from plughost.http.access_file import FILE_NAME, AccessFile
from plughost.http.audit import AuditTrail
from plughost.http.tokens import Tokens
from plughost.plugins.fleet.config import FleetConfig
from plughost.plugins.sessions.config import SessionsConfig
from plughost.plugins.sessions.database_file import DatabaseFile
from plughost.plugins.sessions.secrets_file import read_secrets


@pytest.mark.parametrize("mode", [0o666, 0o640, 0o777])
@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
def test_a_file_that_others_can_open_is_closed_to_them(tmp_path: Path, mode: int, ending: str) -> None:
    made = tmp_path / (FILE_NAME + ending)
    made.touch()
    made.chmod(mode)
    file = AccessFile(tmp_path)
    Tokens(file).create("one", ["*"], 60)
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    file.close()


@pytest.mark.parametrize("ending", ["", "-wal"])
def test_a_link_in_its_place_is_refused(tmp_path: Path, ending: str) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    elsewhere.touch()
    (data / (FILE_NAME + ending)).symlink_to(elsewhere)
    with pytest.raises(StoreUnavailableError, match="symbolic link"):
        Tokens(AccessFile(data)).any_alive()
    (data / (FILE_NAME + ending)).unlink()
    os.link(elsewhere, data / (FILE_NAME + ending))
    with pytest.raises(StoreUnavailableError, match="linked"):
        Tokens(AccessFile(data)).any_alive()
    assert elsewhere.read_bytes() == b""


def test_links_in_the_place_of_sessions_and_their_secret_are_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("Zk3vQ8mT1xY6bN0cR5wJ9pL2hG7dF4sA-uEoI_qKzXv")
    elsewhere.chmod(0o600)
    (tmp_path / "sessions.sqlite3").symlink_to(elsewhere)
    with pytest.raises(StoreUnavailableError, match="symbolic link"):
        DatabaseFile(tmp_path / "sessions.sqlite3").prepare()
    (tmp_path / "secret").symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="symbolic link"):
        read_secrets(SessionsConfig(), tmp_path)
    (tmp_path / "fleet.key").symlink_to(elsewhere)
    with pytest.raises(ConfigError, match="symbolic link"):
        FleetConfig().make_seal(tmp_path)


def test_who_makes_a_secret_at_the_same_moment_comes_to_the_same_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, link = tmp_path / "data/secret", os.link

    def be_second(draft: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        own_secret(path)
        link(draft, target)

    monkeypatch.setattr(os, "link", be_second)
    assert own_secret(path) == path
    assert list(path.parent.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = path.read_text()
    assert len(found.strip()) == 64
    own_secret(path)
    assert path.read_text() == found


@pytest.mark.parametrize("everything", [False, True])
def test_a_token_of_a_file_that_was_deleted_opens_nothing_and_one_of_its_successor_does(
    tmp_path: Path, everything: bool
) -> None:
    served = AccessFile(tmp_path)
    tokens = Tokens(served)
    token, _ = tokens.create("one", ["*"], 60)
    for path in [*tmp_path.iterdir()] if everything else [served.path]:
        path.unlink()
    command = AccessFile(tmp_path)
    later, _ = Tokens(command).create("two", ["*"], 60)
    command.close()
    assert tokens.identify(token) is None
    assert tokens.identify(later) is not None
    third, _ = tokens.create("three", ["*"], 60)
    assert Tokens(AccessFile(tmp_path)).identify(third) is not None
    served.close()


def test_a_backup_put_in_the_place_of_the_file_decides_at_once(tmp_path: Path) -> None:
    served = AccessFile(tmp_path)
    tokens, audit = Tokens(served), AuditTrail(served)
    kept, _ = tokens.create("kept", ["*"], 60)
    copy_sqlite(served.path, tmp_path / "backup", lock_timeout=5.0)
    later = [tokens.create(f"later{number}", ["*"], 60)[0] for number in range(50)]
    (tmp_path / "backup").replace(served.path)  # and the log of the file before is still beside it
    assert tokens.identify(kept) is not None
    assert [tokens.identify(one) for one in later] == [None] * 50
    audit.add(actor="me", verb="look", target="all", status=200)
    command = AccessFile(tmp_path)
    assert [one.verb for one in AuditTrail(command).latest()] == ["look"]
    command.close()
    served.close()
