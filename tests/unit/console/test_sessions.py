"""The table of sessions, in virtual time."""

from __future__ import annotations

from itertools import count

import pytest

from holdfast.console.sessions import Session, Sessions, is_cookie

ADA = Session(key="hf_secret", name="hf_sec…")


def sessions(*, lifetime_s: float = 100.0, most: int = 10) -> Sessions:
    numbers = count(1)
    return Sessions(lifetime_s=lifetime_s, entropy=lambda size: next(numbers).to_bytes(size, "big"), most=most)


def test_a_session_is_found_by_its_cookie_and_by_no_other() -> None:
    table = sessions()
    cookie = table.begin(ADA, 0.0)
    assert is_cookie(cookie)
    assert table.find(cookie, 1.0) is ADA
    assert table.find(table.new_cookie(), 1.0) is None
    assert table.find("", 1.0) is None


def test_a_session_that_is_used_lives_on_and_one_that_is_not_ends() -> None:
    table = sessions(lifetime_s=100.0)
    cookie = table.begin(ADA, 0.0)
    assert table.find(cookie, 99.0) is ADA
    assert table.find(cookie, 198.0) is ADA
    assert table.find(cookie, 298.0) is None
    assert len(table) == 0


def test_signing_out_ends_it_at_once() -> None:
    table = sessions()
    cookie = table.begin(ADA, 0.0)
    table.end(cookie)
    table.end(cookie)
    assert table.find(cookie, 0.0) is None


def test_the_session_that_was_unused_longest_makes_room() -> None:
    table = sessions(most=2)
    first, second = table.begin(ADA, 0.0), table.begin(ADA, 1.0)
    assert table.find(first, 2.0) is ADA
    third = table.begin(ADA, 3.0)
    assert [table.find(cookie, 4.0) for cookie in (first, second, third)] == [ADA, None, ADA]


def test_a_token_is_good_for_one_cookie_of_one_process() -> None:
    table = sessions()
    one, other = table.new_cookie(), table.new_cookie()
    token = table.csrf_token(one)
    assert table.is_csrf_token(one, token)
    assert not table.is_csrf_token(other, token)
    assert not table.is_csrf_token(one, "")
    assert not table.is_csrf_token(one, "é" * 64)
    elsewhere = Sessions(lifetime_s=1.0, entropy=lambda size: b"\xff" * size)
    assert not elsewhere.is_csrf_token(one, token)


def test_a_session_does_not_show_its_key() -> None:
    assert "secret" not in repr(ADA)


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64, "é" * 64, "0" * 63 + "\n"])
def test_what_is_no_cookie_of_ours_is_told_apart(text: str) -> None:
    assert not is_cookie(text)
