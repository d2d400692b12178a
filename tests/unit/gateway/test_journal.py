"""Records: whole ones are read, nothing else is."""

from __future__ import annotations

import pytest

from holdfast.gateway.core import journal
from holdfast.gateway.core.journal import Begun, Ended
from tests.unit.gateway.attempts import begun, ended

RECORDS = (Begun(begun("a1"), 20779, 24322), Ended(ended("a1", 5)), Begun(begun("a2"), 20779, 24322))
DATA = b"".join(journal.frame(record) for record in RECORDS)


def test_records_come_back_as_they_were() -> None:
    assert tuple(record for record, _ in journal.records(DATA)) == RECORDS


def test_a_journal_cut_at_any_byte_keeps_its_whole_records() -> None:
    ends = [end for _, end in journal.records(DATA)]
    for at in range(len(DATA)):
        assert journal.whole(DATA[:at]) == max((end for end in ends if end <= at), default=0)


def test_a_bit_that_flips_ends_the_reading() -> None:
    first = len(journal.frame(RECORDS[0]))
    for at in range(first, first + len(journal.frame(RECORDS[1]))):
        damaged = bytearray(DATA)
        damaged[at] ^= 1
        assert journal.whole(bytes(damaged)) == first


def test_a_record_that_is_too_long_is_not_written() -> None:
    with pytest.raises(ValueError, match="at most 65536"):
        journal.frame(Begun(begun("a" * 70_000), 0, 0))
