"""Quantiles of any sum of histograms are those of all that was counted, within half a bucket."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.netpulse.shell.records.histogram import bucket, quantile_ms


@given(
    st.lists(st.lists(st.integers(1, 10**9), max_size=20), min_size=1, max_size=5), st.sampled_from([0.5, 0.95, 0.99])
)
def test_a_quantile_of_sums_is_that_of_the_whole(parts: list[list[int]], part: float) -> None:
    counts: Counter[int] = Counter()
    for hundredths in parts:
        counts.update(map(bucket, hundredths))
    everything = sorted(number for hundredths in parts for number in hundredths)
    if not everything:
        assert quantile_ms(counts, part) is None
        return
    exact = everything[math.ceil(part * len(everything)) - 1] / 100
    assert quantile_ms(counts, part) == pytest.approx(exact, rel=0.025, abs=0.0013)


@pytest.mark.parametrize("hundredths", [-5, 0, 1])
def test_what_took_no_time_is_in_the_first(hundredths: int) -> None:
    assert bucket(hundredths) == 0
