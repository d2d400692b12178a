from __future__ import annotations

import pytest

from holdfast.web import rates as module
from holdfast.web.rates import Buckets


def test_each_name_has_a_bucket_of_its_own() -> None:
    buckets = Buckets(1.0, 1)
    assert buckets.take("a", 0.0) == 0.0
    assert buckets.take("a", 0.0) == 1.0
    assert buckets.take("b", 0.0) == 0.0


def test_however_many_names_are_invented_so_many_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    buckets = Buckets(1.0, 1)
    for name in "abcd":
        buckets.take(name, 0.0)
    assert len(buckets) == 3
    assert buckets.take("d", 0.0) > 0
    assert buckets.take("a", 0.0) == 0.0  # asked for the longest ago, so forgotten


def test_without_a_rate_nothing_is_remembered() -> None:
    buckets = Buckets(0.0, 1)
    assert not any(buckets.take("a", 0.0, 100) for _ in range(100))
    assert len(buckets) == 0
