"""However a journal is cut, what is folded of it is what its whole records say."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.gateway.core import journal
from holdfast.gateway.core.journal import Begun, Ended, Record
from holdfast.gateway.shell.ledger.segments import Position, Segments
from tests.unit.gateway.attempts import begun, ended

STORIES = st.lists(st.tuples(st.integers(0, 1000), st.none() | st.integers(0, 1000)), max_size=12)


def told(story: list[tuple[int, int | None]]) -> list[Record]:
    records: list[Record] = []
    for number, (reserved, cost) in enumerate(story):
        records.append(Begun(begun(f"a{number}", reserved=reserved), 1, 1))
        if cost is not None:
            records.append(Ended(ended(f"a{number}", cost)))
    return records


def charged(records: list[Record]) -> int:
    """Costs of what ended, reservations of what did not: the rule in its shortest form."""
    open_ = {each.begun.attempt: each.begun.reserved_nano for each in records if isinstance(each, Begun)}
    for each in records:
        if isinstance(each, Ended):
            open_[each.ended.attempt] = each.ended.cost_nano or 0
    return sum(open_.values())


@given(story=STORIES, cut=st.floats(0, 1), segment_bytes=st.integers(300, 3000), limit=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_a_crash_at_any_byte_charges_what_the_whole_records_say(
    story: list[tuple[int, int | None]], cut: float, segment_bytes: int, limit: int
) -> None:
    records = told(story)
    with tempfile.TemporaryDirectory() as name:
        files = Segments(Path(name), segment_bytes=segment_bytes)
        files.open()
        for record in records:
            files.append(record)
        files.close()
        last = max(Path(name).glob("*.seg"))
        data = last.read_bytes()
        kept = data[: int(len(data) * cut)]
        last.write_bytes(kept)
        lost = sum(1 for _ in journal.records(data)) - sum(1 for _ in journal.records(kept))

        files.open()
        at, found = Position(1, 0), []
        while at < files.end:
            some, at = files.read(at, limit)
            found += some
        files.close()
    assert found == records[: len(records) - lost]
    assert charged(found) == charged(records[: len(records) - lost])


@given(data=st.binary(max_size=400))
def test_nothing_that_is_read_is_beyond_what_is_there(data: bytes) -> None:
    assert 0 <= journal.whole(data) <= len(data)
