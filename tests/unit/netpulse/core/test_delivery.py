"""What an answer means, and what follows from it."""

from __future__ import annotations

from random import Random

import pytest

from holdfast.kernel import Duration
from holdfast.netpulse.core.delivery import (
    RETRY_AFTER_LIMIT_S,
    Again,
    Answer,
    GivenUp,
    Later,
    Outcome,
    Refused,
    Sent,
    body_object,
    consequence,
    line,
    of_status,
)
from holdfast.netpulse.core.settings import ChannelSettings

CHANNEL = ChannelSettings(attempts=4, backoff_min=Duration(1.0), backoff_max=Duration(60.0))


@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        (Sent, (200, 202, 204)),
        (Again, (301, 408, 425, 429, 500, 502, 503)),
        (Refused, (400, 401, 403, 404, 410, 413)),
    ],
)
def test_the_status_says_whether_it_is_worth_trying_again(kind: type[Outcome], statuses: tuple[int, ...]) -> None:
    for status in statuses:
        assert isinstance(of_status(Answer(status=status)), kind), status


def settle(outcome: Outcome, attempt: int = 1) -> Sent | Later | GivenUp:
    return consequence(outcome, attempt=attempt, settings=CHANNEL, rng=Random(1))


def test_a_refusal_is_given_up_at_once() -> None:
    assert settle(Refused("answered 404")) == GivenUp("answered 404")


def test_the_wait_doubles_and_half_of_it_is_chance() -> None:
    for attempt, ceiling in ((1, 1.0), (2, 2.0), (3, 4.0)):
        later = settle(Again("x"), attempt)
        assert isinstance(later, Later)
        assert ceiling / 2 <= later.after_s <= ceiling


def test_attempts_are_bounded_and_the_last_one_says_so() -> None:
    assert settle(Again("no answer"), 4) == GivenUp("no answer (attempt 4 of 4)")


def test_retry_after_is_honoured_forward_only_and_not_for_ever() -> None:
    assert settle(Again("x", 30.0)) == Later(30.0, "x")
    assert settle(Again("x", 0.001)) == settle(Again("x"))
    assert settle(Again("x", 1e9)) == Later(RETRY_AFTER_LIMIT_S, "x")


def test_what_a_service_says_of_it_becomes_one_short_line() -> None:
    refused = of_status(Answer(status=400), detail="bad\r\n\x1b[31mevent" + "x" * 500)
    assert isinstance(refused, Refused)
    assert refused.why.startswith("answered 400: bad [31mevent")
    assert len(refused.why) < 230


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[1]", b"\xff", b"null", b'{"a"'])
def test_a_body_that_is_no_object_is_none(body: bytes) -> None:
    assert body_object(Answer(status=200, body=body)) == {}


def test_a_line_is_printable_and_of_bounded_length() -> None:
    assert line("a\nb\tc\u202ed\x00", 20) == "a b c d"
    assert line("x" * 30, 10) == "x" * 9 + "…"
