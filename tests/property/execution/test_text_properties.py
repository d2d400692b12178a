"""However output is cut and split, the text is the same, and clean."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.execution.core.text import Decoder, decode

OUTPUT = st.lists(st.one_of(st.text(max_size=5).map(str.encode), st.binary(max_size=4)), max_size=12).map(b"".join)


@given(OUTPUT, st.lists(st.integers(0, 60), max_size=8), st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_pieces_give_the_same_text(data: bytes, cuts: list[int], truncated: bool) -> None:
    decoder = Decoder()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [decoder.feed(data[start:end]) for start, end in pairwise(edges)]
    assert "".join(pieces) + decoder.finish(truncated=truncated) == decode(data, truncated=truncated)


@given(st.text(max_size=20), st.integers(0, 80))
@settings(max_examples=100, deadline=None)
def test_cut_text_is_a_beginning_of_the_text(text: str, cut: int) -> None:
    data = text.encode("utf-8", "surrogatepass")
    if data.decode("utf-8", "replace") == text:
        assert text.startswith(decode(data[:cut], truncated=True))


@given(OUTPUT, st.booleans())
@settings(max_examples=100, deadline=None)
def test_the_text_is_fit_for_json_and_utf8(data: bytes, truncated: bool) -> None:
    text = decode(data, truncated=truncated)
    assert text.encode().decode() == text
    assert json.loads(json.dumps(text)) == text
