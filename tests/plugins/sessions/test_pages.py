"""What the pages about sessions claim can be looked up."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_test_that_the_asvs_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/explanation/asvs.md").read_text("utf-8")))
    places = [*Path(__file__).parent.glob("*.py"), ROOT / "src/plughost/testing/suites/session_store.py"]
    places += (ROOT / "example_plugins/plughost-accounts/tests").glob("*.py")
    written = set(re.findall(r"def (test_\w+)", "\n".join(place.read_text("utf-8") for place in places)))
    assert len(named) > 20
    assert named - written == set()


def test_every_setting_is_described() -> None:
    from plughost.plugins.sessions.config import SessionsConfig

    described = SessionsConfig.__doc__ or ""
    assert [name for name in SessionsConfig.__struct_fields__ if f"{name}:" not in described] == []


def test_the_proof_shows_our_stores_with_the_promised_cells() -> None:
    page = (ROOT / "docs/explanation/session-proof.md").read_text("utf-8")
    promised = "| refused | final | final | both kept | 0 | none | nothing | digest only | dead |"
    for store in ("sqlite", "redis"):
        assert f"| plughost {store} {promised}" in page
