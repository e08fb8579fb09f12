"""What a host knows to be secret is hidden in any text, and the text stays readable."""

from __future__ import annotations

import pytest

from plughost.contracts.masking import KnownSecrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("it is shorter", "it is shorter"),
        ("is it short?", "is it ***?"),
        ("redis:short@host", "redis:***@host"),
    ],
)
def test_a_short_secret_is_hidden_as_a_word_and_not_within_one(text, shown):
    known = KnownSecrets()
    known.add(["short"])
    assert known.hidden_in(text) == shown
