"""What waits to be reported: nothing is lost, nothing is said twice, and memory is bounded."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.execution.core.protocol import Report, WireResult
from holdfast.execution.shell.worker.outbox import (
    LIVE_BYTES,
    LIVE_INTERVAL_S,
    LIVE_PENDING_BYTES,
    REPORT_BYTES,
    Key,
    Outbox,
)

A: Key = ("a", 1)
B: Key = ("b", 7)
NOW = 100.0
AT_ONCE = float("-inf")


def outbox(*keys: Key) -> Outbox:
    made = Outbox("w", "e", renew_s=5.0, now=NOW)
    for key in keys:
        made.hold(key)
    return made


def result(key: Key, size: int = 0) -> WireResult:
    return WireResult(id=key[0], token=key[1], verdict="ok", stdout=b"x" * size)


def test_with_nothing_held_nothing_is_due() -> None:
    assert outbox().due_at() is None


def test_leases_are_due_for_renewal_after_the_interval_and_not_again_before_the_next() -> None:
    box = outbox(A)
    assert box.due_at() == NOW + 5.0
    report = box.report()
    assert [(one.id, one.token) for one in report.held] == [A]
    box.delivered(report, NOW + 5.0)
    assert box.due_at() == NOW + 10.0
    box.renewed(NOW + 7.0)
    assert box.due_at() == NOW + 12.0


def test_a_result_is_due_at_once_and_settles_its_claim_when_it_is_delivered() -> None:
    box = outbox(A, B)
    box.finish(result(A))
    assert box.due_at() == AT_ONCE
    report = box.report()
    assert len(report.held) == 2
    assert box.delivered(report, NOW) == [A]
    assert [(one.id, one.token) for one in box.held] == [B]


def test_a_report_without_a_receipt_is_repeated_with_what_came_meanwhile() -> None:
    box = outbox(A, B)
    box.finish(result(A))
    first = box.report()
    box.finish(result(B))
    second = box.report()
    assert first.results == second.results[:1]
    assert box.delivered(second, NOW) == [A, B]
    assert box.due_at() is None


def test_a_result_that_came_while_a_report_was_under_way_is_not_settled_by_it() -> None:
    box = outbox(A, B)
    box.finish(result(A))
    report = box.report()
    box.finish(result(B))
    assert box.delivered(report, NOW) == [A]
    assert box.report().results == (result(B),)


def test_small_output_waits_for_more_and_large_output_does_not() -> None:
    box = outbox(A)
    assert box.output(A, "stdout", b"x", NOW + 1)
    assert box.due_at() == NOW + 1 + LIVE_INTERVAL_S
    assert not box.output(A, "stdout", b"y", NOW + 1.01)
    assert box.due_at() == NOW + 1 + LIVE_INTERVAL_S
    assert box.output(A, "stdout", b"z" * LIVE_BYTES, NOW + 1.02)
    assert box.due_at() == AT_ONCE


def test_output_is_coalesced_per_stream_and_numbered_over_both() -> None:
    box = outbox(A)
    for stream, data in (("stdout", b"1"), ("stdout", b"2"), ("stderr", b"3"), ("stdout", b"4")):
        box.output(A, stream, data, NOW)  # type: ignore[arg-type]
    assert [(piece.seq, piece.stream, piece.data) for piece in box.report().output] == [
        (0, "stdout", b"12"),
        (1, "stderr", b"3"),
        (2, "stdout", b"4"),
    ]


def test_a_piece_that_was_sent_is_repeated_unchanged_until_it_is_received() -> None:
    box = outbox(A)
    box.output(A, "stdout", b"one", NOW)
    first = box.report()
    box.output(A, "stdout", b"two", NOW)
    second = box.report()
    assert [(piece.seq, piece.data) for piece in second.output] == [(0, b"one"), (1, b"two")]
    assert first.output == second.output[:1]
    box.delivered(second, NOW)
    assert box.report().output == ()


def test_output_that_nobody_takes_is_bounded_and_what_was_kept_is_the_beginning() -> None:
    box = outbox(A)
    for _ in range(100):
        box.output(A, "stdout", b"x" * 10_000, NOW)
    box.output(A, "stdout", b"y", NOW)
    (piece,) = box.report().output
    assert LIVE_PENDING_BYTES - 10_000 < len(piece.data) <= LIVE_PENDING_BYTES
    assert b"y" not in piece.data


def test_the_end_of_output_that_somebody_follows_comes_with_the_result() -> None:
    box = outbox(A)
    box.output(A, "stdout", b"one", NOW)
    box.delivered(box.report(), NOW)
    box.output(A, "stdout", b"two", NOW)
    box.finish(result(A))
    assert [piece.data for piece in box.report().output] == [b"two"]


def test_output_of_a_short_job_is_in_its_result_alone() -> None:
    box = outbox(A)
    box.output(A, "stdout", b"one", NOW)
    box.finish(result(A))
    assert box.report().output == ()


def test_output_after_the_end_is_not_taken() -> None:
    box = outbox(A)
    box.finish(result(A))
    assert not box.output(A, "stdout", b"late", NOW)
    assert box.report().output == ()


def test_a_report_grows_no_further_once_it_is_large_but_one_result_always_fits() -> None:
    box = outbox(A, B)
    box.finish(result(A, REPORT_BYTES + 1))
    box.finish(result(B, 1))
    report = box.report()
    assert report.results == (result(A, REPORT_BYTES + 1),)
    assert box.delivered(report, NOW) == [A]
    assert box.report().results == (result(B, 1),)


def test_of_a_claim_that_is_lost_nothing_is_said() -> None:
    box = outbox(A, B)
    box.output(A, "stdout", b"x", NOW)
    box.forget(A)
    box.finish(result(A))
    box.give_back(A, "no", counts=True)
    report = box.report()
    assert (report.results, report.given_back, report.output, len(report.held)) == ((), (), (), 1)


def test_a_result_that_is_rejected_becomes_a_claim_given_back() -> None:
    box = outbox(A, B)
    box.finish(result(A))
    box.finish(result(B))
    report = box.report(alone=True)
    assert report.results == (result(A),)
    assert box.rejected(report, "too large") == []
    second = box.report()
    assert second.results == (result(B),)
    assert [(back.id, back.reason, back.counts) for back in second.given_back] == [("a", "too large", True)]


def test_what_cannot_even_be_given_back_is_left_to_its_lease() -> None:
    box = outbox(A)
    box.give_back(A, "no", counts=True)
    assert box.rejected(box.report(alone=True), "no") == [A]
    assert box.held == ()


class Conversation(RuleBasedStateMachine):
    """Any order of output, results, losses and lost receipts: what the API has at the end is what happened."""

    @initialize()
    def begin(self) -> None:
        self.box = outbox()
        self.keys: list[Key] = []
        self.written: dict[Key, bytes] = {}
        self.ended: set[Key] = set()
        self.lost: set[Key] = set()
        self.heard: dict[Key, dict[int, bytes]] = {}
        self.results: dict[Key, int] = {}
        self.now = NOW

    @rule()
    def claim(self) -> None:
        key = (f"job{len(self.keys)}", 1)
        self.keys.append(key)
        self.written[key] = b""
        self.box.hold(key)

    @rule(number=st.integers(0, 50), data=st.binary(min_size=1, max_size=60_000))
    def write(self, number: int, data: bytes) -> None:
        if self.keys:
            key = self.keys[number % len(self.keys)]
            if key not in self.ended:
                self.written[key] += data
            self.box.output(key, "stdout", data, self.now)

    @rule(number=st.integers(0, 50), back=st.booleans())
    def end(self, number: int, back: bool) -> None:
        if self.keys:
            key = self.keys[number % len(self.keys)]
            if key not in self.ended:
                self.ended.add(key)
                if back:
                    self.box.give_back(key, "no", counts=False)
                else:
                    self.box.finish(result(key))

    @rule(number=st.integers(0, 50))
    def lose(self, number: int) -> None:
        if self.keys:
            key = self.keys[number % len(self.keys)]
            self.ended.add(key)
            self.lost.add(key)
            self.box.forget(key)

    @rule(arrives=st.booleans(), receipt=st.booleans())
    def report(self, arrives: bool, receipt: bool) -> None:
        report = self.box.report()
        if arrives:
            self.take(report)
            if receipt:
                self.box.delivered(report, self.now)

    def take(self, report: Report) -> None:
        for piece in report.output:
            key = (piece.id, piece.token)
            heard = self.heard.setdefault(key, {})
            assert heard.setdefault(piece.seq, piece.data) == piece.data
        for one in report.results:
            self.results[one.id, one.token] = 1

    @invariant()
    def live_output_is_a_beginning_of_what_was_written(self) -> None:
        for key, heard in self.heard.items():
            assert sorted(heard) == list(range(len(heard)))
            assert self.written[key].startswith(b"".join(heard[seq] for seq in sorted(heard)))

    def teardown(self) -> None:
        while (due := self.box.due_at()) == AT_ONCE:
            report = self.box.report()
            self.take(report)
            self.box.delivered(report, self.now)
        assert due is None or due > self.now
        held = {(one.id, one.token) for one in self.box.held}
        assert held == set(self.keys) - self.ended


TestConversation = Conversation.TestCase
