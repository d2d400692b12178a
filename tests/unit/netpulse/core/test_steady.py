"""Time that never runs back."""

from __future__ import annotations

import pytest

from holdfast.netpulse.core.steady import PACE, Steady


class Clocks:
    """Both, as a machine has them."""

    def __init__(self) -> None:
        self.wall = 1_790_000_000.0
        self.monotonic = 5.0
        self.steady = Steady(wall=lambda: self.wall, monotonic=lambda: self.monotonic)

    def pass_(self, seconds: float) -> float:
        self.wall += seconds
        self.monotonic += seconds
        return self.steady()


def test_it_is_the_wall_clocks_time() -> None:
    clocks = Clocks()
    assert clocks.pass_(10.0) == clocks.wall


def test_a_clock_that_is_set_forward_is_followed_at_once() -> None:
    clocks = Clocks()
    clocks.wall += 3600.0
    assert clocks.steady() == clocks.wall


def test_a_clock_that_is_set_back_neither_turns_time_round_nor_stops_it() -> None:
    clocks = Clocks()
    before = clocks.pass_(10.0)
    clocks.wall -= 3600.0
    assert clocks.steady() == before
    assert clocks.pass_(10.0) == pytest.approx(before + PACE * 10.0)


def test_the_wall_clock_catches_up_with_it() -> None:
    clocks = Clocks()
    clocks.wall -= 60.0
    times = [clocks.pass_(10.0) for _ in range(70)]
    assert times == sorted(times)
    assert times[-1] == clocks.wall
