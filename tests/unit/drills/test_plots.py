"""Charts as coordinates: they stand inside their box, in order, and in proportion."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.drills import plots
from holdfast.evidence import Histogram, Metric, Samples


def metric(value: float | None, low: float | None = None, high: float | None = None) -> Metric:
    return Metric(value=value, unit="ms", better="lower", derivation="", low=low, high=high)


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]


def test_bars_begin_at_zero_and_are_in_proportion_to_each_other_and_to_the_bound() -> None:
    found = plots.bars({"holdfast": metric(10.0), "control": metric(40.0, 30.0, 50.0)}, 25.0)
    assert found is not None
    ours, control = found.bars
    assert control.width == 4 * ours.width
    assert found.bound is not None
    assert found.bound - plots.BAR_LEFT == 2.5 * ours.width
    assert control.spread == (plots.BAR_LEFT + 3 * ours.width, plots.BAR_LEFT + 5 * ours.width)


def test_a_metric_without_a_value_is_a_bar_of_no_width() -> None:
    found = plots.bars({"holdfast": metric(None), "control": metric(1.0)})
    assert found is not None
    assert found.bars[0].width == 0


def test_what_cannot_be_compared_is_not_drawn() -> None:
    assert plots.bars({"holdfast": metric(None)}) is None
    assert plots.bars({"holdfast": metric(-1.0), "control": metric(1.0)}) is None
    assert plots.curves({"holdfast": (0.0,) * 100}) is None
    assert plots.curves({"holdfast": tuple(range(1, plots.FEWEST))}) is None


def test_bars_of_nothing_but_zeros_are_drawn_with_their_bound() -> None:
    found = plots.bars({"holdfast": metric(0.0)}, 0.0)
    assert found is not None
    assert (found.bars[0].width, found.bound) == (0, plots.BAR_LEFT)


def test_the_tail_of_one_in_a_thousand_has_a_third_of_the_width() -> None:
    slow = Histogram(values=(1.0, 1000.0), counts=(990, 10))
    found = plots.curves({"holdfast": slow})
    assert found is not None
    assert [text for _, text in found.across] == ["0 %", "90 %", "99 %", "99.9 %"]
    rises = [x for x, _ in points(found.curves[0].path)]
    inner = plots.WIDTH - plots.LEFT - plots.RIGHT
    assert abs(rises[1] - (plots.LEFT + inner * 2 / 3)) < 0.1


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(min_value=0, max_value=1e9, allow_subnormal=False), min_size=plots.FEWEST, max_size=60),
        min_size=1,
        max_size=3,
    ).filter(lambda many: any(number > 1e-9 for numbers in many for number in numbers))
)
def test_curves_stay_in_their_box_and_only_ever_rise(many: list[list[float]]) -> None:
    series: dict[str, Samples] = {f"c{at}": Histogram.of(numbers) for at, numbers in enumerate(many)}
    found = plots.curves(series)
    assert found is not None
    ticks = [tick for _, tick in found.upwards]
    assert ticks == sorted(set(ticks))
    assert len(ticks) >= 2
    for curve in found.curves:
        drawn = points(curve.path)
        assert all(plots.LEFT - 0.1 <= x <= plots.WIDTH for x, _ in drawn)
        assert all(plots.TOP - 0.1 <= y <= plots.HEIGHT - plots.BOTTOM + 0.1 for _, y in drawn)
        assert [x for x, _ in drawn] == sorted(x for x, _ in drawn)
        assert [y for _, y in drawn] == sorted((y for _, y in drawn), reverse=True)
