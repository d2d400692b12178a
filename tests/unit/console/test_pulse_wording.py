"""NetPulse in words."""

from __future__ import annotations

import pytest

from holdfast.console import pulse_wording
from holdfast.console.netpulse import Monitor, Summary


@pytest.mark.parametrize(
    ("part", "text"),
    [(1.0, "100 %"), (0.999999, "99.999 %"), (0.9995, "99.95 %"), (0.5, "50 %"), (0.0, "0 %"), (None, "–")],
)
def test_a_share_is_never_rounded_up_to_all_of_it(part: float | None, text: str) -> None:
    assert pulse_wording.share(part) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (40, "40 s"), (125, "2 min 5 s"), (3000, "50 min"), (3700, "1 h 1 min"), (200_000, "2 d 7 h")],
)
def test_spans_have_two_units_at_most(seconds: float, text: str) -> None:
    assert pulse_wording.span(seconds) == text


@pytest.mark.parametrize(
    ("doubt", "words"),
    [(0.0, "No evidence"), (0.31, "31 %"), (0.8, "other regions"), (1.0, "reached the threshold")],
)
def test_doubt_is_said_in_words(doubt: float, words: str) -> None:
    assert words in pulse_wording.doubt(Monitor(id="m", state="up", doubt=doubt))


def test_a_state_that_was_never_heard_of_is_shown_by_its_name() -> None:
    assert pulse_wording.state_mark("half_open").text == "half open"


@pytest.mark.parametrize(
    ("summary", "text"),
    [
        (Summary(), "0 monitors; no incident stands."),
        (Summary(monitors={"up": 1}, incidents=1), "1 monitor; 1 incident stands."),
        (Summary(monitors={"up": 7, "down": 2}, incidents=2), "9 monitors, 2 down; 2 incidents stand."),
    ],
)
def test_a_summary_is_one_line(summary: Summary, text: str) -> None:
    assert pulse_wording.glance(summary) == text
