"""Values as pages write them."""

from __future__ import annotations

import pytest

from holdfast.blog.shell.wording import figure


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (1038.0, "1/year", "1,038 per year"),
        (5.0321, "ratio", "5.03"),
        (0.25, "share", "0.250"),
        (12.0, "ms", "12 ms"),
        (0.0, "", "0"),
        (None, "ms", "undefined"),
        (float("inf"), "s", "inf"),
    ],
)
def test_a_figure_has_three_digits_and_a_unit_that_can_be_read_aloud(
    value: float | None, unit: str, written: str
) -> None:
    assert figure(value, unit) == written
