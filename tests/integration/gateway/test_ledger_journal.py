"""The journal's files: torn ends, full disks, new segments."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from holdfast.gateway.core.journal import Begun, Ended
from holdfast.gateway.core.limits import LimitTable
from holdfast.gateway.core.settings import LedgerSettings, LimitsSettings
from holdfast.gateway.errors import Refused
from holdfast.gateway.shell.ledger import JournalError, MoneyLedger, PriceList
from holdfast.gateway.shell.ledger.segments import Position, Segments
from holdfast.kernel import Duration
from holdfast.store import StoreSettings, open_database
from tests.unit.gateway.attempts import WALL, begun, ended

if TYPE_CHECKING:
    from pathlib import Path


def test_a_torn_end_is_cut_and_writing_goes_on_behind_it(tmp_path: Path) -> None:
    journal = Segments(tmp_path)
    journal.open()
    journal.append(Begun(begun("a"), 1, 1))
    kept = journal.end
    journal.append(Ended(ended("a", 5)))
    journal.close()
    path = tmp_path / "00000001.seg"
    os.truncate(path, path.stat().st_size - 3)

    journal.open()
    assert journal.end == kept
    journal.append(Ended(ended("a", 6)))
    found, _ = journal.read(Position(1, 0), 10)
    journal.close()
    assert [type(record) for record in found] == [Begun, Ended]


def test_segments_follow_each_other_and_are_dropped_when_done(tmp_path: Path) -> None:
    journal = Segments(tmp_path, segment_bytes=1000)
    journal.open()
    for number in range(20):
        journal.append(Begun(begun(f"a{number}"), 1, 1))
    at, found = Position(1, 0), []
    while at < journal.end:
        some, at = journal.read(at, 2)
        found += some
    assert [record.begun.attempt for record in found if isinstance(record, Begun)] == [f"a{n}" for n in range(20)]
    assert len(journal.numbers()) > 3
    journal.drop(at.segment)
    assert journal.numbers() == [at.segment]
    journal.close()


def test_a_directory_that_cannot_be_written_says_which_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"gateway\.ledger\.path"):
        Segments(tmp_path / "file" / "journal").open()


@pytest.mark.anyio
async def test_a_full_disk_refuses_new_attempts_and_loses_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await open_database(StoreSettings(url=f"sqlite:{tmp_path}/store.db")) as database:
        settings = LedgerSettings(path=str(tmp_path / "journal"), fold=Duration(3600), sync=Duration(3600))
        ledger = MoneyLedger(settings, database, LimitTable(LimitsSettings()), PriceList())
        await ledger.open()
        ledger.begin(begun("a"))
        real = os.write
        half = {"left": True}

        def full(descriptor: int, data: bytes) -> int:
            if half.pop("left", None):
                return real(descriptor, data[:10])  # what a disk does that fills up in the middle
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            ledger.end(ended("a", 5))
            for attempt in ("b", "c"):
                with pytest.raises(Refused, match="cannot write down"):
                    ledger.begin(begun(attempt, wall=WALL))
            assert ledger.totals().unwritten == 1
        ledger.begin(begun("d"))
        ledger.end(ended("d", 7))
        await ledger.fold()
        rows = await database.read(
            lambda tx: tx.all("SELECT attempt, outcome, cost FROM gateway_attempts ORDER BY attempt")
        )
        await ledger.close()
    assert rows == [("a", "ok", 5), ("d", "ok", 7)]
