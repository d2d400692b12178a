"""A key that was mistyped, cut off or mixed up is told from a good one, whatever happened to it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.identity import new_key, parse
from holdfast.identity.key import ALPHABET, KEY_LENGTH

KEY = new_key()


@given(place=st.integers(0, KEY_LENGTH - 1), typed=st.characters(codec="utf-8"))
def test_one_wrong_character_is_always_noticed(place: int, typed: str) -> None:
    wrong = KEY[:place] + typed + KEY[place + 1 :]
    assert (parse(wrong) is None) == (wrong != KEY)


@given(place=st.integers(0, KEY_LENGTH - 2))
def test_two_neighbours_that_changed_places_are_always_noticed(place: int) -> None:
    swapped = KEY[:place] + KEY[place + 1] + KEY[place] + KEY[place + 2 :]
    assert (parse(swapped) is None) == (swapped != KEY)


@given(start=st.integers(0, KEY_LENGTH), end=st.integers(0, KEY_LENGTH))
def test_a_part_of_a_key_is_none(start: int, end: int) -> None:
    part = KEY[start:end]
    assert (parse(part) is None) == (part != KEY)


@given(st.text(max_size=2 * KEY_LENGTH) | st.text(ALPHABET + "_", min_size=KEY_LENGTH - 3).map(lambda t: "hf_" + t))
def test_any_text_can_be_presented(text: str) -> None:
    key = parse(text)
    assert key is None or text.startswith(f"hf_{key.id}_")
