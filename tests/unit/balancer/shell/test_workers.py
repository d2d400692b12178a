"""When a worker is started again."""

from __future__ import annotations

from random import Random

import pytest

from holdfast.balancer.shell.workers import RestartPolicy


def test_pauses_double_up_to_a_bound_with_equal_jitter() -> None:
    policy = RestartPolicy(first_s=0.1, longest_s=1.0)
    for attempt, ceiling in ((1, 0.1), (2, 0.2), (4, 0.8), (5, 1.0), (500, 1.0)):
        pauses = [policy.delay_s(attempt, Random(seed)) for seed in range(200)]
        assert min(pauses) >= ceiling / 2
        assert max(pauses) <= ceiling
        assert max(pauses) - min(pauses) > ceiling / 4


def test_the_defaults_try_for_about_half_a_minute() -> None:
    policy = RestartPolicy()
    total = sum(policy.delay_s(attempt, Random(attempt)) for attempt in range(1, policy.attempts))
    assert total == pytest.approx(26, abs=8)
