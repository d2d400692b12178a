"""Bytes as text, cut and in pieces."""

from __future__ import annotations

import json

import pytest

from holdfast.execution.core.text import Decoder, decode

EURO = "€".encode()


def test_whole_characters_come_through() -> None:
    assert decode("grün € 🙂\n".encode()) == "grün € 🙂\n"


@pytest.mark.parametrize("cut", range(1, 4))
def test_a_character_that_was_cut_is_dropped(cut: int) -> None:
    assert decode(b"ab" + "🙂".encode()[:cut], truncated=True) == "ab"


def test_a_character_that_the_program_left_unfinished_shows() -> None:
    assert decode(b"ab" + EURO[:2]) == "ab\ufffd"


def test_a_cut_behind_a_whole_character_loses_nothing() -> None:
    assert decode(b"ab" + EURO, truncated=True) == "ab€"


@pytest.mark.parametrize("junk", [b"\xff", b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"])
def test_what_is_not_utf8_is_replaced(junk: bytes) -> None:
    text = decode(b"a" + junk + b"b")
    assert set(text) == {"a", "b", "\ufffd"}
    assert text.encode().decode() == text


def test_nul_goes_through_json() -> None:
    assert json.loads(json.dumps({"stdout": decode(b"a\x00b")})) == {"stdout": "a\x00b"}


def test_a_split_character_is_put_together() -> None:
    decoder = Decoder()
    assert [decoder.feed(b"a" + EURO[:1]), decoder.feed(EURO[1:2]), decoder.feed(EURO[2:] + b"b")] == ["a", "", "€b"]
    assert decoder.finish() == ""


def test_the_end_gives_what_was_held_back() -> None:
    decoder = Decoder()
    decoder.feed(EURO[:2])
    assert decoder.finish() == "\ufffd"
    assert decoder.feed(b"new") == "new"


def test_the_end_of_cut_output_gives_nothing() -> None:
    decoder = Decoder()
    decoder.feed(EURO[:2])
    assert decoder.finish(truncated=True) == ""
