"""Which plugins will be loaded, and what is said of the others, before any of their code runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from plughost.contracts import PluginState
from plughost.core.config import load_config
from plughost.core.finding.discovery import NO_LIMITS, Limits, Wish, discover
from plughost.core.finding.sources import Finding, from_directory
from plughost.core.finding.survey import survey


def found(name: str, reference: str = "nowhere:P", **more: str) -> Finding:
    return Finding(
        name=name,
        reference=reference,
        source=more.pop("source", "entry point"),
        origin=more.pop("origin", reference),
        **more,
    )


def judge(*findings: Finding, wishes: dict[str, Wish] | None = None, limits: Limits = NO_LIMITS):
    return {candidate.name: candidate for candidate in discover(findings, wishes or {}, limits)}


def test_a_plugin_that_was_found_is_wanted() -> None:
    assert judge(found("a"))["a"].wanted


def test_a_disabled_plugin_says_how_to_turn_it_on() -> None:
    candidate = judge(found("a"), wishes={"a": Wish(enabled=False)})["a"]
    assert candidate.verdict is PluginState.DISABLED
    assert "plughost enable a" in candidate.reason


def test_a_wish_finds_its_plugin_in_spite_of_dashes_and_case() -> None:
    assert (
        judge(found("Query-Cache"), wishes={"query_cache": Wish(enabled=False)})["Query-Cache"].verdict
        is PluginState.DISABLED
    )


def test_a_configured_plugin_that_is_not_installed_is_a_failure_with_a_near_name() -> None:
    candidate = judge(found("backup"), wishes={"backpu": Wish(mentioned=True)})["backpu"]
    assert candidate.verdict is PluginState.FAILED
    assert "Did you mean 'backup'?" in candidate.reason


def test_a_disabled_plugin_that_is_not_installed_is_no_failure() -> None:
    assert judge(wishes={"gone": Wish(enabled=False, mentioned=True)})["gone"].error is None


def test_two_distributions_with_one_plugin_name_are_refused_and_both_are_named() -> None:
    candidate = judge(found("a", "m:A", distribution="one"), found("a", "n:B", distribution="two"))["a"]
    assert candidate.verdict is PluginState.FAILED
    assert "one" in candidate.reason
    assert "two" in candidate.reason
    assert "[plugins.a] module" in candidate.reason


def test_configuration_that_names_a_module_settles_a_quarrel() -> None:
    settled = found("a", "n:B", source="configuration", origin="[plugins.a]")
    candidate = judge(found("a", "m:A"), settled, found("a", "n:B"))["a"]
    assert candidate.wanted
    assert candidate.finding is settled


def test_an_allow_list_takes_plugin_and_distribution_names() -> None:
    candidates = judge(
        found("a", distribution="acme-a"),
        found("b", distribution="acme-b"),
        found("c"),
        limits=Limits(allow=frozenset({"acme_a", "c"})),
    )
    assert [name for name, candidate in candidates.items() if candidate.wanted] == ["a", "c"]
    assert candidates["b"].verdict is PluginState.BLOCKED


def test_an_empty_allow_list_allows_none() -> None:
    assert not judge(found("a"), limits=Limits(allow=frozenset()))["a"].wanted


def test_safe_mode_keeps_first_party_plugins_only() -> None:
    candidates = judge(
        found("a", distribution="acme"),
        found("b", "plughost.plugins.cache:CachePlugin", distribution="plughost"),
        limits=Limits(safe_mode=True),
    )
    assert [name for name, candidate in candidates.items() if candidate.wanted] == ["b"]


def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Finding:
    (tmp_path / "carded_plugin").mkdir()
    (tmp_path / "carded_plugin" / "__init__.py").write_text("raise RuntimeError('imported')", "utf-8")
    (tmp_path / "carded_plugin" / "plugin.toml").write_text(text, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return found("carded", "carded_plugin.deep:P", distribution="acme")


def test_a_card_is_read_without_importing(tmp_path, monkeypatch) -> None:
    finding = card(tmp_path, monkeypatch, 'requires = ["cache"]\nafter = ["sessions"]\ndescription = "x"')
    candidate = judge(finding)["carded"]
    assert candidate.card.requires == ("cache",)
    assert "carded_plugin" not in sys.modules


def test_a_host_api_range_that_excludes_this_host_is_incompatible(tmp_path, monkeypatch) -> None:
    candidate = judge(card(tmp_path, monkeypatch, 'host_api = ">=2"'))["carded"]
    assert candidate.verdict is PluginState.INCOMPATIBLE
    assert ">=2" in candidate.reason


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("requires = [", "cannot be read"),
        ('reqires = ["a"]', "Did you mean 'requires'?"),
        ('requires = "a"', "must be a list of names"),
        ('host_api = "abc"', "is not a version range"),
        ("extras = 3", "must be a table"),
    ],
)
def test_a_broken_card_is_a_failure_that_says_what_is_wrong(tmp_path, monkeypatch, text, says) -> None:
    candidate = judge(card(tmp_path, monkeypatch, text))["carded"]
    assert candidate.verdict is PluginState.FAILED
    assert says in candidate.reason


def test_a_plugin_whose_extra_is_missing_is_skipped_with_the_command_that_helps(
    tmp_path, monkeypatch
) -> None:
    finding = card(tmp_path, monkeypatch, '[extras]\nredis = ["no_such_module_anywhere"]')
    candidate = judge(finding)["carded"]
    assert candidate.verdict is PluginState.SKIPPED
    assert "pip install 'acme[redis]'" in candidate.reason


def test_one_that_the_configuration_asks_for_fails_instead(tmp_path, monkeypatch) -> None:
    finding = card(tmp_path, monkeypatch, '[extras]\nredis = ["no_such_module_anywhere"]')
    assert judge(finding, wishes={"carded": Wish(mentioned=True)})["carded"].verdict is PluginState.FAILED


GROUPS = ["plughost.plugins"]


def folder(tmp_path: Path, name: str, manifest: str) -> Path:
    (tmp_path / name).mkdir()
    (tmp_path / name / "pyproject.toml").write_text(manifest, "utf-8")
    return tmp_path


def test_a_plugin_folder_is_found_by_its_manifest(tmp_path: Path) -> None:
    folder(
        tmp_path,
        "x",
        '[project]\nname = "acme-x"\nversion = "3"\n[project.entry-points."plughost.plugins"]\nx = "x:P"',
    )
    (finding,) = from_directory(tmp_path, GROUPS)
    assert (finding.name, finding.reference, finding.distribution, finding.version) == (
        "x",
        "x:P",
        "acme-x",
        "3",
    )


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        ("[project", "cannot be read"),
        ('[project]\nname = "x"', "declares no plugin"),
        ('[project.entry-points."plughost.plugins"]\nx = 3', "must be a text"),
        ("project = 3", "must be a table"),
    ],
)
def test_a_broken_manifest_is_a_row_of_its_own(tmp_path: Path, manifest: str, says: str) -> None:
    folder(tmp_path, "broken", manifest)
    folder(tmp_path, "fine", '[project.entry-points."plughost.plugins"]\nfine = "fine:P"')
    candidates = judge(*from_directory(tmp_path, GROUPS))
    assert says in candidates["broken"].reason
    assert candidates["fine"].wanted


def test_folders_without_a_manifest_and_a_missing_directory_are_nobodys_business(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    assert list(from_directory(tmp_path, GROUPS)) == []
    assert list(from_directory(tmp_path / "missing", GROUPS)) == []


def test_a_plugin_is_one_however_the_configuration_spells_it() -> None:
    source = {
        "host": {"required": ["Query_Cache"], "disabled": ["other_one"]},
        "plugins": {"query-cache": {"enabled": False}, "other-one": {}},
    }
    told = {candidate.name: candidate for candidate in survey(load_config(source, environ={}))}
    assert told["query-cache"].verdict is PluginState.DISABLED
    assert told["query-cache"].wish.required
    assert told["other-one"].verdict is PluginState.DISABLED
    assert "Query_Cache" not in told
