"""What a person sees of a record, and how drills are found."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from holdfast.drills import UnknownDrillError, list_drills, render, render_comparison, run_drill
from holdfast.drills.report import format_value
from holdfast.evidence import compare
from tests.unit.evidence.records import small_record


def printed(renderable: object) -> str:
    console = Console(width=140, no_color=True)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_a_record_is_shown_with_its_contenders_verdicts_notes_and_control() -> None:
    text = printed(render(small_record(attempts=20)))
    for part in ("holdfast", "control", "attempts_per_request", "FAILS", "not installed", "without the budget"):
        assert part in text


def test_a_quick_run_says_that_it_is_not_to_be_quoted() -> None:
    text = printed(render(small_record(attempts=20, quick=True)))
    assert "before quoting it" in text
    assert "FAILS" not in text


def test_a_comparison_is_shown_with_its_doubts() -> None:
    text = printed(render_comparison(compare(small_record(), small_record(attempts=20, quick=True))))
    assert "worse" in text
    assert "doubt" in text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "ms", "-"),
        (0.0, "", "0"),
        (12.0, "requests", "12 requests"),
        (0.01234, "", "0.0123"),
        (2030.4, "ms", "2,030 ms"),
    ],
)
def test_values_have_three_digits_and_their_unit(value: float | None, unit: str, text: str) -> None:
    assert format_value(value, unit) == text


def test_drills_are_listed_with_the_question_that_they_ask() -> None:
    names = [drill.name for drill in list_drills()]
    code_runner = ["burst", "runner", "execution-chaos", "scale-to-zero"]
    balancer = ["flapping", "outage", "dead-backend", "throughput", "reload", "idle"]
    netpulse = ["noise", "watch-capacity", "watch-chaos"]
    gateway = ["gateway", "gateway-holding", "gateway-ledger"]
    deploy = ["deploy-cutover", "deploy-faults", "deploy-cost"]
    assert names == [*balancer, *code_runner, *netpulse, *gateway, *deploy, "blog-build"]
    assert all(drill.title.endswith("?") for drill in list_drills())


def test_an_unknown_drill_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(UnknownDrillError, match="flapping, outage"):
        run_drill("earthquake", quick=True, seed=1, out=tmp_path, progress=print)
