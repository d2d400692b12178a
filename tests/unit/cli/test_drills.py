"""``holdfast drill``, as far as it starts no drill."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from rich.console import Console

from holdfast.cli import main
from holdfast.cli.drills import Phases
from holdfast.cli.evidence import age
from holdfast.evidence import write
from tests.unit.evidence.records import small_record

NOW = dt.datetime(2026, 1, 10, tzinfo=dt.UTC)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    write(small_record(), tmp_path)
    return tmp_path


def test_the_list_says_how_each_drills_last_record_stands(capsys: pytest.CaptureFixture[str], archive: Path) -> None:
    assert main(["drill", "list", "--evidence", str(archive)]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "current, " in lines["flapping"]
    assert "no record" in lines["outage"]
    assert main(["drill", "list", "--json", "--evidence", str(archive)]) == 0
    first, second, *_ = json.loads(capsys.readouterr().out)
    assert first["record"]["current"] is True
    assert second["record"] is None


def test_a_report_is_printed_or_written_as_a_page(capsys: pytest.CaptureFixture[str], archive: Path) -> None:
    assert main(["drill", "report", "flapping", "--evidence", str(archive)]) == 0
    assert "Does it hold?" in capsys.readouterr().out
    out = archive / "report.html"
    assert main(["drill", "report", "--evidence", str(archive), "-o", str(out)]) == 0
    assert "Content-Security-Policy" in out.read_text(encoding="utf-8")


def test_a_report_of_nothing_is_a_wrong_input(capsys: pytest.CaptureFixture[str], archive: Path) -> None:
    assert main(["drill", "report", "outage", "--evidence", str(archive)]) == 2
    assert "no full record of outage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (dt.timedelta(seconds=-5), "0 min"),
        (dt.timedelta(minutes=119), "119 min"),
        (dt.timedelta(hours=2), "2 h"),
        (dt.timedelta(hours=47, minutes=59), "47 h"),
        (dt.timedelta(days=2), "2 d"),
    ],
)
def test_ages_are_told_in_a_unit_of_which_there_are_two(ago: dt.timedelta, text: str) -> None:
    assert age(NOW - ago, NOW) == text


def test_each_phase_stays_on_the_terminal_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console = Console(force_terminal=True, width=100)
    with console.capture() as capture, Phases(console) as phases:
        phases.begin("flapping: holdfast")
        phases.begin("flapping: [control]")
    text = capture.get()
    assert "flapping: holdfast" in text
    assert "[control]" in text
    assert "\N{CHECK MARK}" in text


def test_phases_are_silent_in_a_pipe() -> None:
    console = Console(force_terminal=False)
    with console.capture() as capture, Phases(console) as phases:
        phases.begin("flapping: holdfast")
    assert capture.get() == ""
