from __future__ import annotations

from random import Random

import pytest

from holdfast.execution.core.settings import AdmissionSettings
from holdfast.execution.shell.api.problems import ProblemError
from holdfast.execution.shell.api.rates import Rates


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_requests_beyond_the_burst_are_refused_until_tokens_come_back() -> None:
    clock = Clock()
    rates = Rates(AdmissionSettings(requests_per_s=2), monotonic=clock, rng=Random(1))
    for _ in range(4):
        rates.request("a")
    with pytest.raises(ProblemError) as caught:
        rates.request("a")
    assert caught.value.kind.name == "request-rate"
    assert caught.value.retry_after_s is not None
    rates.request("b")
    clock.now += caught.value.retry_after_s
    rates.request("a")


def test_a_batch_counts_each_of_its_jobs() -> None:
    rates = Rates(AdmissionSettings(submits_per_s=1, submit_burst=10), monotonic=Clock(), rng=Random(1))
    rates.submission("a", 8)
    with pytest.raises(ProblemError) as caught:
        rates.submission("a", 8)
    assert caught.value.kind.name == "submit-rate"
    rates.submission("a", 2)


def test_zero_switches_a_limit_off() -> None:
    rates = Rates(AdmissionSettings(submits_per_s=0, requests_per_s=0), monotonic=Clock(), rng=Random(1))
    for _ in range(10_000):
        rates.submission("a", 100)
        rates.request("a")
