"""Orders: how they are written, and who wins."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateway.shell.mock.orders import PLAIN, BadOrder, Orders, build, in_text, parse


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("first_token=2s", {"first_token": 2.0}),
        ("slow=250ms", {"first_token": 0.25}),
        ("pace=20", {"pace": 20.0}),
        ("429=3s", {"status": 429, "retry_after": 3.0}),
        ("529", {"status": 529}),
        ("status=503", {"status": 503}),
        ("words=5", {"answer": "words", "words": 5}),
        ("text=hello+there", {"answer": "text", "text": "hello there"}),
        ("echo", {"answer": "echo"}),
        ("one_byte", {"chunk": 1}),
        ("html", {"html": 502}),
        ("usage=negative", {"usage": "negative"}),
        ("cut=100, crlf;split", {"cut": 100, "crlf": True, "split": True}),
        ("", {}),
    ],
)
def test_orders_have_a_long_form_and_short_ones(text: str, found: dict[str, object]) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    "text", ["colour=red", "cut=minus", "cut=-1", "usage=kind", "first_token=soon", "crlf=no", "pace=fast", "cut"]
)
def test_an_order_that_nobody_understands_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(BadOrder) as raised:
        parse(text)
    assert text in str(raised.value)
    assert raised.value.exit_code == 2


@given(st.text(max_size=40))
def test_any_text_is_orders_or_a_bad_order(text: str) -> None:
    try:
        found = parse(text)
    except BadOrder:
        return
    assert set(found) <= {field.name for field in fields(Orders)}


def test_directives_are_taken_out_of_the_text() -> None:
    assert in_text("Say hello [[mock: cut=9]] to [[mock: crlf]]") == ("Say hello  to", " cut=9  crlf")
    assert in_text("Say hello") == ("Say hello", "")


def test_later_sources_win() -> None:
    assert build(parse("cut=9,crlf"), parse("cut=10")) == Orders(cut=10, crlf=True)
    assert build({}, {}) is PLAIN
