"""Backoff: doubling ceilings, jitter inside them."""

from __future__ import annotations

from random import Random

import pytest

from holdfast.resilience import equal_jitter, full_jitter


class Always(Random):
    """Chance that always gives the same number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def random(self) -> float:
        return self._value


def test_the_ceiling_doubles_until_the_cap() -> None:
    top = Always(1.0)
    assert [full_jitter(n, top, base_s=0.1, cap_s=0.5) for n in range(5)] == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5])


def test_full_jitter_may_not_wait_at_all() -> None:
    assert full_jitter(3, Always(0.0)) == 0.0


def test_equal_jitter_keeps_half_of_the_ceiling() -> None:
    assert equal_jitter(1, Always(0.0), base_s=0.1) == pytest.approx(0.1)
    assert equal_jitter(1, Always(1.0), base_s=0.1) == pytest.approx(0.2)


def test_absurd_attempt_numbers_do_not_overflow() -> None:
    assert full_jitter(10**9, Always(1.0), cap_s=2.0) == 2.0


@pytest.mark.parametrize(("attempt", "base_s", "cap_s"), [(-1, 0.1, 1.0), (0, 2.0, 1.0), (0, -0.1, 1.0)])
def test_nonsense_is_refused_with_the_figures(attempt: int, base_s: float, cap_s: float) -> None:
    with pytest.raises(ValueError, match=r"attempt=.*base_s=.*cap_s="):
        full_jitter(attempt, Random(1), base_s=base_s, cap_s=cap_s)
