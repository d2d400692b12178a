"""Widths without a font."""

from __future__ import annotations

from holdfast.blog.core.lettering import CAUTION, width, wrap


def test_a_width_is_the_sum_of_the_letters_at_that_size() -> None:
    assert width("mm", 10) == 2 * width("m", 10)
    assert width("m", 20) == 2 * width("m", 10)
    assert width("", 14) == 0


def test_a_digit_takes_what_it_takes_in_dejavu_sans() -> None:
    assert width("0", 1000) == 636 * CAUTION


def test_east_asian_letters_are_square_and_combining_marks_take_nothing() -> None:
    assert width("負", 10) >= 10
    assert width("e\u0301", 10) == width("e", 10)


def test_lines_are_broken_at_spaces_and_keep_the_breaks_of_their_author() -> None:
    assert wrap("one two", 14, width("one tw", 14)) == ("one", "two")
    assert wrap("one\ntwo", 14, 1000) == ("one", "two")
    assert wrap("", 14, 100) == ("",)


def test_a_word_that_is_wider_than_its_line_is_cut() -> None:
    rows = wrap("a" * 30, 14, 100)
    assert len(rows) > 1
    assert "".join(rows) == "a" * 30
    assert all(width(row, 14) <= 100 for row in rows)


def test_text_without_spaces_is_broken_between_letters() -> None:
    rows = wrap("負荷分散装置の障害処理", 14, 60)
    assert all(width(row, 14) <= 60 for row in rows)
