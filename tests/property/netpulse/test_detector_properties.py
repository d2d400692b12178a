"""What holds for every sequence of results."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.netpulse.core.detector import Detector, Policy
from holdfast.netpulse.core.incident import Condition
from holdfast.netpulse.core.result import Failure, Observation, Outcome
from holdfast.netpulse.core.settings import SimpleRule

DOMAINS = {"eu-1": "eu", "eu-2": "eu", "us": "us", "ap": "ap"}
POLICY = Policy(
    threshold=13.0,
    cap=6.5,
    lone_threshold=14.0,
    partial_threshold=17.0,
    slow_threshold=17.0,
    interval_s=30.0,
    cert_days=14,
)
RULED = replace(POLICY, rule=SimpleRule(regions=2, in_a_row=2))


@st.composite
def results(draw: st.DrawFn, regions: tuple[str, ...] = tuple(DOMAINS)) -> list[Observation]:
    now = 1_000.0
    found = []
    for _ in range(draw(st.integers(0, 50))):
        now += draw(st.sampled_from((-20.0, 0.0, 0.5, 5.0, 10.0, 400.0, 90_000.0)))
        outcome = draw(st.sampled_from((Outcome.UP, Outcome.UP, Outcome.DOWN, Outcome.DOWN, Outcome.UNKNOWN)))
        region = draw(st.sampled_from(regions))
        found.append(
            Observation(
                monitor="t/m",
                region=region,
                domain=DOMAINS[region],
                agent=region,
                at=now,
                received=now + 0.1,
                outcome=outcome,
                failure=Failure.TIMEOUT if outcome is Outcome.DOWN else Failure.NONE,
                total_ms=draw(st.sampled_from((20.0, 40.0, 5_000.0))),
                cert_days=draw(st.sampled_from((None, 3.0, 90.0))),
                late=draw(st.booleans()) and draw(st.booleans()),
            )
        )
    return found


@given(results(), st.sampled_from((POLICY, RULED)))
@settings(deadline=None, max_examples=60)
def test_signals_alternate_and_agree_with_what_stands(seen: list[Observation], policy: Policy) -> None:
    detector = Detector("t/m", policy, DOMAINS)
    standing: set[Condition] = set()
    for result in seen:
        for signal in detector.observe(result):
            assert signal.active != (signal.condition in standing)
            assert signal.began <= signal.at
            standing ^= {signal.condition}
        assert detector.active == standing
        assert 0.0 <= detector.doubt <= 1.0
        assert not (Condition.DOWN in standing and standing & {Condition.PARTIAL, Condition.SLOW})


@given(results(("eu-1", "eu-2")))
@settings(deadline=None, max_examples=60)
def test_one_domain_alone_never_makes_an_alarm_while_another_is_heard(seen: list[Observation]) -> None:
    detector = Detector("t/m", POLICY, DOMAINS)
    for result in seen:
        for region in ("us", "ap"):
            well = replace(result, region=region, domain=region, outcome=Outcome.UP, total_ms=20.0, cert_days=None)
            assert not [s for s in detector.observe(well) if s.active and s.condition is Condition.DOWN]
        assert not [s for s in detector.observe(result) if s.active and s.condition is Condition.DOWN]


@given(results(), results())
@settings(deadline=None, max_examples=60)
def test_a_restart_changes_no_judgement(before: list[Observation], after: list[Observation]) -> None:
    first = Detector("t/m", POLICY, DOMAINS)
    for result in before:
        first.observe(result)
    second = Detector("t/m", POLICY, DOMAINS)
    second.restore(first.snapshot())
    assert second.active == first.active
    assert second.snapshot() == first.snapshot()
    assert abs(second.doubt - first.doubt) < 1e-9


@given(results(), st.binary(max_size=200))
@settings(deadline=None, max_examples=60)
def test_no_bytes_break_a_restore(seen: list[Observation], data: bytes) -> None:
    detector = Detector("t/m", POLICY, DOMAINS)
    detector.restore(data)
    for result in seen:
        detector.observe(result)


@given(results())
@settings(deadline=None, max_examples=60)
def test_unknown_and_late_results_change_nothing(seen: list[Observation]) -> None:
    with_them, without = (Detector("t/m", POLICY, DOMAINS) for _ in range(2))
    for result in seen:
        with_them.observe(result)
        if result.outcome is not Outcome.UNKNOWN and not result.late:
            without.observe(result)
    assert with_them.snapshot() == without.snapshot()


@given(results(), results())
@settings(deadline=None, max_examples=60)
def test_a_reload_keeps_what_stands(before: list[Observation], after: list[Observation]) -> None:
    detector = Detector("t/m", POLICY, DOMAINS)
    for result in before:
        detector.observe(result)
    standing = detector.active
    detector.reconfigure(replace(POLICY, threshold=20.0, cap=10.0), {"eu-1": "eu", "us": "us", "sa": "sa"})
    assert detector.active == standing
    for result in after:
        detector.observe(result)
