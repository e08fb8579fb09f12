"""Ids, clocks, envelopes and values: the small parts, alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plughost.contracts.clock import SteadyTime
from plughost.exceptions import ConfigError, SessionDataError, SessionUnreadableError
from plughost.plugins.sessions.codec import decode_value, encode_value
from plughost.plugins.sessions.crypto import (
    KeyRing,
    NewOwner,
    PlainEnvelope,
    SealedEnvelope,
    check_secret,
    derive,
    joined,
)
from plughost.plugins.sessions.tokens import digest_of_id, new_handle, new_session_id
from plughost.testing.clock import FakeClock

SECRET = "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"
OLDER_SECRET = "b7Nw2Kz9Vx4Lq8Rj5Tm1Hs6Gd3Fp0Cy-AeUiOqW"

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def test_an_id_carries_256_bits_and_is_never_the_same() -> None:
    ids = {new_session_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(one) for one in ids} == {43}
    assert len({new_handle() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "malformed",
    ["", "x", "a" * 42, "a" * 44, "a" * 42 + "=", "a" * 42 + "\n", "a" * 42 + "é", "a" * 42 + "/", " " * 43],
)
def test_a_malformed_id_has_no_digest(malformed: str) -> None:
    assert digest_of_id(malformed) is None


@given(st.text())
def test_no_text_makes_the_digest_fail(text: str) -> None:
    digest_of_id(text)


def test_two_spellings_of_the_same_bytes_are_two_ids() -> None:
    # The last character of 43 carries 4 of its 6 bits: "A" and "B" decode to the same 32 bytes.
    assert digest_of_id("A" * 43) != digest_of_id("A" * 42 + "B")


def test_time_never_goes_back_when_the_clock_does() -> None:
    clock = FakeClock()
    now = SteadyTime(clock)
    before = now()
    clock.jump(-3600)
    assert now() == before


@pytest.mark.anyio
async def test_a_clock_set_back_does_not_stop_time() -> None:
    clock = FakeClock()
    now = SteadyTime(clock)
    before = now()
    clock.jump(-3600)
    await clock.advance(10)
    assert now() == pytest.approx(before + 10)


@pytest.mark.anyio
async def test_a_clock_set_forward_is_followed_at_once() -> None:
    clock = FakeClock()
    now = SteadyTime(clock)
    before = now()
    clock.jump(3600)
    assert now() == pytest.approx(before + 3600)
    clock.jump(-3600)
    await clock.advance(5)
    assert now() == pytest.approx(before + 3605)


@given(st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(0, 1e4))))
def test_no_sequence_of_clock_changes_makes_time_go_back(moves: list[tuple[float, float]]) -> None:
    clock = FakeClock()
    now = SteadyTime(clock)
    last = now()
    for jump, step in moves:
        clock.jump(jump)
        clock._now += step
        moment = now()
        assert moment >= last + step - 1e-3
        last = moment


OWNER = NewOwner(b"d", "ada", "h")


@given(plain_values)
def test_every_plain_value_comes_back(value: object) -> None:
    assert decode_value(encode_value("x", value)) == value


@given(st.text(), st.none() | st.text(), st.binary(), st.text())
def test_what_was_sealed_opens_in_its_place(
    handle: str, subject: str | None, value: bytes, name: str
) -> None:
    envelope = SealedEnvelope(KeyRing([SECRET]))
    name = _encodable(name)
    owner = NewOwner(b"d" * 32, subject, _encodable(handle))
    assert envelope.open(owner, name, envelope.close(owner, name, value)) == value


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def test_sealed_bytes_open_in_no_other_session_and_no_other_field() -> None:
    envelope = SealedEnvelope(KeyRing([SECRET]))
    sealed = envelope.close(NewOwner(b"d1", "ada", "h1"), "role", b"admin")
    for digest, subject, handle, name in (
        (b"d1", "ada", "h2", "role"), (b"d1", "ada", "h1", "rolf"), (b"d1", "ada", "h1r", "ole"),
        (b"d1", "ada", "", "h1role"), (b"d2", "ada", "h1", "role"), (b"d1", "eve", "h1", "role"),
        (b"d1", None, "h1", "role"), (b"d1", "", "h1", "role"), (b"d", "1ada", "h1", "role"),
    ):  # fmt: skip
        with pytest.raises(SessionUnreadableError, match="kept"):
            envelope.open(NewOwner(digest, subject, handle), name, sealed)


def test_cve_2025_47278_the_newest_key_seals_and_older_ones_open() -> None:
    older, ring = KeyRing([OLDER_SECRET]), KeyRing([SECRET, OLDER_SECRET])
    sealed = SealedEnvelope(older).close(OWNER, "n", b"v")
    both = SealedEnvelope(ring)
    assert both.open(OWNER, "n", sealed) == b"v"
    assert not both.is_current(sealed)
    fresh = both.close(OWNER, "n", b"v")
    assert both.is_current(fresh)
    assert fresh[1:5] == KeyRing([SECRET]).newest.key_id


def test_a_key_that_is_not_in_the_ring_is_named() -> None:
    sealed = SealedEnvelope(KeyRing([OLDER_SECRET])).close(OWNER, "n", b"v")
    with pytest.raises(SessionUnreadableError, match=KeyRing([OLDER_SECRET]).newest.key_id.hex()):
        SealedEnvelope(KeyRing([SECRET])).open(OWNER, "n", sealed)


def test_plain_values_are_refused_once_encryption_is_on_unless_a_move_is_under_way() -> None:
    plain = PlainEnvelope().close(OWNER, "n", b"v")
    with pytest.raises(SessionUnreadableError):
        SealedEnvelope(KeyRing([SECRET])).open(OWNER, "n", plain)
    moving = SealedEnvelope(KeyRing([SECRET]), accept_plain=True)
    assert moving.open(OWNER, "n", plain) == b"v"
    assert not moving.is_current(plain)


def test_sealed_values_are_refused_when_encryption_is_off() -> None:
    sealed = SealedEnvelope(KeyRing([SECRET])).close(OWNER, "n", b"v")
    with pytest.raises(SessionUnreadableError, match="encryption is off"):
        PlainEnvelope().open(OWNER, "n", sealed)


def test_a_good_secret_is_taken() -> None:
    check_secret(SECRET, "secret")


@pytest.mark.parametrize(
    "secret",
    ["", "tiny-Secret-9", "a" * 64, "abab" * 20, "changeme" * 8, "django-insecure-w8h3kq0z5n2m7v1x4c6b9",
     "please-change-me-to-a-real-Secret-9281", "CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET"],
)  # fmt: skip
def test_cve_2023_27524_a_weak_secret_is_refused_and_never_shown(secret: str) -> None:
    with pytest.raises(ConfigError, match=r"token_urlsafe") as caught:
        check_secret(secret, "secret")
    assert not secret or secret not in str(caught.value)


def test_a_token_belongs_to_one_session_and_outlives_a_key_change() -> None:
    old, new = KeyRing([OLDER_SECRET]), KeyRing([SECRET, OLDER_SECRET])
    token = old.csrf_token(b"d" * 32)
    assert new.csrf_matches(b"d" * 32, token)
    assert not new.csrf_matches(b"e" * 32, token)
    assert not KeyRing([SECRET]).csrf_matches(b"d" * 32, token)


@given(st.text())
def test_any_text_may_be_offered_as_a_token(text: str) -> None:
    assert not KeyRing([SECRET]).csrf_matches(b"d" * 32, text)


def test_keys_show_no_secret() -> None:
    ring = KeyRing([SECRET])
    assert SECRET not in repr(ring.newest)


def test_a_value_of_a_class_of_ones_own_is_refused_by_its_type() -> None:
    class Cart: ...

    with pytest.raises(SessionDataError, match="Cart"):
        encode_value("cart", Cart())


@given(st.lists(st.binary()), st.lists(st.binary()))
def test_cve_2026_6873_no_two_purposes_give_the_same_bytes(one: list[bytes], other: list[bytes]) -> None:
    assert (joined(*one) == joined(*other)) == (one == other)
    if one != other:
        assert derive(b"k" * 32, *one) != derive(b"k" * 32, *other)
