"""The parts of the code runner's drills that need no server."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.drills import burst, forgetful, namespaces
from holdfast.drills.code_runners import epoch
from holdfast.drills.errors import DrillError
from holdfast.drills.namespaces import Cable, has_netem


def test_times_of_the_api_become_seconds_since_the_epoch() -> None:
    assert epoch("1970-01-01T00:01:00.250Z") == 60.25


def test_finished_programs_are_counted_in_whole_spans_per_second() -> None:
    moments = [100.0, 104.9, 105.0, 111.0]  # the last one is in a span that is not whole
    assert burst.spans(moments, 100.0, 113.0, 5.0) == [0.4, 0.2]


def test_one_program_in_five_has_to_be_compiled_and_none_is_like_another() -> None:
    programs = [burst.program(number) for number in range(50)]
    assert [one["language"] for one in programs].count("cpp") == 10
    assert len({one["source"] for one in programs}) == 50


def test_a_cable_that_cannot_be_laid_leaves_no_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _scripted(monkeypatch, fails=lambda words: "veth" in words)
    with pytest.raises(DrillError, match="veth"):
        Cable().__enter__()
    made = [words[-1] for words in asked if words[:2] == ("netns", "add")]
    removed = [words[-1] for words in asked if words[:2] == ("netns", "delete")]
    assert len(made) == 2
    assert removed == made


def test_pulling_the_cable_takes_down_the_far_end_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _scripted(monkeypatch)
    with Cable() as cable:
        asked.clear()
        cable.pull()
        cable.plug_in()
        assert [(words[1], words[-1]) for words in asked] == [(cable.far, "down"), (cable.far, "up")]


def test_two_cables_at_one_time_have_different_names() -> None:
    one, other = Cable(), Cable()
    assert {one.near, one.far}.isdisjoint({other.near, other.far})


@pytest.mark.parametrize("there", [True, False])
def test_netem_is_tried_in_a_namespace_that_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    asked = _scripted(monkeypatch, fails=lambda words: "netem" in words and not there)
    assert has_netem.__wrapped__() is there
    assert [words[:2] for words in asked] == [("netns", "add"), ("netns", "exec"), ("netns", "delete")]
    assert len({words[2] for words in asked}) == 1


def test_a_cable_with_netem_is_delayed_at_both_ends_and_mended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(namespaces, "has_netem", lambda: True)
    asked = _scripted(monkeypatch)
    with Cable() as cable:
        asked.clear()
        with cable.delayed(7000, 0.05, tmp_path) as port:
            assert port == 7000
        assert [(words[2], words[5]) for words in asked] == [
            (cable.near, "replace"),
            (cable.far, "replace"),
            (cable.near, "delete"),
            (cable.far, "delete"),
        ]
        assert asked[0][-3:] == ("netem", "delay", "50ms")


def test_the_queue_that_forgets_loses_exactly_what_was_taken_off_when_its_worker_died(tmp_path: Path) -> None:
    file = tmp_path / "queue.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY)")
        database.execute("CREATE TABLE results (id INTEGER PRIMARY KEY)")
        database.executemany("INSERT INTO queue VALUES (?)", [(1,), (2,), (3,)])
        assert database.execute(forgetful.TAKE).fetchone() == (1,)  # as a worker that dies now
    database.close()
    subprocess.run([sys.executable, "-I", "-S", forgetful.__file__, str(file)], check=True, timeout=60)
    with sqlite3.connect(file) as database:
        assert [id for (id,) in database.execute("SELECT id FROM results ORDER BY id")] == [2, 3]
    database.close()


def _scripted(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[[tuple[str, ...]], bool] = lambda _: False
) -> list[tuple[str, ...]]:
    asked: list[tuple[str, ...]] = []

    def run(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        words = tuple(argv[1:])
        asked.append(words)
        return subprocess.CompletedProcess(argv, int(fails(words)), "", "no such device")

    monkeypatch.setattr(subprocess, "run", run)
    return asked
