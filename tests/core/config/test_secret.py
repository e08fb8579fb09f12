"""A secret does not show itself."""

from __future__ import annotations

import copy
import json
import logging
import pickle

import msgspec
import pytest

from plughost.contracts.secret import Secret

HIDDEN = "hunter2-hunter2"


@pytest.mark.parametrize(
    "shown",
    [
        str(Secret(HIDDEN)),
        repr(Secret(HIDDEN)),
        f"{Secret(HIDDEN)}",
        f"{Secret(HIDDEN):>20}",
        f"{Secret(HIDDEN)!r}",
        "%s" % Secret(HIDDEN),  # noqa: UP031
        repr({"password": Secret(HIDDEN)}),
        repr([Secret(HIDDEN)]),
    ],
)
def test_a_secret_shows_as_stars(shown: str) -> None:
    assert HIDDEN not in shown
    assert "***" in shown


def test_a_secret_is_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("test").warning("connecting with %s, %r", Secret(HIDDEN), {"token": Secret(HIDDEN)})
    assert HIDDEN not in caplog.text


def test_a_secret_is_revealed_on_purpose_only() -> None:
    assert Secret(HIDDEN).reveal() == HIDDEN
    assert not hasattr(Secret(HIDDEN), "__dict__")


def test_secrets_are_equal_when_their_strings_are() -> None:
    assert Secret("é") == Secret("é")
    assert Secret("a") != Secret("b")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_a_secret_never_equals_a_string() -> None:
    assert Secret("a") != "a"


def test_an_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret("x")


def test_a_secret_is_made_of_a_string() -> None:
    with pytest.raises(TypeError, match="not bytes"):
        Secret(b"x")


def test_no_encoder_takes_a_secret() -> None:
    with pytest.raises(TypeError):
        json.dumps({"password": Secret(HIDDEN)})
    with pytest.raises(TypeError):
        msgspec.json.encode({"password": Secret(HIDDEN)})
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(HIDDEN))


def test_a_secret_is_copied_as_itself() -> None:
    secret = Secret(HIDDEN)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"a": [secret]})["a"][0] is secret
