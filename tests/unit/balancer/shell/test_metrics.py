"""Merging the counters of workers into one exposition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from holdfast.balancer.core.events import State, Transition
from holdfast.balancer.core.messages import Stats
from holdfast.balancer.shell.metrics import MergedStats, Tally, exposition

DURATION = "holdfast_request_duration_seconds"


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def stats(requests: float, **gauges: float) -> Stats:
    return Stats(
        1,
        {"holdfast_requests_total": {"web\x1fa\x1f200": requests}},
        {name: {"web": value} for name, value in gauges.items()},
    )


def test_counters_of_a_dead_worker_stay_and_its_gauges_go() -> None:
    merged = MergedStats()
    merged.take(0, stats(5.0, holdfast_queue_length=2.0))
    merged.take(1, stats(7.0, holdfast_queue_length=1.0))
    merged.take(1, stats(8.0, holdfast_queue_length=4.0))
    merged.retire(0)
    merged.retire(0)
    merged.take(0, stats(1.0, holdfast_queue_length=0.0))
    assert merged.counters() == {"holdfast_requests_total": {"web\x1fa\x1f200": 14.0}}
    assert merged.gauges() == {"holdfast_queue_length": {"web": 4.0}}


@given(st.lists(st.tuples(st.integers(0, 2), st.one_of(st.none(), st.integers(0, 9))), max_size=30))
def test_a_merged_counter_never_goes_back(steps: list[tuple[int, int | None]]) -> None:
    """Whatever workers count, die and start again in between."""
    merged, lives, before = MergedStats(), [0, 0, 0], 0.0
    for worker, counted in steps:
        if counted is None:
            merged.retire(worker)
            lives[worker] = 0
        else:
            lives[worker] += counted
            merged.take(worker, stats(float(lives[worker])))
        now = merged.counters().get("holdfast_requests_total", {}).get("web\x1fa\x1f200", 0.0)
        assert now >= before
        before = now


def test_a_histogram_gets_its_last_bucket_and_sorted_bounds() -> None:
    text = exposition(
        [
            {
                f"{DURATION}_bucket": {"web\x1f0.5": 3.0, "web\x1f0.05": 1.0, "web\x1f+Inf": 4.0, "web\x1fbad": 9.0},
                f"{DURATION}_sum": {"web": 1.5},
                f"{DURATION}_count": {"web": 4.0},
            }
        ]
    )
    lines = [line for line in text.decode().splitlines() if line.startswith(DURATION)]
    assert lines == [
        f'{DURATION}_bucket{{le="0.05",pool="web"}} 1.0',
        f'{DURATION}_bucket{{le="0.5",pool="web"}} 3.0',
        f'{DURATION}_bucket{{le="+Inf",pool="web"}} 4.0',
        f'{DURATION}_count{{pool="web"}} 4.0',
        f'{DURATION}_sum{{pool="web"}} 1.5',
    ]


def test_what_the_catalogue_does_not_know_is_left_out() -> None:
    text = exposition(
        [{"surprise_total": {"x": 1.0}, "holdfast_shed_total": {"web": 1.0, "web\x1fqueue\x1fmore": 1.0}}]
    )
    assert b"surprise" not in text
    assert not [name for name, _ in samples(text) if name == "holdfast_shed_total"]


def test_label_values_are_escaped() -> None:
    nasty = 'a"b\\c\nd'
    text = exposition([{"holdfast_shed_total": {f"{nasty}\x1fqueue": 1.0}}])
    assert samples(text)[("holdfast_shed_total", (("pool", nasty), ("reason", "queue")))] == 1.0


def test_parts_are_added_up() -> None:
    part: dict[str, dict[str, float]] = {"holdfast_client_errors_total": {"bad_request": 2.0}}
    found = samples(exposition([part, part]))
    assert found[("holdfast_client_errors_total", (("reason", "bad_request"),))] == 4.0


@pytest.mark.parametrize(
    ("before", "after", "counted"),
    [
        ("up", "open", True),
        ("ramping", "suppressed", True),
        ("up", "down", True),
        ("up", "drained", False),
        ("half_open", "open", False),
        ("up", "panic", False),
        ("up", "up", False),
    ],
)
def test_an_ejection_is_a_policy_taking_a_backend_out(before: State, after: State, counted: bool) -> None:
    tally = Tally()
    tally.transition(
        Transition(at=0.0, pool="web", backend="a", before=before, after=after, rule="outlier.consecutive")
    )
    found = tally.counters().get("holdfast_ejections_total", {})
    assert found == ({"web\x1fa\x1foutlier.consecutive": 1.0} if counted else {})
