"""Series: what a quantile is, and what a histogram may lose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.evidence import Histogram
from holdfast.evidence.samples import count, quantile, total

numbers = st.lists(st.floats(min_value=1e-3, max_value=1e6), min_size=1, max_size=200)


def test_a_quantile_is_a_number_that_occurred() -> None:
    assert quantile((4.0, 1.0, 3.0, 2.0), 0.5) == 2.0
    assert quantile((4.0, 1.0, 3.0, 2.0), 0.75) == 3.0
    assert quantile((4.0, 1.0, 3.0, 2.0), 0.99) == 4.0
    assert quantile((4.0, 1.0, 3.0, 2.0), 0.0) == 1.0


def test_nothing_has_no_quantile() -> None:
    assert quantile((), 0.5) is None
    assert quantile(Histogram(values=(), counts=()), 0.5) is None


@given(numbers, st.sampled_from([0.0, 0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_histogram_keeps_every_quantile_to_half_a_percent(values: list[float], q: float) -> None:
    exact = quantile(tuple(values), q)
    assert quantile(Histogram.of(values), q) == pytest.approx(exact, rel=0.005)


@given(numbers)
def test_a_histogram_counts_everything_once(values: list[float]) -> None:
    histogram = Histogram.of(values)
    assert count(histogram) == len(values)
    assert total(histogram) == pytest.approx(sum(values), rel=0.005)


@pytest.mark.parametrize(
    ("values", "counts"), [((1.0, 2.0), (1,)), ((2.0, 1.0), (1, 1)), ((1.0, 1.0), (1, 1)), ((1.0,), (0,))]
)
def test_a_histogram_that_cannot_be_is_refused(values: tuple[float, ...], counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"histogram|values"):
        Histogram(values=values, counts=counts)
