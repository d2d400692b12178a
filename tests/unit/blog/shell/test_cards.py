"""Pictures for other sites."""

from __future__ import annotations

import datetime as dt
import struct

import pytest

from holdfast.blog.shell.cards import card, drawable
from holdfast.blog.shell.figures import Figures

DAY = dt.date(2026, 11, 22)


@pytest.mark.parametrize("title", ["Short", "word " * 60, "a" * 200, "<&>\"'", "مرحبا", "負荷分散", ""])
def test_any_title_gives_a_png_of_the_size_that_is_asked_for(title: str) -> None:
    png = card(title, "What it is about.", DAY, ("balancer", "負荷"))
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24]) == (1200, 630)


def test_the_same_words_give_the_same_bytes() -> None:
    assert card("A title", "A summary", DAY, ("tag",)) == Figures().card("A title", "A summary", DAY, ("tag",))


def test_words_that_no_bundled_font_can_draw_are_left_out_rather_than_drawn_as_boxes() -> None:
    assert drawable("Über Größe: 100 % → naïve – “ok”… Ελλάδα Москва")
    assert not drawable("負荷分散")
    assert not drawable("مرحبا")
    assert card("負荷分散", "Summary", DAY, ()) == card("مرحبا", "Summary", DAY, ())
