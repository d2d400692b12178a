"""The window against a plain list of attempts."""

from __future__ import annotations

import math

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast.resilience import OutlierPolicy, OutlierWindow
from holdfast.resilience.outlier import Mark, required_run


class OutlierMachine(RuleBasedStateMachine):
    """The model keeps every attempt as [bucket, row, outcome] and recounts."""

    @initialize(
        policy=st.builds(
            OutlierPolicy,
            buckets=st.integers(1, 4),
            minimum_volume=st.integers(1, 6),
            consecutive=st.integers(1, 6),
            success_ratio=st.sampled_from((0.0, 0.5, 0.9)),
        )
    )
    def begin(self, policy: OutlierPolicy) -> None:
        self.policy = policy
        self.window = OutlierWindow(policy)
        self.now = 0.0
        self.row = 0
        self.last_failure = -math.inf
        self.attempts: list[list[int | str]] = []
        self.marks: list[tuple[Mark, list[int | str]]] = []

    def bucket(self) -> int:
        return int(self.now // self.policy.bucket_s)

    @rule(wait_s=st.sampled_from((0.0, 0.3, 1.0, 2.5, 60.0)))
    def wait(self, wait_s: float) -> None:
        self.now += wait_s

    @rule(count=st.integers(1, 5))
    def succeed(self, count: int) -> None:
        self.window.succeeded(count, self.now)
        if any(attempt[1] == self.row and attempt[2] in ("failure", "held") for attempt in self.attempts):
            self.row += 1
        self.attempts += [[self.bucket(), -1, "success"] for _ in range(count)]

    def fails(self) -> None:
        silent = self.now - self.last_failure > self.policy.window_s
        if silent and any(attempt[1] == self.row and attempt[2] in ("failure", "held") for attempt in self.attempts):
            self.row += 1
        self.last_failure = self.now

    @rule(count=st.integers(1, 5))
    def fail(self, count: int) -> None:
        self.fails()
        self.window.failed(count, self.now)
        self.attempts += [[self.bucket(), self.row, "failure"] for _ in range(count)]

    @rule()
    def hold(self) -> None:
        self.fails()
        attempt: list[int | str] = [self.bucket(), self.row, "held"]
        self.marks.append((self.window.hold(self.now), attempt))
        self.attempts.append(attempt)

    @precondition(lambda self: self.marks)
    @rule(data=st.data(), how=st.sampled_from(("confirm", "retract", "doubt")))
    def decide(self, data: st.DataObject, how: str) -> None:
        place = data.draw(st.integers(0, len(self.marks) - 1))
        mark, attempt = self.marks[place]
        if how == "doubt" and attempt[2] == "failure":
            self.window.doubt(mark)
            attempt[2] = "held"
        elif how == "confirm" and attempt[2] == "held":
            self.window.confirm(mark)
            attempt[2] = "failure"
        elif how == "retract" and attempt[2] == "held":
            self.window.retract(mark)
            attempt[2] = "retracted"

    @rule()
    def clear(self) -> None:
        self.window.clear()
        for _, attempt in self.marks:
            attempt[2] = "forgotten"
        stale = list(self.marks)
        self.attempts, self.marks = [], []
        self.row += 1
        self.last_failure = -math.inf
        for mark, _ in stale:
            self.window.confirm(mark)
            self.window.retract(mark)

    @invariant()
    def counts_what_is_in_the_window(self) -> None:
        recent = [a[2] for a in self.attempts if int(a[0]) > self.bucket() - self.policy.buckets]
        totals = self.window.totals(self.now)
        assert totals.successes == recent.count("success")
        assert totals.failures == recent.count("failure")
        assert totals.held == recent.count("held")

    @invariant()
    def counts_the_present_run(self) -> None:
        run = [a for a in self.attempts if a[1] == self.row and a[2] in ("failure", "held")]
        assert self.window.run_length == len(run)

    @invariant()
    def evidence_rests_on_confirmed_failures(self) -> None:
        evidence = self.window.evidence(self.now)
        if evidence is None:
            return
        confirmed = sum(1 for a in self.attempts if a[2] == "failure")
        assert confirmed >= 1
        if evidence.rule == "outlier.consecutive":
            assert confirmed >= float(evidence.figures["required"]) >= self.policy.consecutive
        else:
            assert float(evidence.figures["volume"]) >= self.policy.minimum_volume
            assert float(evidence.figures["success_ratio"]) < self.policy.success_ratio + 0.001


TestOutlier = OutlierMachine.TestCase
TestOutlier.settings = settings(deadline=None)


@given(attempts=st.integers(0, 100_000), share=st.floats(0, 1), consecutive=st.integers(1, 20))
def test_a_run_that_is_evidence_is_rarer_than_one_in_a_million_windows(
    attempts: int, share: float, consecutive: int
) -> None:
    failures = int(attempts * share)
    needed, q = required_run(attempts, failures, consecutive)
    assert needed >= consecutive
    assert attempts * q**needed <= 1.000001e-6
    assert required_run(attempts, min(attempts, failures + 1), consecutive)[0] >= needed, "more doubt, longer run"
