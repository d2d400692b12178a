"""The language of metrics: what it computes, and what it refuses."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.evidence import ExpressionError, Histogram, Samples, evaluate

SAMPLES: dict[str, Samples] = {
    "a.x": (1.0, 2.0, 3.0),
    "b.x": (2.0, 2.0, 2.0),
    "flags": (0.0, 1.0, 0.0, 1.0),
    "h": Histogram(values=(1.0, 10.0), counts=(99, 1)),
    "none": (),
    "short": (1.0,),
}
CONTROL: dict[str, Samples] = {"flips": (10.0,)}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sum(samples.a.x)", 6.0),
        ("count(samples.h)", 100.0),
        ("mean(samples.a.x)", 2.0),
        ("min(samples.h) + max(samples.h)", 11.0),
        ("p50(samples.h)", 1.0),
        ("p99(samples.h)", 1.0),
        ("p999(samples.h)", 10.0),
        ("ratio(samples.a.x, samples.b.x)", 1.0),
        ("ratio(samples.flags)", 0.5),
        ("median(samples.a.x / samples.b.x)", 1.0),
        ("max(samples.a.x - 1)", 2.0),
        ("ratio(samples.a.x, control.flips)", 0.6),
        ("(sum(samples.a.x) > 5) + (sum(samples.a.x) <= 5)", 1.0),
        ("-2 * 3", -6.0),
    ],
)
def test_what_an_expression_stands_for(text: str, value: float) -> None:
    assert evaluate(text, samples=SAMPLES, control=CONTROL) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    ["mean(samples.none)", "p99(samples.none)", "1 / 0", "ratio(samples.a.x, samples.none)", "1 + mean(samples.none)"],
)
def test_what_has_no_value_is_none_and_not_a_guess(text: str) -> None:
    assert evaluate(text, samples=SAMPLES) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("samples.a.x", "is a series"),
        ("p99(samples.absent)", "does not have"),
        ("p98(samples.a.x)", "there are count"),
        ("p99(other.x)", "samples.NAME or control.NAME"),
        ("sum(samples.a.x + samples.short)", "3 numbers with 1"),
        ("sum(samples.h * 2)", "histogram"),
        ("sum(1)", "takes series"),
        ("mean(samples.a.x, samples.b.x)", "2 arguments"),
        ("__import__('os')", "grammar"),
        ("(lambda: 1)()", "grammar"),
        ("[x for x in samples]", "grammar"),
        ("samples.a.x[0]", "grammar"),
        ("1 if 1 else 2", "grammar"),
        ("2 ** 9", "grammar"),
        ("True", "grammar"),
        ("sum(", "cannot be read"),
        ("", "cannot be read"),
        ("1+" * 600 + "1", "longer than"),
    ],
)
def test_everything_else_is_refused_with_its_text(text: str, complaint: str) -> None:
    with pytest.raises(ExpressionError, match=complaint):
        evaluate(text, samples=SAMPLES)


def test_deep_nesting_is_computed_or_refused_and_gets_no_further() -> None:
    with contextlib.suppress(ExpressionError):
        assert evaluate("-" * 900 + "1", samples=SAMPLES) == 1.0


@given(st.text(max_size=60))
def test_no_text_gets_past_the_grammar(text: str) -> None:
    try:
        value = evaluate(text, samples=SAMPLES, control=CONTROL)
    except ExpressionError:
        return
    assert value is None or isinstance(value, float)
