"""The parts of NetPulse's drills that need no engine."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from holdfast.drills import watch_capacity
from holdfast.drills.watch_books import RESULTS, balance, read_spool
from holdfast.drills.watch_sender import result
from holdfast.netpulse.core import schedule
from holdfast.netpulse.core.result import Outcome

EU = json.dumps(["eu", "domain-eu", "eu-1"])
US = json.dumps(["us", "domain-us", "us-1"])
SUMS = {"minutes": 3, "hours": 3, "days": 3}


def test_books_balance_when_every_number_is_stored_once() -> None:
    books = balance({"eu-1": 2, "us-1": 1}, [(EU, 1, 1000, 1), (EU, 1, 2000, 1), (US, 1, 1000, 1)], SUMS)
    assert (books.spooled, books.stored, books.lost, books.twice) == (3, 3, 0, 0)


def test_what_one_agent_lost_is_not_made_up_for_by_what_another_has_twice() -> None:
    books = balance({"eu-1": 2, "us-1": 1}, [(EU, 1, 1000, 1), (US, 1, 1000, 2)], SUMS)
    assert (books.lost, books.twice) == (1, 1)


def test_more_than_an_agent_ever_had_is_counted_twice() -> None:
    books = balance({"eu-1": 1}, [(EU, 1, 1000, 1), (EU, 1, 1001, 1)], SUMS)
    assert (books.lost, books.twice) == (0, 1)


def test_a_confirmation_within_the_millisecond_of_a_check_is_a_result_of_its_own() -> None:
    with closing(sqlite3.connect(":memory:")) as link:
        link.execute("CREATE TABLE netpulse_names (id, name)")
        link.execute("CREATE TABLE netpulse_results (source, monitor, at, total, what, figures)")
        link.execute("INSERT INTO netpulse_names VALUES (1, ?)", (EU,))
        seen = [
            (1, 1, 1000, 31, 0, b""),
            (1, 1, 1000, 28, 256, b""),
            (1, 1, 2000, 30, 0, b""),
            (1, 1, 2000, 30, 0, b""),
        ]
        link.executemany("INSERT INTO netpulse_results VALUES (?, ?, ?, ?, ?, ?)", seen)
        books = balance({"eu-1": 3}, link.execute(RESULTS).fetchall(), SUMS)
    assert (books.stored, books.lost, books.twice) == (3, 0, 1)


def test_a_spool_says_how_many_results_it_ever_had_and_how_many_wait(tmp_path: Path) -> None:
    file = tmp_path / "eu-1.sqlite"
    link = sqlite3.connect(file)
    link.execute("CREATE TABLE spool (id TEXT, boot TEXT, next INTEGER, dropped INTEGER)")
    link.execute("CREATE TABLE groups (first INTEGER, last INTEGER, anchor REAL, data BLOB)")
    link.execute("INSERT INTO spool VALUES ('a', '', 11, 1)")
    link.execute("INSERT INTO groups VALUES (8, 10, NULL, x'')")
    link.commit()
    link.close()
    spool = read_spool(file)
    assert (spool.numbered, spool.dropped, spool.waiting) == (10, 1, 3)


def test_an_agent_that_died_before_it_had_a_spool_has_put_nothing_in_it(tmp_path: Path) -> None:
    assert read_spool(tmp_path / "eu-1.sqlite").numbered == 0


def test_lag_counts_from_the_slot_that_the_schedule_gives_to_a_region() -> None:
    slot = schedule.offset("t/m1", "eu", ["ap", "eu", "us"], 30.0) + 30.0 * 1_000
    (lag,) = watch_capacity.lags_ms([((slot + 0.25) * 1e3, "t/m1", EU, 0)], 30.0)
    assert lag == pytest.approx(250.0, abs=0.01)


def test_a_beginning_that_was_rounded_to_before_its_slot_is_on_time() -> None:
    slot = schedule.offset("t/m1", "eu", ["ap", "eu", "us"], 30.0) + 30.0 * 1_000
    assert watch_capacity.lags_ms([((slot - 0.0005) * 1e3, "t/m1", EU, 0)], 30.0) == [0.0]


def test_scripted_results_fail_as_often_as_they_are_told_to() -> None:
    rng = Random(1)
    outcomes = [result("t/m1", 1, 0.0, rng, fails=0.1).outcome for _ in range(2_000)]
    assert outcomes.count(Outcome.DOWN) == pytest.approx(200, rel=0.3)
