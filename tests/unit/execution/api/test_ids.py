from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.execution.shell.api.ids import JobIds, is_job_id


def test_ids_of_one_millisecond_rise() -> None:
    ids = JobIds(lambda n: b"\xff" * n)
    made = [ids.new(1_800_000_000.0) for _ in range(100)]
    assert made == sorted(set(made))
    assert all(map(is_job_id, made))


def test_ids_rise_when_the_clock_is_set_back() -> None:
    ids = JobIds(lambda n: b"\x80" * n)
    assert ids.new(1_800_000_000.0) < ids.new(1_700_000_000.0)


def test_an_id_is_a_ulid() -> None:
    # The example of the specification: 1469918176385 ms is 01ARYZ6S41.
    assert JobIds(bytes).new(1469918176.385).startswith("01ARYZ6S41")


@given(st.floats(0, 2**33), st.floats(0, 2**33))
def test_ids_sort_by_time(one: float, other: float) -> None:
    early, late = sorted((one, other))
    assert JobIds(bytes).new(early) <= JobIds(bytes).new(late)


def test_what_cannot_be_an_id_is_told_without_a_look_up() -> None:
    assert not any(map(is_job_id, ("", "x", "01ARYZ6S41TSV4RRFFQ69G5FAU", "01aryz6s41tsv4rrffq69g5fav", "0" * 27)))
