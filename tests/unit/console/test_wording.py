"""A job in words."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.console.execution import Compile, Job, Limits
from holdfast.console.wording import (
    LANGUAGES,
    STATUSES,
    VERDICTS,
    Badge,
    badge,
    bars,
    explanation,
    language,
    milliseconds,
    retry_after,
    sentence,
    size,
)
from holdfast.execution.core.job import Status, Verdict

LIMITS = Limits(wall_s=10.0, cpu_s=5.0, memory_bytes=256 * 2**20, output_bytes=2**20, processes=64)


def job(verdict: str | None = "ok", status: str = "finished", **fields: Any) -> Job:
    return Job(id="J", status=status, verdict=verdict, **fields)


def test_every_status_and_verdict_of_the_service_has_a_word_and_a_colour() -> None:
    assert set(STATUSES) == {status.value for status in Status}
    assert set(VERDICTS) == {verdict.value for verdict in Verdict}


@pytest.mark.parametrize("verdict", [verdict.value for verdict in Verdict])
@pytest.mark.parametrize("limits", [None, LIMITS])
def test_every_verdict_is_explained_in_a_sentence(verdict: str, limits: Limits | None) -> None:
    text = explanation(job(verdict, exit_code=None, message="m"), limits)
    assert text[0].isupper()
    assert text.endswith(".")
    assert "None" not in text or verdict == "runtime_error"
    assert "_" not in text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (job("runtime_error", exit_code=3), "The program ended with exit code 3."),
        (job("runtime_error", signal=11), "The program was ended by SIGSEGV (segmentation fault)."),
        (job("runtime_error", signal=99), "The program was ended by signal 99."),
        (job("memory_limit"), "Killed: it used more than 256 MiB of memory."),
        (job("output_limit"), "Killed: it wrote more than 1 MiB of output."),
        (job("time_limit", cpu_ms=5001.0, wall_ms=6000.0), "Killed: it used more than 5 s of CPU time."),
        (job("time_limit", cpu_ms=10.0, wall_ms=10_001.0), "Killed: it was not done after 10 s."),
        (job("cancelled"), "Somebody cancelled it before it was started."),
        (job("cancelled", started_at="t"), "Somebody cancelled it."),
        (job(None, "queued"), "It waits for a free slot."),
        (job(None, "queued", attempts=1), "It was started before, and waits to be tried again."),
        (job(None, "running", cancel_requested=True), "It was told to stop."),
        (job(None, "dead", attempts=3, dead_reason="lease lost"), "Given up after 3 attempts: lease lost."),
        (job(None, "dead", attempts=1), "Given up after one attempt: no reason was recorded."),
        (job("new_verdict"), "It ended: new verdict."),
        (job(None), "It ended: without a verdict."),
    ],
)
def test_what_came_of_a_job_is_said_with_its_figures(given: Job, said: str) -> None:
    assert explanation(given, LIMITS) == said


def test_a_badge_shows_the_verdict_or_else_the_status() -> None:
    assert badge(job("ok")) == Badge("ok", "good")
    assert badge(job(None, "queued")) == Badge("queued", "wait")
    assert badge(job(None, "running", cancel_requested=True)) == Badge("cancelling", "wait")
    assert badge(job("internal_error", "dead")) == Badge("dead letter", "bad")
    assert badge(job("new_verdict")) == Badge("new verdict", "quiet")


def test_bars_are_full_where_a_limit_was_hit_and_never_overflow() -> None:
    used = job("memory_limit", cpu_ms=2500.0, wall_ms=20_000.0, memory_bytes=250 * 2**20, stdout="é" * 10, stderr="e")
    shown = {bar.label: (bar.used, bar.limit, bar.share, bar.is_full) for bar in bars(used, LIMITS)}
    assert shown == {
        "CPU": ("2.5 s", "5 s", 0.5, False),
        "Wall": ("20 s", "10 s", 1.0, True),
        "Memory": ("250 MiB", "256 MiB", 1.0, True),
        "Output": ("21 B", "1 MiB", 21 / 2**20, False),
    }


def test_the_limit_is_for_the_run_and_what_was_compiled_before_it_does_not_count() -> None:
    compiled = Compile(cpu_ms=3000.0)
    assert bars(job(cpu_ms=3500.0, wall_ms=600.0, compile=compiled), LIMITS)[0].used == "500 ms"
    cached = Compile(cpu_ms=3000.0, cached=True)
    assert bars(job(cpu_ms=500.0, wall_ms=600.0, compile=cached), LIMITS)[0].used == "500 ms"
    slow = job("time_limit", cpu_ms=7000.0, wall_ms=10_001.0, compile=compiled)
    assert explanation(slow, LIMITS) == "Killed: it was not done after 10 s."
    assert bars(job("compile_error", cpu_ms=3000.0, wall_ms=0.0, compile=compiled), LIMITS) == [], "nothing ran"


def test_without_limits_there_are_figures_and_no_shares() -> None:
    used = job(cpu_ms=1.0, wall_ms=2.0, memory_bytes=None, stdout=None)
    assert [(bar.label, bar.share) for bar in bars(used, None)] == [("CPU", None), ("Wall", None)]
    assert bars(job(None, "running"), LIMITS) == []


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0 ms"), (8.13, "8.1 ms"), (9.96, "10 ms"), (124.4, "124 ms"), (999.4, "999 ms"),
     (999.6, "1 s"), (1240, "1.24 s"),
     (10_000, "10 s"), (59_940, "59.9 s"), (125_000, "2 min 5 s"), (120_000, "2 min")],
)  # fmt: skip
def test_durations_are_short(ms: float, text: str) -> None:
    assert milliseconds(ms) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (3500, "3.4 KiB"), (2**20 - 1, "1 MiB"), (256 * 2**20, "256 MiB"),
     (3 * 2**30 // 2, "1.5 GiB"), (2**42, "4096 GiB")],
)  # fmt: skip
def test_sizes_are_short(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.0, "in 1 second"), (1.0, "in 1 second"), (1.2, "in 2 seconds"), (89.0, "in 89 seconds"),
     (300.0, "in about 5 minutes")],
)  # fmt: skip
def test_the_time_to_try_again_is_never_too_early(seconds: float | None, text: str) -> None:
    assert retry_after(seconds) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("it is", "It is."),
        ("Done!", "Done!"),
        ("stdin: too long", "stdin: too long."),
        ("http://x: no", "http://x: no."),
    ],
)
def test_a_service_s_words_become_a_sentence(text: str, said: str) -> None:
    assert sentence(text) == said


def test_languages_are_called_what_they_call_themselves() -> None:
    assert (language("cpp"), language("csharp"), language("zig")) == ("C++", "C#", "zig")
    assert list(LANGUAGES) == sorted(LANGUAGES)
