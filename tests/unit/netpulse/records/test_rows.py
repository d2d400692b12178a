"""What is packed comes back, as exactly as it says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.netpulse.core.result import NO_PHASES, Failure, Observation, Outcome, Phases
from holdfast.netpulse.shell.records import rows

milliseconds = st.none() | st.floats(0.0, 1e6)
observations = st.builds(
    Observation,
    monitor=st.just("t/web"),
    region=st.just("eu"),
    domain=st.just("aws"),
    agent=st.just("eu-1"),
    at=st.floats(0, 4e9),
    received=st.floats(0, 4e9),
    outcome=st.sampled_from(Outcome),
    failure=st.sampled_from(Failure),
    total_ms=st.floats(0, 1e12),
    phases=st.builds(Phases, milliseconds, milliseconds, milliseconds, milliseconds, milliseconds),
    status=st.integers(-(2**40), 2**40),
    detail=st.text(max_size=300),
    address=st.just("192.0.2.1"),
    cert_days=st.none() | st.floats(-1e5, 1e5),
    confirm=st.booleans(),
    late=st.booleans(),
    simulated=st.booleans(),
)


@given(observations)
def test_any_result_fits_a_row_and_comes_back(seen: Observation) -> None:
    row = rows.row(7, seen, 1, 2, 3)
    back = rows.observation(row, {1: "t/web", 3: "192.0.2.1"}, {2: ("eu", "aws", "eu-1")})
    for name in ("monitor", "region", "domain", "agent", "outcome", "failure", "address", "confirm", "late"):
        assert getattr(back, name) == getattr(seen, name)
    assert back.simulated == seen.simulated
    assert back.at == pytest.approx(seen.at, abs=0.001)
    assert back.detail == seen.detail[:200].replace("\0", "")
    assert all(-(2**31) <= value < 2**31 for value in row[2:10])
    for kept, true in zip(phases(back), phases(seen), strict=True):
        if true is None or kept is None:
            assert kept is true
        elif 0.001 <= true < 65_504:
            assert kept == pytest.approx(true, rel=0.0005, abs=1e-6)


def phases(seen: Observation) -> tuple[float | None, ...]:
    return seen.phases.resolve, seen.phases.connect, seen.phases.tls, seen.phases.first_byte, seen.phases.transfer


def test_every_failure_has_its_number_for_good() -> None:
    assert {Failure(name) for name in rows.FAILURES} == set(Failure)
    assert rows.FAILURES[:5] == ("", "resolve", "refused", "unreachable", "reset")
    assert len(rows.FAILURES) <= 64


def test_nothing_takes_no_room() -> None:
    assert rows.figures(NO_PHASES, None) == b""
    assert rows.figures(Phases(), None) == b""
    assert rows.unpacked(b"") == (NO_PHASES, None)


def test_a_phase_that_is_too_long_for_its_two_bytes_is_told_as_the_longest() -> None:
    assert rows.unpacked(rows.figures(Phases(connect=1e6), None))[0].connect == 65_504.0
