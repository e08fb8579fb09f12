"""The vault in a real host, found by its entry point."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plughost import Host, Plugin, PluginContext, hookimpl
from plughost.contracts import Secret
from plughost.testing import HostMaker
from plughost_vault import Reseal, Vault, VaultError
from plughost_vault.ring import KeyRing
from plughost_vault.rotation import Rotation

pytestmark = pytest.mark.anyio

KEYS = ["b7f1-Qw9Zr_x4Lk2Mn8Vc5Td0Yh3Jp6Sa", "e2Xc7-Ub1Nf9Gw4Rk6Lz8Mq3Vt5Hy0Dj"]
TEXTS = st.text(max_size=40)
SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def configured(*keys: str) -> dict[str, Any]:
    return {"plugins": {"vault": {"config": {"keys": list(keys)}}}}


def ring(*keys: str) -> KeyRing:
    return KeyRing(lambda: [Secret(key) for key in keys])


@given(secret=TEXTS, owner=TEXTS, purpose=TEXTS)
def test_what_is_sealed_opens_for_its_owner_and_purpose(secret: str, owner: str, purpose: str) -> None:
    vault = ring(*KEYS)
    sealed = vault.seal(Secret(secret), owner=owner, purpose=purpose)
    assert vault.open(sealed, owner=owner, purpose=purpose) == Secret(secret)


@given(owner=TEXTS, purpose=TEXTS, other_owner=TEXTS, other_purpose=TEXTS)
def test_it_opens_for_nobody_and_nothing_else(
    owner: str, purpose: str, other_owner: str, other_purpose: str
) -> None:
    vault = ring(*KEYS)
    sealed = vault.seal(Secret("s3cret-canary"), owner=owner, purpose=purpose)
    if (owner, purpose) != (other_owner, other_purpose):
        with pytest.raises(VaultError):
            vault.open(sealed, owner=other_owner, purpose=other_purpose)


@given(st.data())
def test_a_text_in_which_one_sign_was_changed_does_not_open(data: st.DataObject) -> None:
    vault = ring(*KEYS)
    sealed = vault.seal(Secret("s3cret-canary"), owner="1", purpose="key")
    place = data.draw(st.integers(0, len(sealed) - 1))
    sign = data.draw(st.characters(codec="utf-8").filter(lambda other: other != sealed[place]))
    with pytest.raises(VaultError):
        vault.open(sealed[:place] + sign + sealed[place + 1 :], owner="1", purpose="key")


OTHER_SPELLINGS: dict[str, Callable[[str], str]] = {
    "a foreign sign": lambda sealed: sealed + "!",
    "padding": lambda sealed: sealed + "====",
    "a line break": lambda sealed: sealed[:-1] + "\n" + sealed[-1],
    "plus for minus": lambda sealed: sealed.replace("-", "+"),
    "slash for underscore": lambda sealed: sealed.replace("_", "/"),
    "a spare bit": lambda sealed: sealed[:-1] + SIGNS[SIGNS.index(sealed[-1]) + 1],
}


@pytest.mark.parametrize("spelling", OTHER_SPELLINGS)
def test_a_sealed_text_has_one_spelling(spelling: str) -> None:
    other = OTHER_SPELLINGS[spelling]
    vault = ring(*KEYS)
    # The last sign has four spare bits; long enough to have each sign of the alphabet.
    sealed = vault.seal(Secret("x" * 2007), owner="1", purpose="key")
    with pytest.raises(VaultError):
        vault.open(other(sealed), owner="1", purpose="key")


@given(st.text(max_size=200))
def test_what_was_never_sealed_does_not_open(text: str) -> None:
    with pytest.raises(VaultError):
        ring(*KEYS).open(text, owner="1", purpose="key")


def test_an_error_and_a_repr_show_nothing_of_it() -> None:
    vault = ring(*KEYS)
    sealed = vault.seal(Secret("s3cret-canary"), owner="1", purpose="key")
    with pytest.raises(VaultError) as caught:
        vault.open(sealed, owner="2", purpose="key")
    shown = f"{caught.value!r} {vault!r} {vault.key_ids} {sealed}"
    assert "s3cret-canary" not in shown
    assert not any(key in shown for key in KEYS)


def test_an_older_key_still_opens_and_no_longer_seals() -> None:
    sealed = ring(KEYS[1]).seal(Secret("one"), owner="1", purpose="key")
    vault = ring(*KEYS)
    assert vault.open(sealed, owner="1", purpose="key") == Secret("one")
    assert not vault.is_current(sealed)
    assert vault.is_current(vault.reseal(sealed, owner="1", purpose="key"))


def test_a_key_that_is_gone_is_named() -> None:
    sealed = ring(KEYS[0]).seal(Secret("one"), owner="1", purpose="key")
    with pytest.raises(VaultError, match=f"key {ring(KEYS[0]).key_ids[0]} is not in the vault"):
        ring(KEYS[1]).open(sealed, owner="1", purpose="key")


async def test_without_configuration_it_makes_a_file_that_its_owner_alone_can_read(
    make_host: HostMaker,
) -> None:
    async with make_host("vault") as host:
        sealed = host.use(Vault).seal(Secret("one"), owner="1", purpose="key")
    (file,) = make_host.data_dir.rglob("keys")
    assert file.stat().st_mode & 0o077 == 0
    async with make_host("vault") as host:
        assert host.use(Vault).open(sealed, owner="1", purpose="key") == Secret("one")


async def test_when_its_file_is_gone_it_does_not_start_and_says_how_to_go_on(make_host: HostMaker) -> None:
    async with make_host("vault"):
        pass
    (file,) = make_host.data_dir.rglob("keys")
    file.unlink()
    async with make_host("vault") as host:
        assert "put it back" in host.plugins["vault"].reason


async def test_a_key_that_the_environment_should_have_is_missed_by_its_name(make_host: HostMaker) -> None:
    config = {"plugins": {"vault": {"config": {"keys": [{"$env": "VAULT_KEY"}]}}}}
    async with make_host("vault", config=config) as host:
        assert "VAULT_KEY" in host.plugins["vault"].reason


@pytest.mark.parametrize("keys", [["tiny-k3y"], ["a" * 40], [KEYS[0], KEYS[0]]])
async def test_keys_that_are_no_good_are_refused_and_not_shown(make_host: HostMaker, keys: list[str]) -> None:
    async with make_host("vault", config=configured(*keys)) as host:
        record = host.plugins["vault"]
        assert record.state.name == "FAILED"
        assert keys[0] not in record.reason


class Keeper(Plugin):
    """Keeps one sealed text, as a plugin with a database would keep many."""

    name = "keeper"

    def __init__(self) -> None:
        self.sealed, self.broken = "", False

    async def start(self, context: PluginContext) -> None:
        self.sealed = context.use(Vault).seal(Secret("one"), owner="1", purpose="key")

    @hookimpl(optionalhook=True)
    async def reseal_secrets(self, reseal: Reseal) -> int:
        if self.broken:
            raise OSError("the disk is full")
        self.sealed = reseal(self.sealed, owner="1", purpose="key")
        return 1


async def test_rotation_seals_anew_and_lets_the_old_key_go(make_host: HostMaker) -> None:
    keeper = Keeper()
    async with make_host("vault") as host:
        await host.load_plugin(keeper)
        before = keeper.sealed
        report = await host.use(Rotation).rotate()
        assert (report.resealed, report.failed, report.removed, report.kept) == ({"keeper": 1}, {}, 1, ())
        assert host.use(Vault).open(keeper.sealed, owner="1", purpose="key") == Secret("one")
        with pytest.raises(VaultError):
            host.use(Vault).open(before, owner="1", purpose="key")


async def test_old_keys_stay_while_a_plugin_could_not_seal_anew(make_host: HostMaker) -> None:
    keeper = Keeper()
    keeper.broken = True
    async with make_host("vault") as host:
        await host.load_plugin(keeper)
        report = await host.use(Rotation).rotate()
        assert "the disk is full" in report.failed["keeper"]
        assert len(report.kept) == 1
        assert host.use(Vault).open(keeper.sealed, owner="1", purpose="key") == Secret("one")


async def test_a_running_host_opens_what_another_process_has_sealed_with_a_new_key(
    make_host: HostMaker,
) -> None:
    async with make_host("vault") as running:
        async with make_host("vault") as beside:
            await beside.use(Rotation).rotate()
            sealed = beside.use(Vault).seal(Secret("new"), owner="1", purpose="key")
        assert running.use(Vault).open(sealed, owner="1", purpose="key") == Secret("new")


def test_the_command_rotates(tmp_path: Path) -> None:
    (tmp_path / "plughost.toml").write_text('[host]\ndata_dir = "data"\nallow = ["vault"]\n')
    command = [sys.executable, "-m", "plughost", "vault", "rotate", "--json"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["removed"] == 1
    assert len((tmp_path / "data").rglob("keys").__next__().read_text().split()) == 1


async def test_two_hosts_have_vaults_of_their_own(tmp_path: Path) -> None:
    def host(folder: str) -> Host:
        config = {"host": {"data_dir": str(tmp_path / folder), "allow": ["vault"]}}
        return Host(config=config, environ={})

    async with host("one") as one, host("two") as two:
        sealed = one.use(Vault).seal(Secret("one"), owner="1", purpose="key")
        with pytest.raises(VaultError):
            two.use(Vault).open(sealed, owner="1", purpose="key")
